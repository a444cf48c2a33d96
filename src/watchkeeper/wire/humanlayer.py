"""The function calls of HumanLayer's API (SDK 0.7), as far as approvals need them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.wire.base import Shown
from watchkeeper.wire.function_names import LONGEST


class _Loose(BaseModel):
    """What its client sends beside what is read here is passed over, as that API does."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class FunctionSpec(_Loose):  # type: ignore[no-redef]
    """A function that an agent would call, with its arguments."""

    fn: str = Field(max_length=LONGEST)
    """A tool as contracts call it, or as agents are offered it; shown is the contract's name."""
    kwargs: dict[str, Any] = Field(default_factory=dict)


class SubmitFunctionCall(_Loose):
    """A function call to be approved; `call_id` is the client's own and names it in its run."""

    run_id: str = Field(max_length=200)
    call_id: str = Field(min_length=1, max_length=200, pattern="^[!-.0-~]+$")
    """A segment of a path: one with a slash could never be asked after."""
    spec: FunctionSpec


class FunctionCallStatus(Shown):
    """Where a function call stands; `approved` is null while nobody has decided."""

    requested_at: str
    responded_at: str | None = None
    approved: bool | None = None
    comment: str | None = None


class FunctionCall(Shown):
    """A function call with where it stands."""

    run_id: str
    call_id: str
    spec: FunctionSpec
    status: FunctionCallStatus
