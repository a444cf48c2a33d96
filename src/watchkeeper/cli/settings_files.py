"""A framework's settings file: read, merged with ours, and written so that it can be undone."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchkeeper.cli.gates import Gate, read_gate
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
        merged[event] = [*(kept for entry in there for kept in _without_gates(entry)), *entries]
    return merged


def _without_gates(entry: object) -> list[object]:
    """Return an entry without our own hooks, or nothing where that is all it is."""
    inner = entry.get("hooks") if isinstance(entry, dict) else None
    if isinstance(entry, dict) and isinstance(inner, list):
        kept = [one for one in inner if _gate(one) is None]
        return [{**entry, "hooks": kept}] if kept or not inner else []
    return [] if _gate(entry) is not None else [entry]


def commands_of(settings: Mapping[str, Any], event: str) -> list[Mapping[str, Any]]:
    """Return the hooks of an event, in whichever of the two forms they are."""
    hooks = settings.get("hooks")
    entries = hooks.get(event) if isinstance(hooks, dict) else None
    found: list[Mapping[str, Any]] = []
    for entry in entries if isinstance(entries, list) else []:
        inner = entry.get("hooks") if isinstance(entry, dict) else None
        found += [one for one in (inner if isinstance(inner, list) else [entry]) if _is_hook(one)]
    return found


def _is_hook(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("command"), str)


def _gate(entry: object) -> Gate | None:
    return read_gate(entry.get("command")) if isinstance(entry, dict) else None


def _holds_ours(settings: Mapping[str, Any]) -> bool:
    hooks = settings.get("hooks")
    return isinstance(hooks, dict) and any(
        _gate(one) is not None for event in hooks for one in commands_of(settings, event)
    )


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
    undo = ["mv", str(before), str(place)] if before.exists() else ["rm", str(place)]
    return shlex.join(undo)


def _write(path: Path, data: bytes, mode: int) -> None:
    # a name that nobody knows, made anew: the directory may be one that others write to
    descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise


def _other_form(name: str, path: Path) -> Invalid:
    return Invalid(
        f"{name} has a form that is not known here",
        where=str(path),
        remedy="add by hand what is printed without --write",
    )
