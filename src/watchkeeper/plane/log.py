"""The plane's own log: JSON lines, private, bounded, without secrets, safe to look at."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path

from watchkeeper.core.clock import SystemClock, utc_text
from watchkeeper.core.text import make_safe
from watchkeeper.tools.inspection.redaction import redact_text
from watchkeeper.tools.inspection.rules import SECRETS

_KEPT = 2
_LONGEST = 4000
_FRAMES = 12


class LineFormatter(logging.Formatter):
    """One JSON object a line; no locals, no control bytes, bounded length."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = SystemClock()

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line."""
        line: dict[str, object] = {
            "at": utc_text(self._clock.now()),
            "level": record.levelname.lower(),
            "from": record.name,
            "text": _kept(record.getMessage()),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = _kept(f"{type(error).__name__}: {error}")
            line["frames"] = [
                f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
            ]
        return json.dumps(line, ensure_ascii=True)


def _kept(text: str) -> str:
    """Return words as they may be written: an error can quote what an agent or server sent."""
    return make_safe(redact_text(text[: 4 * _LONGEST], SECRETS), limit=_LONGEST)


class _PrivateFile(RotatingFileHandler):
    """A rotating file that only its owner reads.

    With ``redirect`` the standard streams follow it, so that what a library prints lands in
    the log of a detached plane and never in a file that was rotated away.
    """

    def __init__(self, path: Path, limit: int, redirect: bool) -> None:
        self._redirect = redirect
        super().__init__(path, maxBytes=limit, backupCount=_KEPT, encoding="utf-8")

    def _open(self):  # type: ignore[no-untyped-def]
        descriptor = os.open(
            self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        os.fchmod(descriptor, 0o600)
        if self._redirect:
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop a line that cannot be written: a full disk must not stop a decision."""


def start_logging(path: Path, *, limit: int, detached: bool) -> logging.Logger:
    """Send every logger's lines to ``path``, and to standard error when in the foreground."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
    formatter = LineFormatter()
    file = _PrivateFile(path, limit, redirect=detached)
    file.setFormatter(formatter)
    root.addHandler(file)
    if not detached:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(formatter)
        root.addHandler(stream)
    for noisy in ("uvicorn.access", "apscheduler", "httpx", "mcp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return logging.getLogger("watchkeeper.plane")
