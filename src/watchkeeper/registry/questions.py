"""Questions that a team asks again, as documents: which steps, counted by what."""

from __future__ import annotations

from typing import get_args

from pydantic import Field, field_validator, model_validator

from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import Invalid
from watchkeeper.registry.parts import Micros, Part, Text
from watchkeeper.wire.asking import BUILT_IN, LONGEST_SECONDS, GroupBy, QuestionOrder
from watchkeeper.wire.base import Name
from watchkeeper.wire.data import DataClass
from watchkeeper.wire.traces import (
    ActionVerdict,
    ApprovalVerdict,
    SpanKind,
    SpanSource,
    SpanStatus,
    SpanVerdict,
)

_VERDICTS = {"action": get_args(ActionVerdict), "approval": get_args(ApprovalVerdict)}
_OF_GROUPS = frozenset({"steps", "errors", "refusals"})


class Where(Part):
    """Which steps a question is about; what is not named is not asked."""

    agent: Name | None = None
    version: int | None = Field(None, ge=0)
    kind: SpanKind | None = None
    operation: str | None = Field(None, max_length=120)
    """`chat`, `execute_tool`, `retrieval`, `approval` …"""
    subject: str | None = Field(None, max_length=200)
    """The tool or model."""
    status: SpanStatus | None = None
    verdict: SpanVerdict | None = None
    """permit, hold, deny; of approvals their state."""
    outcome: str | None = Field(None, max_length=40)
    rule: str | None = Field(None, max_length=200)
    principal: str | None = Field(None, max_length=200)
    source: SpanSource | None = None
    data: DataClass | None = None
    cost_at_least_usd: Micros | None = None
    text: str | None = Field(None, max_length=200)
    """Words that refusals, holds, errors or approvals have."""

    @model_validator(mode="after")
    def _fits(self) -> Where:
        known = _VERDICTS.get(self.kind or "")
        if self.verdict is not None and known and self.verdict not in known:
            raise ValueError(
                f"verdict: of kind {self.kind} it is {', '.join(known[:-1])} or {known[-1]}"
            )
        return self


class Question(Part):
    """One question with a name: a list of steps, or how many there are of each group."""

    name: Name
    description: Text
    where: Where = Where()
    within: str = "24h"
    """How far back it looks unless told otherwise: 90s, 30m, 12h, 7d, 2w."""
    group_by: tuple[GroupBy, ...] = Field((), max_length=3)
    order: QuestionOrder | None = None
    """What comes first, the most of it; absent: the most steps, of a list the newest."""
    limit: int = Field(50, ge=1, le=500)

    @field_validator("within")
    @classmethod
    def _read(cls, value: str) -> str:
        try:
            seconds = read_duration(value)
        except Invalid as error:
            raise ValueError(f"{error.message}; {error.remedy}") from error
        if not 0 < seconds <= LONGEST_SECONDS:
            raise ValueError(f"from 1s to {LONGEST_SECONDS // 86_400}d")
        return value

    @model_validator(mode="after")
    def _check(self) -> Question:
        if self.name in BUILT_IN:
            raise ValueError(f"name: the plane has a question {self.name} itself; take another")
        if len(set(self.group_by)) < len(self.group_by):
            raise ValueError("group_by: each of them once")
        if not self.group_by and self.order in _OF_GROUPS:
            raise ValueError(f"order: {self.order} counts groups; say group_by, or another order")
        return self
