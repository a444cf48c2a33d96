"""OpenID AuthZEN Authorization API 1.0, and its draft access-request profile, on the wire.

As the specification has it, unknown fields are passed over, and a missing or mistyped one is
refused (400). Names and shapes are the specification's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Semantic = Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"]
TaskStatus = Literal["pending", "approved", "denied", "expired", "cancelled", "failed"]
Text = Annotated[str, Field(min_length=1, max_length=2048)]
MOST_EVALUATIONS = 100


class Taken(BaseModel):
    """A body of the specification: other fields may stand beside those here."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Entity(Taken):
    """A subject or a resource."""

    type: Text
    id: Text
    properties: dict[str, Any] = Field(default_factory=dict)


class NamedAction(Taken):
    """An action."""

    name: Text
    properties: dict[str, Any] = Field(default_factory=dict)


class Evaluation(Taken):
    """May the subject do the action to the resource?"""

    subject: Entity
    action: NamedAction
    resource: Entity
    context: dict[str, Any] = Field(default_factory=dict)


class PartialEvaluation(Taken):
    """One of several evaluations: what it lacks is taken from those it stands in."""

    subject: Entity | None = None
    action: NamedAction | None = None
    resource: Entity | None = None
    context: dict[str, Any] | None = None


class EvaluationOptions(Taken):
    """How several evaluations are gone through."""

    evaluations_semantic: Semantic = "execute_all"


class Evaluations(PartialEvaluation):
    """Several evaluations; without any, one."""

    evaluations: list[PartialEvaluation] = Field(default_factory=list, max_length=MOST_EVALUATIONS)
    options: EvaluationOptions = EvaluationOptions()


class Decided(BaseModel):
    """The answer to one evaluation."""

    decision: bool
    context: dict[str, Any] = Field(default_factory=dict)


class AllDecided(BaseModel):
    """The answers to several, in their order."""

    evaluations: list[Decided]


class Configuration(BaseModel):
    """The metadata of the decision point."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str
    access_request_endpoint: str
    capabilities: list[str]


class Denial(Taken):
    """The denied evaluation that a request is about, as it was answered."""

    expires_at: Text
    binding_token: Text
    evaluation_id: str | None = None


class AccessRequest(Evaluation):
    """Ask for the approval that a denied evaluation needs."""

    denial: Denial


class Task(BaseModel):
    """How an access request stands."""

    id: str
    status: TaskStatus
    status_endpoint: str
    expires_at: str
    progress: dict[str, Any] | None = None


class TaskShown(BaseModel):
    """A task, with its result once it is approved."""

    task: Task
    result: dict[str, Any] | None = None
