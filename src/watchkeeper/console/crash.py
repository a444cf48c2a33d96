"""What is left when the console fails: a short message here, the details in a private file."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from watchkeeper.core import ids
from watchkeeper.core.clock import Clock, utc_text
from watchkeeper.core.text import make_safe


def record_crash(error: BaseException | None, directory: Path, clock: Clock) -> str:
    """Write the traceback to a file that only its owner reads; return what to tell the person.

    The message names the kind of error, never its text or any variable: those may hold what
    must not stay on a screen.
    """
    name = ids.new("crash", clock)
    place = directory / f"{name}.log"
    kind = type(error).__name__ if error is not None else "input failed"
    lines = traceback.format_exception(error) if error is not None else ["no traceback\n"]
    text = make_safe("".join(lines), limit=200_000, keep_newlines=True)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{utc_text(clock.now())} console {name}\n{text}\n")
    except OSError as failed:
        return (
            f"The console failed ({kind}, {name}); its log could not be written: {failed.strerror}."
        )
    return (
        f"The console failed ({kind}). The plane and the agents go on.\n"
        f"Details: {place}\nId: {name}"
    )
