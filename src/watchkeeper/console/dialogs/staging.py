"""Moving a policy set to another stage, and back to an earlier version."""

from __future__ import annotations

from typing import get_args

from watchkeeper.console.blocks import Blank, Block, Code, Fact, Prose, Title
from watchkeeper.console.desk import Field, Question
from watchkeeper.console.moment import Moment
from watchkeeper.console.views.policies import MEANS, brief_blocks
from watchkeeper.console.words import moment_text, person_text
from watchkeeper.wire.policy import PolicySetRow, PolicyVersionRow, Stage

STAGES: tuple[str, ...] = get_args(Stage)


def stage_question(row: PolicySetRow, moment: Moment) -> Question:
    """Ask for the stage, and why."""

    def check(text: str) -> str | None:
        word = text.strip()
        if word not in STAGES:
            return f"one of {', '.join(STAGES)}"
        return f"it is at {word} already" if word == row.stage else None

    body: list[Block] = [
        *brief_blocks(row, moment),
        Blank(),
        *(Fact(stage, MEANS[stage]) for stage in STAGES),
    ]
    return Question(
        title=f"Which stage for {row.name}?",
        body=body,
        confirm="Move",
        danger=True,
        reason="required",
        fields=(Field("stage", "Stage", check=check),),
    )


def rollback_question(
    row: PolicySetRow, to: PolicyVersionRow, now: PolicyVersionRow | None, moment: Moment
) -> Question:
    """Ask before an earlier version takes the place of the one in force."""
    body: list[Block] = [
        Fact("in force", f"version {row.version}, by {person_text(row.by)}"),
        Fact("back to", f"version {to.version}, {moment_text(to.applied_at, moment.now)}"),
        Prose("It takes effect with the next decision. The set's stage stays as it is.", "quiet"),
    ]
    if now is not None and now.diff:
        body += [Title(f"What version {row.version} changed, and this takes back"), Code(now.diff)]
    return Question(
        title=f"Roll {row.name} back?",
        body=body,
        confirm="Roll back",
        danger=True,
        reason="required",
        type_name=row.name,
    )
