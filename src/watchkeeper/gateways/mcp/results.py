"""What an agent is told: results, refusals and waiting, in words a model can act on.

A refusal is a tool result with ``isError``, never a protocol error: several clients hide the
text of the latter. Some show only ``structuredContent``, so that repeats the text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from watchkeeper import __version__
from watchkeeper.core.clock import utc_text
from watchkeeper.gateways.words import denial, narrowing, sentence
from watchkeeper.tools.upstreams.model import Result
from watchkeeper.tools.upstreams.protocol import SERVER_KEY
from watchkeeper.wire.decisions import Answer

SERVER = {"name": "watchkeeper", "title": "Watchkeeper", "version": __version__}
_OWN = "watchkeeper/"
DECISION_KEY = f"{_OWN}decision"
WARNINGS_KEY = f"{_OWN}warnings"
NARROWED_KEY = f"{_OWN}narrowed"
RETRYABLE_KEY = f"{_OWN}retryable"

_COMPLETE = msgspec.Raw(b'"complete"')
_meta = msgspec.json.Decoder(dict[str, msgspec.Raw])
_content = msgspec.json.Decoder(list[msgspec.Raw])


def own_result(members: dict[str, Any], *, modern: bool) -> dict[str, Any]:
    """Return a result of the gateway's own in the form of the era."""
    if not modern:
        return members
    meta = {**members.get("_meta", {}), SERVER_KEY: SERVER}
    return {"resultType": "complete", **members, "_meta": meta}


def forwarded(result: Result, answer: Answer, *, modern: bool) -> dict[str, Any]:
    """Return an upstream's result for the agent: its members unchanged, the decision added.

    Before the result of a call that an approver narrowed stands what ran in its place.
    """
    members: dict[str, Any] = dict(result)
    if modern:
        members.setdefault("resultType", _COMPLETE)
    else:
        members.pop("resultType", None)
    members["_meta"] = {**_read_meta(result), DECISION_KEY: answer.decision}
    if answer.warnings:
        members["_meta"][WARNINGS_KEY] = list(answer.warnings)
    if answer.narrowed is not None:
        members["_meta"][NARROWED_KEY] = answer.narrowed.model_dump(mode="json")
        said = {"type": "text", "text": f"NARROWED: {narrowing(answer.narrowed)}"}
        members["content"] = [said, *_read_content(result)]
    return members


def _read_content(result: Result) -> list[msgspec.Raw]:
    try:
        return _content.decode(result["content"]) if "content" in result else []
    except (msgspec.MsgspecError, RecursionError):
        return []


def without_our_words(result: Result) -> Result:
    """Return an upstream's result without what only the plane may say in its `_meta`."""
    meta = _read_meta(result)
    ours = [name for name in meta if name.startswith(_OWN)]
    if not ours:
        return result
    for name in ours:
        del meta[name]
    return {**result, "_meta": msgspec.Raw(msgspec.json.encode(meta))}


def _read_meta(result: Result) -> dict[str, Any]:
    try:
        return dict(_meta.decode(result["_meta"])) if "_meta" in result else {}
    except (msgspec.MsgspecError, RecursionError):
        return {}


def is_error(result: Result) -> bool:
    """Whether an upstream says that the tool failed."""
    return bytes(result.get("isError", b"")) == b"true"


def refusal(answer: Answer) -> dict[str, Any]:
    """Return the result of a denied call."""
    later = answer.retry_after_seconds
    text = denial(answer)
    if later is None:
        text += " Do not send this call again unchanged; it will be denied again."
    return _said(
        text,
        answer.decision,
        retryable=later is not None,
        retry_after_seconds=later,
        status="denied",
        rule=answer.rule,
        reason=answer.reason,
        allowed_instead=answer.allowed_instead,
        narrowed=answer.narrowed.model_dump(mode="json") if answer.narrowed else None,
    )


def pending(answer: Answer) -> dict[str, Any]:
    """Return the result of a call that a person has still to decide."""
    text = (
        f"PENDING APPROVAL {answer.request} under rule {answer.rule}: {sentence(answer.reason)} "
        "Nothing has been done. Send exactly the same call again later: once it is approved it "
        "runs, once."
    )
    if answer.expires_at is not None:
        text += f" The request expires at {utc_text(answer.expires_at)}."
    return _said(
        text,
        answer.decision,
        retryable=True,
        status="pending",
        request=answer.request,
        rule=answer.rule,
        reason=answer.reason,
        expires_at=answer.expires_at,
    )


def as_result(members: dict[str, Any]) -> Result:
    """Return a result of the gateway's own in the form that upstreams' results have."""
    return read_result(msgspec.json.encode(members))


def read_result(data: bytes) -> Result:
    """Return the members of a result that was kept."""
    return _meta.decode(data)


def cut_off(decision: str, lock: str | None) -> dict[str, Any]:
    """Return the result of a call that was cut off while it ran."""
    what = f"lock {lock}" if lock else "the plane, which is stopping,"
    text = (
        f"STOPPED: {what} cut this call off while it ran. Whether it took effect is "
        "unknown. Do not send it again without checking."
    )
    return failure(text, decision, status="unknown", retryable=False, lock=lock)


def replayed(answer: Answer) -> dict[str, Any]:
    """Return the recorded outcome of a call that ran before, where its result is not kept."""
    recorded = answer.replay or {}
    status = str(recorded.get("status", "unknown"))
    text = (
        f"This call ran before (decision {answer.decision}) and was not run again. "
        f"Its recorded outcome: {status}."
    )
    if status == "unknown":
        text += (
            " Whether it took effect is unknown: check before you do anything about it, and "
            "to call once more on purpose give it a new idempotency key."
        )
    said = _said(
        text,
        answer.decision,
        retryable=False,
        status=status,
        replay=recorded,
    )
    return {**said, "isError": status != "succeeded"}


def withheld(rule: str, problem: str, decision: str, *, status: str) -> dict[str, Any]:
    """Return what stands for a result that the agent is not given."""
    text = (
        f"WITHHELD by rule {rule}: {sentence(problem)} The call ran, and its result is not shown. "
        "Sending it again will not show it."
    )
    if status == "unknown":
        text += " Whether it did what it should is not known: check before doing it again."
    return _said(text, decision, retryable=False, status=status, rule=rule, reason=problem)


def failed(tool: str, why: str, decision: str, *, reached: bool) -> dict[str, Any]:
    """Return the result of a call that its upstream gave none to; `reached`: it may have begun."""
    after = (
        "Whether it took effect is unknown: check before sending it again."
        if reached
        else "It did not take effect."
    )
    status = "unknown" if reached else "failed"
    text = f"FAILED: {tool} at {why}. {after}"
    return failure(text, decision, status=status, retryable=not reached)


def failure(
    text: str, decision: str | None, *, status: str, retryable: bool, **members: Any
) -> dict[str, Any]:
    """Return the result of a call that had none of its own."""
    return _said(text, decision, retryable=retryable, status=status, **members)


def _said(text: str, decision: str | None, *, retryable: bool, **members: Any) -> dict[str, Any]:
    structured = {"message": text, "decision": decision, "retryable": retryable, **members}
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": {k: v for k, v in structured.items() if v is not None},
        "isError": True,
        "_meta": {DECISION_KEY: decision, RETRYABLE_KEY: retryable},
    }
