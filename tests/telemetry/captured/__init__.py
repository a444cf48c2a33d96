"""What coding agents sent of one prompt that had them run `echo`, as they sent it.

Claude Code 2.1.330, Codex 0.169.0 and Gemini CLI 0.61.0, each against a provider on the same
machine; of what they sent, what concerns no test was left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TIMES = ("timeUnixNano", "observedTimeUnixNano", "startTimeUnixNano", "endTimeUnixNano")


def captured(client: str, session: str, at: int) -> dict[str, Any]:
    """Return what a client sent, by signal, as if its first record were of a time (µs)."""
    text = (Path(__file__).parent / f"{client}.json").read_text(encoding="utf-8")
    sent = json.loads(text.replace("SESSION", session))
    first = min(int(one) for one in _times(sent) if int(one))
    return {
        name: {name: _moved(sent[name], at * 1000 - first)}
        for name in ("resourceLogs", "resourceSpans", "resourceMetrics")
        if name in sent
    }


def _times(sent: Any) -> list[str]:
    if isinstance(sent, list):
        return [one for part in sent for one in _times(part)]
    if not isinstance(sent, dict):
        return []
    here = [value for name, value in sent.items() if name in TIMES]
    return here + [one for value in sent.values() for one in _times(value)]


def _moved(sent: Any, by: int) -> Any:
    if isinstance(sent, list):
        return [_moved(one, by) for one in sent]
    if not isinstance(sent, dict):
        return sent
    return {
        name: str(int(value) + by) if name in TIMES and int(value) else _moved(value, by)
        for name, value in sent.items()
    }
