"""What hooks are told of a decision, in words for the agent and whoever watches it."""

from __future__ import annotations

from watchkeeper.core.clock import utc_text
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.gateways.hooks.model import Event, Said, Word
from watchkeeper.gateways.words import denial, sentence
from watchkeeper.wire.decisions import Answer

LONGEST = 4_000
_STOPPING = ("lock/",)
"""Rules after which the agent does better to end than to try something else."""


def decided(answer: Answer, event: Event, *, defers: bool) -> Said:
    """Return what is said of a decision; `defers`: a held call can be put away."""
    if answer.replay is not None:
        return _said(
            "deny",
            "DENIED: this very call was permitted before, and runs once. Whether it ran is for a "
            "person to find out; a new call is decided anew.",
        )
    if answer.verdict == "permit":
        return _said("permit", f"permitted by {answer.rule}: {answer.reason}")
    if answer.verdict == "deny":
        return _said(_no(answer.rule), denial(answer))
    until = f" It is decided by {utc_text(answer.expires_at)}." if answer.expires_at else ""
    waits = f"PENDING APPROVAL: {sentence(answer.reason)} It waits as {answer.request}.{until}"
    if defers:
        how = f"After the decision: `claude -p --resume {event.session}`; the call then runs once."
        return _said("defer", f"{waits} {how}")
    how = "After the decision send exactly the same call again; it then runs once. Do not send it "
    how += f"before. People see it with `watchkeeper requests show {answer.request}`."
    return _said("deny", f"{waits} {how}")


def refused(error: WatchkeeperError) -> Said:
    """Return what is said where no decision was made."""
    rule = f" by rule {error.rule}" if error.rule else ""
    remedy = f" {sentence(error.remedy)}" if error.remedy else ""
    return _said(_no(error.rule or ""), f"DENIED{rule}: {sentence(error.message)}{remedy}")


def _no(rule: str) -> Word:
    return "stop" if rule.startswith(_STOPPING) else "deny"


def _said(word: Word, text: str) -> Said:
    return Said(word, _safe(text))


def _safe(text: str) -> str:
    return str(make_safe(text, keep_newlines=True, limit=LONGEST))
