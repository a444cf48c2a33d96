"""Entries of the ledger in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchkeeper.console.blocks import Block, Code, Fact, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, Token, span
from watchkeeper.console.words import actor_text, brief_text, moment_text, plural
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.wire.audit import Verification
from watchkeeper.wire.erasing import ERASED, NOT_KEPT
from watchkeeper.wire.plane import EventRow

_TOKENS: Mapping[str, Token] = {
    "decision.denied": "critical",
    "decision.held": "warning",
    "request.created": "warning",
    "request.escalated": "warning",
    "request.denied": "critical",
    "request.expired": "critical",
    "request.revoked": "critical",
    "request.approved": "good",
    "budget.exhausted": "critical",
    "budget.topped_up": "good",
    "lock.created": "critical",
    "lock.lifted": "good",
    "run.stopped": "critical",
}


def token_of(event_type: str) -> Token:
    """Return what an entry of this type means for the eye; most are plain."""
    return _TOKENS.get(event_type, "text")


def cells(row: EventRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of an entry."""
    return {
        "at": span(moment.time(row.at).text, "quiet"),
        "sequence": span(str(row.sequence), "quiet"),
        "type": span(row.type, token_of(row.type)),
        "text": span(brief_text(row.text)),
        "actor": span(actor_text(row.actor), "quiet"),
    }


def blocks(row: EventRow, moment: Moment) -> list[Block]:
    """Write an entry with its canonical body and its hash."""
    held: list[Block] = [
        Prose(row.text, "strong"),
        Fact("entry", str(row.sequence)),
        Fact("when", moment_text(row.at, moment.now)),
        Fact("type", row.type, token_of(row.type)),
        Fact("actor", actor_text(row.actor)),
        Fact("subject", row.subject),
    ]
    for name in ("agent", "run", "request"):
        value = getattr(row, name)
        if value:
            held.append(Fact(name, value))
    personal = row.body.get("personal")
    if isinstance(personal, dict) and personal:
        held.append(Fact("personal data", _personal(personal, row.body), "warning"))
    held += [Title("Body, canonical"), Code(body_text(row))]
    if row.chain_hash:
        held.append(Fact("chain hash", row.chain_hash, "quiet"))
    return held


def _personal(values: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """Say how many values are not in the entry itself, and whether any is gone."""
    told = f"{plural(len(values), 'value')}, kept apart; the entry holds only commitments"
    text = str({key: value for key, value in body.items() if key != "personal"})
    if ERASED in text:
        return f"{told}. Where {ERASED} stands, it was erased"
    if NOT_KEPT in text:
        return f"{told}. Where {NOT_KEPT} stands, it is kept no more"
    return told


def body_text(row: EventRow) -> str:
    """Return the body in the form that is hashed."""
    try:
        return canonical(row.body).decode()
    except WatchkeeperError as error:
        return f"this body has no canonical form: {error.message}"


def verification_blocks(found: Verification) -> list[Block]:
    """Write what verifying the chain found."""
    counted = plural(found.entries, "entry", "entries")
    if found.ok:
        held: list[Block] = [
            Prose(f"✓ The chain is whole: {counted} verified, none changed or missing.", "good")
        ]
    else:
        where = f" at entry {found.first_bad}" if found.first_bad is not None else ""
        what, _, detail = (found.what or "broken").partition(": ")
        held = [
            Prose(f"✗ The ledger is {what}{where}.", "critical"),
            *([Prose(f"{detail}.")] if detail else []),
            Prose(
                "Keep a copy of the database as it is, and compare it with a backup from before "
                "that entry.",
            ),
            Fact("entries read", counted),
        ]
    if found.head:
        held.append(Fact("head", found.head, "quiet"))
    held += [Prose(note) for note in found.notes]
    for one in found.anchors:
        trouble = f"; {one.problem}" if one.problem else ""
        told = f"up to entry {one.size}{trouble}"
        held.append(Fact(one.anchor, told, "warning" if one.problem else "quiet"))
    if found.ok and found.anchored < found.entries:
        loose = plural(found.entries - found.anchored, "entry", "entries")
        note = f"The newest {loose} are not anchored outside this plane."
        held.append(Prose(note, "quiet"))
    return held


def matches(row: EventRow, wanted: Mapping[str, str]) -> bool:
    """Whether an entry from the feed belongs in a list filtered like this."""
    for key, value in wanted.items():
        if key == "type":
            if not row.type.startswith(value):
                return False
        elif key == "filter":
            text = f"{row.text} {row.type} {row.actor} {row.subject}".lower()
            if value.lower() not in text:
                return False
        elif getattr(row, key) != value:
            return False
    return True
