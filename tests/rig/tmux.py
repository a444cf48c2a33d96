"""A real terminal under tmux: start a command at a size, press keys, read the screen."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from tests.rig.deadline import PATIENCE_SECONDS, eventually

T = TypeVar("T")

NAMED_KEYS = re.compile(
    r"^(?:(?:[CMS]-)+\S|F\d{1,2}|Enter|Escape|Tab|BTab|Space|BSpace|Up|Down|Left|Right"
    r"|PageUp|PageDown|Home|End|DC)$"
)


class Tmux:
    """One tmux server with one window; nothing of the user's tmux or shell is read."""

    def __init__(self, *, columns: int = 80, rows: int = 24) -> None:
        assert shutil.which("tmux"), "tmux is not installed"
        self.columns = columns
        self.rows = rows
        # its socket's path must be short, which a test's own directory may not be
        self.directory = Path(tempfile.mkdtemp(prefix="wk-tmux-"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Self:
        """Run `command` in the window, with exactly `env` and a truecolor terminal."""
        settings = (
            "set -g status off\nset -g escape-time 0\nset -g remain-on-exit on\n"
            "set -g default-terminal tmux-256color\nset -as terminal-features ',*:RGB'\n"
            "set -g set-clipboard on\nset -g allow-rename on\n"
        )
        (self.directory / "conf").write_text(settings, encoding="utf-8")
        wanted = {**env, "COLORTERM": "truecolor", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        pairs = [f"{k}={v}" for k, v in wanted.items() if k not in {"TERM", "TMUX", "TMUX_PANE"}]
        inner = shlex.join(["env", "-i", *pairs, "TERM=tmux-256color", *command])
        size = ["-x", str(self.columns), "-y", str(self.rows)]
        self._run("new-session", "-d", "-s", "main", *size, "-c", str(cwd), inner)
        given = self._ask("#{pane_width} #{pane_height}")
        assert given == f"{self.columns} {self.rows}", f"the window is {given}"
        return self

    def keys(self, *keys: str) -> None:
        """Press keys: a name (`Enter`, `Escape`, `C-c`, `F1`, `Up`) or text typed as it is."""
        for key in keys:
            literal = [] if NAMED_KEYS.match(key) else ["-l"]
            self._run("send-keys", "-t", "main", *literal, "--", key)

    @property
    def screen(self) -> str:
        """The text on the screen, one line per row, without trailing blanks."""
        return self._run("capture-pane", "-p", "-t", "main").rstrip("\n")

    def last_screen(self) -> str:
        """The screen for the report of a failure; in words when the terminal is gone."""
        try:
            return self.screen
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            return f"no screen: {error}"

    @property
    def styled_screen(self) -> str:
        """The screen with its colours as escape sequences."""
        return self._run("capture-pane", "-p", "-e", "-t", "main").rstrip("\n")

    @property
    def title(self) -> str:
        """The title that the program gave its window."""
        return self._ask("#{pane_title}")

    @property
    def pid(self) -> int:
        """Process id of the command in the window."""
        return int(self._ask("#{pane_pid}"))

    @property
    def processes(self) -> list[int]:
        """Process ids of everything that runs on this terminal."""
        tty = self._ask("#{pane_tty}").removeprefix("/dev/")
        listed = subprocess.run(
            ["ps", "-t", tty, "-o", "pid="], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]

    @property
    def ended(self) -> bool:
        """Whether the command has ended; its last screen stays readable."""
        found = self._ask("#{pane_dead} #{pane_dead_status}#{pane_dead_signal}")
        if found == "1":
            # tmux may miss that its child ended, and looks at all of them when another one does
            self._run("run-shell", "true")
        return found.startswith("1 ")

    @property
    def exit_code(self) -> int | None:
        """Exit code of the command once it has ended."""
        status = self._ask("#{pane_dead_status}")
        return int(status) if status else None

    def wait_for(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until the screen shows all of `texts` at once, and return it."""

        def look() -> str | None:
            screen = self.screen
            return screen if all(text in screen for text in texts) else None

        return self._see(look, f"screen shows {texts!r}", seconds)

    def wait_without(self, text: str, *, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until the screen no longer shows `text`, and return it."""

        def look() -> str | None:
            screen = self.screen
            return screen if text not in screen else None

        return self._see(look, f"screen no longer shows {text!r}", seconds)

    def wait_match(self, pattern: str, *, seconds: float = PATIENCE_SECONDS) -> re.Match[str]:
        """Wait until a regular expression matches the screen, and return the match."""
        compiled = re.compile(pattern, re.MULTILINE)

        def look() -> re.Match[str] | None:
            return compiled.search(self.screen)

        return self._see(look, f"screen matches {pattern!r}", seconds)

    def wait_end(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait until the command has ended and return its exit code."""
        self._see(lambda: self.ended or None, "the command ends", seconds)
        code = self.exit_code
        assert code is not None, f"ended by a signal:\n{self.screen}"
        return code

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self.columns, self.rows = columns, rows
        self._run("resize-window", "-t", "main", "-x", str(columns), "-y", str(rows))

    def hang_up(self) -> None:
        """Take the terminal away, as a lost SSH link does: the command gets SIGHUP."""
        self._run("kill-server", check=False)

    def close(self) -> None:
        """End the server, whatever runs in it, and remove its files."""
        self._run("kill-server", check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _see(self, look: Callable[[], T | None], what: str, seconds: float) -> T:
        try:
            return eventually(look, what, seconds=seconds)
        except AssertionError:
            raise AssertionError(
                f"not within {seconds:g} s: {what}; it shows:\n{self.screen}"
            ) from None

    def _ask(self, format_text: str) -> str:
        return self._run("display-message", "-p", "-t", "main", format_text).strip()

    def _run(self, *arguments: str, check: bool = True) -> str:
        command = ["tmux", "-S", str(self.directory / "socket"), "-f", str(self.directory / "conf")]
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            check=False,
            text=True,
            timeout=20,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.directory)},
        )
        if check and done.returncode != 0:
            raise AssertionError(f"tmux {arguments[0]}: {done.stderr.strip()}")
        return done.stdout
