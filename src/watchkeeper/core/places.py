"""Where a plane on this machine keeps its state, and how to find its socket."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from watchkeeper.core.errors import Forbidden, Invalid

STATE_VARIABLE = "WATCHKEEPER_STATE"
CONFIG_VARIABLE = "WATCHKEEPER_CONFIG"
LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel's limit is 104 on macOS and 108 on Linux."""

PID_FILE = "plane.pid"
PLANE_FILE = "plane.json"
LAST_PLANE_FILE = "plane.last.json"
"""What the plane that ran here last announced: the next one is found at the same place."""
LOG_FILE = "plane.log"
SOCKET_FILE = "plane.sock"
DATABASE_FILE = "plane.sqlite3"
SWITCH_FILE = "STOP"
"""While it is there nothing is permitted; what is written in it is why."""


def state_directory(given: str | os.PathLike[str] | None = None) -> Path:
    """Return the state directory: the one given, else the environment's, else the user's."""
    text = os.fspath(given) if given is not None else os.environ.get(STATE_VARIABLE, "")
    if text:
        return Path(os.path.abspath(os.path.expanduser(text)))
    from platformdirs import user_state_path

    return user_state_path("watchkeeper", appauthor=False)


def config_file(given: str | os.PathLike[str] | None = None) -> Path:
    """Return the one configuration file; it need not exist."""
    text = os.fspath(given) if given is not None else os.environ.get(CONFIG_VARIABLE, "")
    if text:
        return Path(os.path.abspath(os.path.expanduser(text)))
    from platformdirs import user_config_path

    return user_config_path("watchkeeper", appauthor=False) / "config.toml"


def socket_path(state: Path) -> Path:
    """Return where the plane of ``state`` listens.

    A path too long for the kernel is replaced by one under the temporary directory that
    follows from the state directory alone, so that both sides find it.
    """
    inside = state / SOCKET_FILE
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    mark = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"watchkeeper-{os.getuid()}-{mark}"
    if len(os.fsencode(place / SOCKET_FILE)) > LONGEST_SOCKET_PATH:
        place = Path("/tmp") / place.name  # noqa: S108 - private: made with mode 0700
    return place / SOCKET_FILE


def write_switch(file: Path, reason: str) -> None:
    """Write a switch file whole and durably, in place of one that is there; an empty one, which
    stops as much, where there is no room for the reason.

    Raises :class:`Invalid` if it cannot be written.
    """
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with new.open("w", encoding="utf-8") as opened:
            opened.write(f"{reason}\n")
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(file)
        return
    except OSError:
        pass
    try:
        new.unlink(missing_ok=True)
        file.touch()
    except OSError as error:
        raise Invalid(
            f"the switch file cannot be written: {error.strerror}",
            where=str(file),
            remedy="stop the plane's process itself: kill -9 the number in plane.pid",
        ) from None


def make_private(directory: Path) -> None:
    """Create a directory that only its owner may enter, or tighten one that is there.

    Raises :class:`Forbidden` if somebody else owns it or a link to it, :class:`Invalid` if it
    cannot be made: whoever controls the directory could stand in for the plane.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(
            f"cannot make the directory: {error.strerror}",
            where=str(directory),
            remedy="choose another with --state DIR or WATCHKEEPER_STATE",
        ) from None
    check_owner(directory)
    if directory.stat().st_mode & 0o077:
        directory.chmod(0o700)


def check_owner(directory: Path) -> None:
    """Raise :class:`Forbidden` unless ``directory``, or the link and where it leads, is ours."""
    strangers = {directory.lstat().st_uid, directory.stat().st_uid} - {os.getuid()}
    if strangers:
        raise Forbidden(
            f"the directory belongs to user {min(strangers)}, not to you",
            where=str(directory),
            remedy="run as that user, or choose another with --state DIR",
        )
