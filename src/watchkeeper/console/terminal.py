"""What the toolkit lacks around a real terminal: title, calls, clipboard, an echo, and leaving it.

Everything written here is built from text that went through the sanitiser, so nothing from
outside can end a sequence and begin its own.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual import messages
from textual.drivers.linux_driver import LinuxDriver

from watchkeeper.core.errors import Invalid, TooLarge
from watchkeeper.core.text import make_safe

if TYPE_CHECKING:
    from textual.message import Message

LARGEST_COPY = 74_994
"""Bytes of base64 that terminals take in one OSC 52."""
ECHO_PATIENCE_SECONDS = 5.0
_ECHO = "\x1b[?2026$p"
_SAVE_TITLE, _RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"


def refuse_unfit(environment: Mapping[str, str] | None = None) -> None:
    """Raise :class:`Invalid` unless both ends are a terminal that can place text."""
    held = os.environ if environment is None else environment
    remedy = "use the plain commands instead: watchkeeper watch, requests, agents --json"
    if not (
        sys.__stdin__ and sys.__stdin__.isatty() and sys.__stderr__ and sys.__stderr__.isatty()
    ):
        raise Invalid("the console needs a terminal, and this is none", remedy=remedy)
    if held.get("TERM", "") in ("", "dumb", "unknown"):
        raise Invalid(
            f"the terminal TERM={held.get('TERM', '')!r:.40} cannot place text", remedy=remedy
        )


def in_tmux(environment: Mapping[str, str] | None = None) -> bool:
    """Whether sequences for the outer terminal must be wrapped."""
    return bool((os.environ if environment is None else environment).get("TMUX"))


def wrap_for_tmux(sequence: str) -> str:
    """Wrap a sequence so that tmux hands it to the terminal around it."""
    escaped = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{escaped}\x1b\\"


def title_sequence(text: str) -> str:
    """Return what sets the window's title."""
    return f"\x1b]2;{make_safe(text, limit=120)}\x07"


def call_sequence(kind: str, text: str, *, tmux: bool) -> str:
    """Return what calls a person through the terminal: bell, osc9, osc777 or osc99.

    OSC 99 is kitty's desktop notification: title, then body, under one id, so that a newer call
    takes the place of an older one; it asks for no report back.
    """
    safe = make_safe(text, limit=200).replace(";", ",")
    match kind:
        case "osc9":
            sequence = f"\x1b]9;{safe}\x07"
        case "osc777":
            sequence = f"\x1b]777;notify;Watchkeeper;{safe}\x07"
        case "osc99":
            parts = ("i=watchkeeper:d=0;Watchkeeper", f"i=watchkeeper:p=body;{safe}")
            sequence = "".join(f"\x1b]99;{part}\x1b\\" for part in parts)
        case _:
            return "\x07"
    return wrap_for_tmux(sequence) if tmux else sequence


def copy_sequence(text: str, *, tmux: bool) -> str:
    """Return what puts text on the clipboard; raise :class:`TooLarge` beyond the cap."""
    coded = base64.b64encode(make_safe(text, keep_newlines=True).encode()).decode()
    if len(coded) > LARGEST_COPY:
        raise TooLarge(f"{len(coded):,} bytes are more than a terminal's clipboard takes")
    sequence = f"\x1b]52;c;{coded}\x07"
    return wrap_for_tmux(sequence) if tmux else sequence


def copy_command(environment: Mapping[str, str] | None = None) -> list[str] | None:
    """Return this machine's own clipboard program, if the person sits at this machine."""
    held = os.environ if environment is None else environment
    if held.get("SSH_CONNECTION") or held.get("SSH_TTY"):
        return None
    if sys.platform == "darwin" and shutil.which("pbcopy"):
        return ["pbcopy"]
    if held.get("WAYLAND_DISPLAY") and shutil.which("wl-copy"):
        return ["wl-copy"]
    if held.get("DISPLAY") and shutil.which("xclip"):
        return ["xclip", "-selection", "clipboard"]
    return None


def end_within(seconds: float, code: int) -> None:
    """End the process after `seconds` whatever hangs: a terminal that is gone may block writes."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


class ConsoleDriver(LinuxDriver):
    """The toolkit's driver, with an echo that tells when the terminal has caught up.

    After a refresh a harmless question is written; its answer comes back only when everything
    before it was taken by the far end of the link, however many buffers lie between.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.answers = False
        self._unconfirmed = False
        self._asked_at: float | None = None

    def start_application_mode(self) -> None:
        """Enter the alternate screen; keep the title that was there."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._writer_thread is not None:
            self.write(_SAVE_TITLE)

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        self.write(_RESTORE_TITLE)
        super().stop_application_mode()

    def write(self, data: str) -> None:
        """Write, and note that there is something to confirm."""
        self._unconfirmed = True
        super().write(data)

    def ask_echo(self, now: float) -> None:
        """Ask the terminal to answer once it has taken everything written so far."""
        if self.answers and self._unconfirmed and self._asked_at is None:
            self._asked_at = now
            self.write(_ECHO)
            self._unconfirmed = False

    def behind(self, now: float) -> bool:
        """Whether output is still on its way; an answer that never comes is forgotten."""
        writer = self._writer_thread
        if writer is not None and writer._queue.qsize() > 0:
            return True
        if self._asked_at is not None and now - self._asked_at > ECHO_PATIENCE_SECONDS:
            self._asked_at = None
        return self._asked_at is not None

    def process_message(self, message: Message) -> None:
        """Note the answer to the echo; pass the first one on to the toolkit."""
        if isinstance(message, messages.TerminalSupportsSynchronizedOutput):
            self._asked_at = None
            if self.answers:
                return
            self.answers = True
        super().process_message(message)
