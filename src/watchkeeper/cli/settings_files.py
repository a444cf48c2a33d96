"""A framework's settings file: read, merged with ours, and written so that it can be undone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchkeeper.cli import hook
from watchkeeper.core.errors import Invalid

LARGEST = 1024 * 1024
BEFORE = ".before-watchkeeper"


def read_settings(path: Path) -> dict[str, Any]:
    """Return what a settings file holds, nothing if it is not there; raise `Invalid` if it is none
    that can be merged: it may have comments, which would be lost.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        found = None
    if len(text) > LARGEST or not isinstance(found, dict):
        raise Invalid(
            "the settings are no plain JSON object",
            where=str(path),
            remedy="add by hand what is printed without --write",
        )
    return found


def merge(known: Mapping[str, Any], ours: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return settings with ours in place: other hooks stay, earlier ones of ours go.

    Raises `Invalid` where what is there has another form.
    """
    merged = dict(known)
    for name, value in ours.items():
        there = merged.get(name)
        if name == "hooks":
            merged[name] = _merge_hooks(there if there is not None else {}, value, path)
        elif isinstance(value, dict):
            if there is not None and not isinstance(there, dict):
                raise _other_form(name, path)
            merged[name] = {**(there or {}), **value}
        else:
            merged[name] = value
    return merged


def _merge_hooks(known: object, ours: Mapping[str, list[Any]], path: Path) -> dict[str, Any]:
    if not isinstance(known, dict):
        raise _other_form("hooks", path)
    merged = dict(known)
    for event, entries in ours.items():
        there = merged.get(event, [])
        if not isinstance(there, list):
            raise _other_form(f"hooks.{event}", path)
        merged[event] = [entry for entry in there if not _is_ours(entry)] + list(entries)
    return merged


def commands_of(settings: Mapping[str, Any], event: str) -> list[Mapping[str, Any]]:
    """Return our own hooks of an event, in whichever of the two forms they are."""
    hooks = settings.get("hooks")
    entries = hooks.get(event) if isinstance(hooks, dict) else None
    found: list[Mapping[str, Any]] = []
    for entry in entries if isinstance(entries, list) else []:
        inner = entry.get("hooks") if isinstance(entry, dict) else None
        found += [one for one in (inner if isinstance(inner, list) else [entry]) if _is_ours(one)]
    return found


def _holds_ours(settings: Mapping[str, Any]) -> bool:
    hooks = settings.get("hooks")
    return isinstance(hooks, dict) and any(commands_of(settings, event) for event in hooks)


def _is_ours(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    inner = entry.get("hooks")
    if isinstance(inner, list):
        return bool(inner) and all(_is_ours(one) for one in inner)
    command = entry.get("command")
    return isinstance(command, str) and (hook.__file__ in command or "watchkeeper hook" in command)


def write_settings(path: Path, settings: Mapping[str, Any]) -> str:
    """Write a settings file, keep what was there before it first, and say how to undo that.

    Raises `Invalid` when it cannot be written.
    """
    place = path.resolve()
    before = place.with_name(place.name + BEFORE)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o600
        # what holds our hooks already is not what was there before
        if place.exists() and not before.exists() and not _holds_ours(read_settings(place)):
            _write(before, place.read_bytes(), mode)
        _write(place, json.dumps(settings, indent=2).encode() + b"\n", mode)
    except OSError as error:
        raise Invalid(f"cannot be written: {error.strerror}", where=str(place)) from None
    return f"mv {before} {place}" if before.exists() else f"rm {place}"


def _write(path: Path, data: bytes, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
    fresh.replace(path)


def _other_form(name: str, path: Path) -> Invalid:
    return Invalid(
        f"{name} has a form that is not known here",
        where=str(path),
        remedy="add by hand what is printed without --write",
    )
