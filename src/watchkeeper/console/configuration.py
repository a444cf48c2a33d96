"""The person's settings: one TOML file, checked whole, with every mistake named."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watchkeeper.core.errors import Invalid
from watchkeeper.core.places import config_file

NOTIFICATIONS = ("none", "bell", "osc9", "osc777", "osc99")
LARGEST_FILE = 256 * 1024


@dataclass(frozen=True)
class Configuration:
    """What a person may set. Command line flags come first, then the environment, then this."""

    theme: str = "watch-dark"
    """The name of a theme: one that ships, or a file in `themes/` beside the configuration."""
    keymap: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys for an action, by its id as the help shows it."""
    time_zone: str = "UTC"
    """An IANA name, such as `Europe/Paris`."""
    notifications: tuple[str, ...] = ("bell",)
    """How to call when something new needs you: bell, osc9, osc777, osc99, or none."""
    quiet_from: str = ""
    """Start of the hours without notifications, such as `22:00`; empty for none."""
    quiet_until: str = ""
    """End of the quiet hours."""
    undo_seconds: int = 5
    """How long a light decision can be taken back before it is sent; 0 sends at once."""
    reasons: tuple[str, ...] = (
        "as agreed with the owner",
        "checked against the source",
        "not enough to decide on",
        "outside what was asked for",
    )
    """What dialogs offer for a reason, one after the other with ctrl-r, after what was said."""
    mouse: bool = False
    """Whether the terminal reports the mouse; it then no longer selects text by itself."""
    ascii: bool = False
    """Whether to draw with ASCII only."""
    read_only: bool = False
    """Whether to leave out everything that changes anything."""
    signing_key: str = ""
    """The SSH key file that signs votes, private or public; empty: one that the agent holds."""
    clock_seconds: bool = True
    """Whether the clock in the header shows seconds."""
    path: Path | None = None
    """Where this was read from."""

    @property
    def zone(self) -> tzinfo:
        """The time zone to show times in."""
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)

    def with_flags(
        self, mouse: bool | None, ascii: bool | None, read_only: bool | None
    ) -> Configuration:
        """Return these settings with what was given on the command line."""
        return replace(
            self,
            mouse=self.mouse if mouse is None else mouse,
            ascii=self.ascii if ascii is None else ascii,
            read_only=self.read_only if read_only is None else read_only,
        )


def read_configuration(path: Path | None = None) -> Configuration:
    """Read the configuration file; a file that does not exist has the defaults.

    Raises :class:`Invalid` naming the file and the key.
    """
    place = config_file(path)
    try:
        size = place.stat().st_size
        raw = place.read_bytes() if size <= LARGEST_FILE else None
    except FileNotFoundError:
        return Configuration(path=place)
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", where=str(place)) from error
    if raw is None:
        raise Invalid(f"is larger than {LARGEST_FILE // 1024} KB", where=str(place))
    try:
        document = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"is not TOML: {error}", where=str(place)) from error
    return configuration_from(document, place)


def configuration_from(document: Mapping[str, Any], place: Path) -> Configuration:
    """Check a document key by key; raise :class:`Invalid` at the first mistake."""
    known = [item.name for item in fields(Configuration) if item.name != "path"]
    values: dict[str, Any] = {"path": place}
    for key, value in document.items():
        if key == "plane":
            continue  # the plane reads that table itself, and checks it
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise Invalid(
                f"there is no setting {key!r:.60}",
                where=str(place),
                remedy=f"did you mean {near[0]}?" if near else f"settings: {', '.join(known)}",
                rule="configuration/unknown",
            )
        try:
            values[key] = _READERS[key](value)
        except ValueError as error:
            raise Invalid(f"{key}: {error}", where=str(place), rule="configuration/value") from None
    return Configuration(**values)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 100:
        raise ValueError("must be a short text")
    return value


def _place(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 4096 or not value.isprintable():
        raise ValueError("must be the path of a file")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _seconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 60:
        raise ValueError("must be a number of seconds from 0 to 60")
    return value


def _zone(value: Any) -> str:
    name = _text(value)
    try:
        if name != "UTC":
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write one as Europe/Paris") from None
    return name


def _hour(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    hours, _, minutes = text.partition(":")
    good = text == "" or (len(hours) == 2 and len(minutes) == 2 and (hours + minutes).isdigit())
    if value != text or not good or (text and (int(hours) > 23 or int(minutes) > 59)):
        raise ValueError('must be a time such as "22:00"')
    return text


def _notifications(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or any(item not in NOTIFICATIONS for item in listed):
        raise ValueError(f"must be a list of: {', '.join(NOTIFICATIONS)}")
    return tuple(item for item in listed if item != "none")


def _reasons(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 50:
        raise ValueError("must be a list of at most 50 short texts")
    for item in value:
        if not isinstance(item, str) or not 0 < len(item) <= 200 or not item.isprintable():
            raise ValueError("must be a list of texts of 1 to 200 characters on one line")
    return tuple(value)


def _keymap(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise ValueError('must be a table, such as "approvals.approve" = "a"')
    found = {}
    for name, keys in value.items():
        listed = [keys] if isinstance(keys, str) else keys
        if not isinstance(listed, list) or not all(isinstance(key, str) and key for key in listed):
            raise ValueError(f"{name!r:.60} must be a key or a list of keys")
        found[name] = tuple(listed)
    return found


_READERS: dict[str, Callable[[Any], Any]] = {
    "theme": _text,
    "keymap": _keymap,
    "time_zone": _zone,
    "notifications": _notifications,
    "quiet_from": _hour,
    "quiet_until": _hour,
    "undo_seconds": _seconds,
    "reasons": _reasons,
    "mouse": _flag,
    "ascii": _flag,
    "read_only": _flag,
    "signing_key": _place,
    "clock_seconds": _flag,
}
