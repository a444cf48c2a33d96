"""A model provider for tests: a real process that speaks the OpenAI protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.rig.process import Child, clean_environment


class Provider:
    """One provider; the test says how it behaves and reads what it was sent."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.url = ""
        self._port = 0
        self._child: Child | None = None

    def start(self) -> Provider:
        """Start the process; a second start after `stop` keeps the address."""
        ready = self.directory / "provider.json"
        ready.unlink(missing_ok=True)
        self._child = Child.python(
            "-m",
            "tests.rig.provider_server",
            *("--directory", str(self.directory)),
            *("--ready", str(ready)),
            *("--port", str(self._port)),
            log=self.directory / "provider.out",
            env=clean_environment(self.directory),
        )
        self.url = self._child.wait_for_file(ready)["url"]
        self._port = int(self.url.rpartition(":")[2].partition("/")[0])
        return self

    def wish(self, **wishes: Any) -> None:
        """Set how it behaves from now on; without arguments, as a healthy provider.

        `status` answers every completion with that error, `hold_after_words` stops a stream
        after so many words (0: any answer) until the wish is gone, `break_after_words`
        breaks the connection there. `call` has it call a tool (`name`, `arguments`) again and
        again, until an answer holds a text (`until`). `say` is what it answers; `of`
        holds wishes for single models. `said` is an answer word for word: the
        `pieces` of a body, its `kind` and `status`, and whether it `then` hangs or breaks.
        """
        fresh = self.directory / "wishes.json.new"
        fresh.write_text(json.dumps(wishes), encoding="utf-8")
        fresh.replace(self.directory / "wishes.json")

    def requests(self) -> list[dict[str, Any]]:
        """Every completion it was asked for: `authorization` and `body`, in order."""
        log = self.directory / "requests.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [json.loads(line) for line in lines]

    def stop(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.kill()
            self._child = None
