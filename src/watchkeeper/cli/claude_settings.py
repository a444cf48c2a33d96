"""What in Claude Code's settings lets its tools run without the hooks.

A repository's settings can turn off hooks that are not in the managed settings (seen of 2.1: with
`claude -p` at once, since nobody is asked whether the repository is trusted). Without its hooks a
tool runs where a rule allows it, and not otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from watchkeeper.cli.findings import Finding
from watchkeeper.cli.settings_files import read_settings
from watchkeeper.core.errors import WatchkeeperError

MANAGED = (Path("/etc/claude-code"), Path("/Library/Application Support/ClaudeCode"))
_OFF = "disableAllHooks"
_UNASKED = ("bypassPermissions", "acceptEdits", "dontAsk")


def look_at_claude(place: Path, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Say whether hooks in `place` can be passed by, as far as settings on this machine show."""
    for path in (place, Path(".claude/settings.json"), Path(".claude/settings.local.json")):
        try:
            known = settings if path == place else read_settings(path)
        except WatchkeeperError as error:
            yield Finding("hooks in force", False, f"{path}: {error.message}", error.remedy or "")
            continue
        if known.get(_OFF) not in (None, False):
            yield Finding("hooks in force", False, f"{path} sets {_OFF}", "take it out of there")
    if place.resolve().parent in MANAGED:
        yield Finding("hooks stay", True, f"no repository can turn off those in {place}")
        return
    rules = settings.get("permissions")
    rules = rules if isinstance(rules, Mapping) else {}
    allowed, mode = rules.get("allow"), rules.get("defaultMode")
    loose = bool(allowed) or mode in _UNASKED
    yield Finding(
        "hooks stay",
        not loose,
        f"permissions in {place} let tools run without an answer"
        if loose
        else "a repository can turn them off, and then no rule here lets a tool run",
        f"take permissions.allow and defaultMode out, or use --file {MANAGED[0]}/"
        "managed-settings.json",
    )
