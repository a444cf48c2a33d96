"""What the policy engine is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Literal

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.decisions import Duty, Risk
from watchkeeper.wire.quorum import Groups

ActionName = Literal["use_tool", "call_model", "read_memory", "write_memory"]
ResourceKind = Literal["Tool", "Model", "Store"]


@dataclass(frozen=True, slots=True)
class Question:
    """One action put to the policies. Amounts in micro-dollars."""

    agent: str
    action: ActionName
    resource_kind: ResourceKind
    resource: str
    environment: str
    amount_micros: int = 0
    input_tokens: int = 0
    """What a model call probably takes."""
    output_tokens: int = 0
    """The most that it may give."""
    approvals: frozenset[str] = frozenset()
    """Roles that have approved exactly this action."""
    on_behalf_of: str = ""
    proven: bool = False
    """Whether a token proves on whose behalf, or the agent only says so."""
    data_classes: frozenset[str] = frozenset()
    """Classes of data found in the arguments."""
    object_kind: str = ""
    object_id: str = ""
    model: str = ""
    """The model that the run called last, where a policy reads it."""

    @property
    def est_tokens(self) -> int:
        """The tokens that a model call may use, in and out."""
        return self.input_tokens + self.output_tokens

    def text(self) -> str:
        """Return it as canonical JSON without what is left at its default."""
        meant = {
            name: sorted(value) if type(value) is frozenset else value
            for name, value, default in zip(_NAMES, _values(self), _DEFAULTS.values(), strict=True)
            if value != default
        }
        return canonical(meant).decode()

    @classmethod
    def read(cls, text: str) -> Question:
        """Return the question that `text` says; raise `Invalid` for another text."""
        said = parse(text)
        if not isinstance(said, dict) or not set(said) <= set(_DEFAULTS):
            raise Invalid("this is no recorded question")
        for name in ("approvals", "data_classes"):
            said[name] = frozenset(said.get(name, ()))
        try:
            return cls(**said)
        except TypeError as error:
            raise Invalid("this is no recorded question") from error


_DEFAULTS = {one.name: one.default for one in fields(Question)}
_NAMES = tuple(_DEFAULTS)
_values = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True)
class Obligation:
    """An approval that a policy asks for."""

    policy: str
    role: str
    message: str
    escalation: str | None = None
    sla_seconds: int | None = None
    risk: Risk | None = None
    quorum: Groups = ()
    """Who must agree, the role among them; empty: one of the role."""


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """permit, deny, or ask a person; with the policy that decided.

    A model that is at several places is denied where all of them are. Otherwise the answer is
    that of the first place that is not.
    """

    verdict: Literal["permit", "deny", "ask"]
    policy: str
    message: str
    asks: tuple[Obligation, ...] = ()
    errors: tuple[str, ...] = ()
    duties: tuple[Duty, ...] = ()
    """What a permit, or an approval, carries along."""
    at: Mapping[str, PolicyAnswer] = field(default_factory=dict, compare=False)
    """What is answered at each place of a model; empty for what is at one."""
