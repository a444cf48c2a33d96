"""Ledger entries in words, for feeds and timelines: one sentence, from type and body alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchkeeper.core.clock import utc_text
from watchkeeper.core.money import dollars

_LONGEST = 300

_SENTENCES: dict[str, str] = {
    "run.opened": "{agent} opened a run: {goal}",
    "run.asked": "somebody asked {agent} for something",
    "run.refused": "{agent} may not open a run: {reason}",
    "run.closed": "{agent} closed its run: {outcome}",
    "run.expired": "{agent} left its run: its last token has expired",
    "run.stopped": "run stopped by {lock}: {reason}",
    "run.token_renewed": "{agent} renewed the token of its run",
    "run.token_revoked": "{actor} revoked a token of {subject}, {revoked} with what came of it",
    "run.token_exported": "{agent} got a token for {audience}: {scope}",
    "replay.diverged": "{agent} went another way than in {replay_of}, with {kind} {name}",
    "decision.permitted": "{name} permitted by {rule}",
    "decision.held": "{name} held by {rule}: {reason}",
    "decision.denied": "{name} denied by {rule}: {reason}",
    "outcome.recorded": "{name} {status}",
    "route.escalated": "{model} answers a call of {name}: {reason}",
    "route.reduced": "{model} answers a call of {name}: {reason}",
    "agent.enrolled": "{agent} enrolled",
    "agent.token_issued": "{agent} got a token that opens runs",
    "agent.token_revoked": "{actor} revoked access of {agent}, {revoked} with what came of it",
    "agent.key_revoked": "{actor} revoked a key of {agent}, {revoked} with what came of it",
    "agent.enrolment_issued": "{actor} made an enrolment secret for {agent}",
    "person.logged_in": "{subject} logged in by {via}",
    "person.login_refused": "a login as {subject} by {via} was refused",
    "person.token_revoked": "{actor} revoked a token of {subject}",
    "person.tokens_revoked": "{actor} revoked the tokens of {subject}: {tokens}",
    "person.token_issued": "{actor} issued a {permission} token for {subject}",
    "secret.sealed": "{actor} sealed version {version} of the secret {name}",
    "secret.removed": "{actor} removed the secret {name}",
    "secret.key_rotated": "{actor} sealed every secret with a new key: {secrets}",
    "lock.created": "{actor} put a {mode} on {target}: {reason}",
    "lock.lifted": "{actor} lifted the lock on {target}: {reason}",
    "budget.topped_up": "{actor} topped up {budget} by {text}: {reason}",
    "budget.overshot": "{agent} used more than it reserved: {text}",
    "price.kept": "the price of {model} at {subject} is kept as {source} has it for {reference}",
    "hold.expired": "a reservation nobody settled counts as used: {subject}",
    "hold.corrected": "{subject} counts as what was reported after all",
    "hold.extended": "more is held for another try of {subject}",
    "plane.key_rotated": "{actor} put a new signing key in force: {reason}",
    "ledger.key_rotated": "{actor} put a new key for checkpoints in force: {reason}",
    "ledger.forked": "the ledger goes on as {origin}: {reason}",
    "ledger.fork_accepted": "{actor} accepted that the ledger was forked: {reason}",
    "plane.started": "the plane started",
    "plane.stopped": "the plane stopped",
}


class _Words(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def say(type_: str, actor: str, subject: str, agent: str | None, body: Mapping[str, Any]) -> str:
    """Return an entry as one sentence. What it quotes from outside is still untrusted."""
    words = _Words({name: _word(name, value) for name, value in body.items()})
    words.update(actor=actor, subject=subject)
    if agent:
        words["agent"] = agent
    sentence = _SENTENCES.get(type_)
    if sentence is not None:
        text = sentence.format_map(words)
        if type_ == "outcome.recorded":
            text += _cost(body)
        elif type_ == "decision.permitted":
            text += _route(body.get("routed"))
        return text[:_LONGEST]
    told = body.get("text")
    if isinstance(told, str):
        return told[:_LONGEST]
    if type_ == "receipt.recorded":
        return _receipts(body)[:_LONGEST]
    if type_.endswith((".applied", ".removed")):
        verb = "removed" if type_.endswith(".removed") else f"applied version {words['version']} of"
        return f"{actor} {verb} {subject}"[:_LONGEST]
    return _generic(type_, actor, subject, words)[:_LONGEST]


def _word(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name.endswith("_micros") and isinstance(value, int):
        return dollars(value)
    if name.endswith("_at") and isinstance(value, int):
        return utc_text(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)


def _cost(body: Mapping[str, Any]) -> str:
    cost = body.get("cost_micros") or 0
    error = body.get("error")
    return (f" for {dollars(cost)}" if cost else "") + (f": {error}" if error else "")


def _route(routed: Any) -> str:
    """Say why a model call does not go where it was sent."""
    if not isinstance(routed, Mapping) or routed.get("cause", "named") == "named":
        return ""
    return f"; {routed.get('reason', '')}"


def _receipts(body: Mapping[str, Any]) -> str:
    rows = [row for row in body.get("receipts", []) if isinstance(row, Mapping)]
    if len(rows) == 1:
        party = rows[0].get("party", "plane")
        return f"{rows[0].get('effect')} ({party}): {rows[0].get('state')}"
    done = sum(row.get("state") == "acknowledged" for row in rows)
    return f"{done} of {len(rows)} effects acknowledged"


def _generic(type_: str, actor: str, subject: str, words: Mapping[str, str]) -> str:
    thing, _, happened = type_.rpartition(".")
    reason = f": {words['reason']}" if "reason" in words else ""
    return f"{actor}: {thing.replace('_', ' ')} {happened.replace('_', ' ')} {subject}{reason}"
