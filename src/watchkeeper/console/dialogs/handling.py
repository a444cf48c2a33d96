"""Questions about a request that decide nothing by themselves, or decide it another way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from watchkeeper.console.blocks import Blank, Block, Fact, Prose, Title
from watchkeeper.console.desk import Field, Question, Reply
from watchkeeper.console.dialogs.deciding import summary_blocks
from watchkeeper.console.views.request_detail import EDITS, argument_blocks
from watchkeeper.console.views.requests import deed_blocks, typed_text
from watchkeeper.console.words import person_text
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import micros_from_text
from watchkeeper.wire.requests import RequestDetail, RequestRow
from watchkeeper.wire.standing import ProposeStanding

Check = Callable[[str], str | None]


def escalate_question(detail: RequestRow) -> Question:
    """Ask before calling the next level."""
    following = ""
    if isinstance(detail, RequestDetail) and detail.level < len(detail.escalation):
        following = detail.escalation[detail.level]
    body: list[Block] = [
        *deed_blocks(detail),
        Blank(),
        Fact("asked now", f"{detail.role}, level {detail.level} of {detail.levels}"),
    ]
    if following:
        body.append(Fact("asks next", following))
    return Question(
        title="Ask the next level now?", body=body, confirm="Escalate", reason="optional"
    )


def why_not_escalate(row: RequestRow) -> str | None:
    """Return why the next level cannot be asked, or nothing if it can."""
    if row.state != "pending":
        return "it is decided already"
    if row.level >= row.levels:
        return f"{row.role} is the last level"
    return None


def comment_question(detail: RequestDetail) -> Question:
    """Ask what to tell everybody who decides this."""
    return Question(
        title="Say something of this",
        body=[*deed_blocks(detail), Blank(), Prose("Everybody who decides it reads your words.")],
        confirm="Say it",
        reason="required",
        reason_label="Comment",
    )


def narrow_question(detail: RequestDetail) -> Question:
    """Ask for narrower arguments, which are then what is approved."""
    fields = tuple(
        Field(name, f"{name} {EDITS.get(how, how)}", _check(how), _written(detail, name))
        for name, how in detail.edits.items()
    )
    return Question(
        title="Approve less than this?",
        body=[
            *summary_blocks(detail),
            Blank(),
            Prose("Your arguments take the place of the agent's, as a request of their own that "
                  "you approve. Nothing else of it can change."),
        ],
        confirm="Approve that instead",
        fields=fields,
        reason="required" if detail.deciding.reason else "optional",
    )  # fmt: skip


def narrowed(detail: RequestDetail, reply: Reply) -> dict[str, Any]:
    """Return all arguments with those that the person wrote anew."""
    arguments = dict(detail.arguments)
    for name, how in detail.edits.items():
        text = reply.values.get(name, _written(detail, name))
        if text != _written(detail, name):
            arguments[name] = text if how == "words" else json.loads(text)
    return arguments


def why_not_narrow(detail: RequestDetail) -> str | None:
    """Return why nothing of it can be narrowed, or nothing if something can."""
    if detail.state != "pending":
        return "it is decided already"
    if not detail.edits:
        return "the contract of this tool names no argument that may be narrowed"
    return None


def break_glass_question(detail: RequestDetail) -> Question:
    """Ask before approving alone what takes several, or others."""
    return Question(
        title="Break the glass?",
        body=[
            Prose("Approves it alone and at once, in an emergency. Everybody who may decide it "
                  "is told now, and somebody else must review it.", "warning"),
            Blank(),
            *summary_blocks(detail),
            *argument_blocks(detail),
        ],
        confirm="Break the glass",
        danger=True,
        reason="required",
        type_name=typed_text(detail),
        read_to_end=True,
    )  # fmt: skip


def review_question(detail: RequestDetail) -> Question:
    """Ask what to say of an approval that one person gave alone."""
    return Question(
        title="Review this break-glass approval",
        body=[
            *summary_blocks(detail),
            Title("Who approved it, and why"),
            Fact("by", person_text(detail.decided_by)),
            *[Prose(vote.reason) for vote in detail.votes if vote.reason],
        ],
        confirm="Keep the review",
        fields=(Field("verdict", "justified or unjustified", _one_of("justified", "unjustified")),),
        reason="required",
    )


def judge_question(detail: RequestDetail) -> Question:
    """Ask whether a decision was right, as is known now."""
    return Question(
        title="Was this decided rightly?",
        body=[*deed_blocks(detail), Blank(), Fact("decided by", person_text(detail.decided_by))],
        confirm="Say so",
        fields=(Field("verdict", "right or wrong", _one_of("right", "wrong")),),
        reason="optional",
    )


def take_back_question(detail: RequestRow) -> Question:
    """Ask before an approval that was not used yet is taken back."""
    return Question(
        title="Take the approval back?",
        body=[
            *deed_blocks(detail),
            Blank(),
            Prose("It was not used yet; the agent has to ask anew."),
        ],
        confirm="Take it back",
        reason="optional",
    )


def _written(detail: RequestDetail, name: str) -> str:
    value = detail.arguments.get(name)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check(how: str) -> Check:
    def check(text: str) -> str | None:
        if how == "words":
            return None
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if how == "lower" and (isinstance(value, bool) or not isinstance(value, int | float)):
            return "write a number"
        if how == "fewer" and not isinstance(value, list):
            return 'write a list, such as ["a", "b"]'
        return None

    return check


def _one_of(*allowed: str) -> Check:
    def check(text: str) -> str | None:
        return None if text in allowed else f"write {' or '.join(allowed)}"

    return check


def standing_question(detail: RequestDetail) -> Question:
    """Ask for the bounds of a standing approval like this request."""
    names = ", ".join(sorted(detail.arguments)) or "none"
    return Question(
        title="Propose a standing approval?",
        body=[
            *deed_blocks(detail),
            Blank(),
            Prose("Calls like this one then need nobody, within the bounds below and until its "
                  "time is up. It is itself decided by whoever decides this, and not by you."),
            Fact("arguments", names),
            *argument_blocks(detail),
        ],
        confirm="Propose",
        danger=True,
        fields=(
            Field("pin", "arguments that stay exactly so", _pins(detail)),
            Field("uses", "how many calls", _whole(1, 10_000), "20"),
            Field("hours", "for how many hours", _whole(1, 720), "24"),
            Field("each", "most dollars a call, or empty", _dollars),
            Field("total", "most dollars in all, or empty", _dollars),
        ),
        reason="required",
    )  # fmt: skip


def proposal_of(detail: RequestDetail, reply: Reply) -> ProposeStanding:
    """Return the standing approval that was asked for."""
    values = reply.values
    return ProposeStanding(
        request=detail.request,
        pin=tuple(_names(values["pin"])),
        uses=int(values["uses"]),
        seconds=int(values["hours"]) * 3600,
        each_micros=_micros(values["each"]),
        total_micros=_micros(values["total"]),
        reason=reply.reason or "",
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pins(detail: RequestDetail) -> Check:
    def check(text: str) -> str | None:
        strange = [name for name in _names(text) if name not in detail.arguments]
        return f"there is no argument {strange[0]!r:.40}" if strange else None

    return check


def _whole(least: int, most: int) -> Check:
    def check(text: str) -> str | None:
        good = text.isascii() and text.isdigit() and len(text) < 9 and least <= int(text) <= most
        return None if good else f"write a number from {least} to {most}"

    return check


def _dollars(text: str) -> str | None:
    try:
        _micros(text)
    except Invalid:
        return "write an amount, such as 20 or 4.50"
    return None


def _micros(text: str) -> int | None:
    return micros_from_text(text.removeprefix("$")) if text else None
