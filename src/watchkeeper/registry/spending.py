"""Budgets and breakers, as documents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from watchkeeper.registry.parts import Micros, Part, RateLimit, Zone
from watchkeeper.wire.base import NAME, Name
from watchkeeper.wire.budgets import Period
from watchkeeper.wire.decisions import Risk

_ONE = f"({NAME}|\\*)"
SCOPE = f"^(all|(agent|team|project|model|person)/{_ONE}|version/{_ONE}(@([0-9]+|\\*))?)$"
"""`kind/*` is a budget for each one of its kind, apart from the others."""


class BudgetLimits(Part):
    """Caps of one budget; what is not named is not capped."""

    tool_calls: int | None = Field(None, ge=0)
    input_tokens: int | None = Field(None, ge=0)
    output_tokens: int | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)
    spend_usd: Micros | None = None
    retries: int | None = Field(None, ge=0)
    """The same call again in one run, and what the plane sends to a provider again."""
    wall_seconds: int | None = Field(None, ge=0)
    """Time that actions take, from permit to outcome, added up."""
    objects: int | None = Field(None, ge=0)
    """Different business objects that are touched."""
    value_usd: Micros | None = None
    """Money that tools move."""
    messages: int | None = Field(None, ge=0)
    """Calls of tools tagged `message`."""
    risk_points: int | None = Field(None, ge=0)
    """Points of the risk class of each tool call (`risk` documents; 1, 3, 10, 30)."""


class BudgetResponse(Part):
    """What happens once a budget is used so far: percent of its cap, posted and held together.

    Under 100, `degrade` leads model calls to a cheaper model and `throttle` lets calls pass at a
    rate. At 100, where a call has no room, it is refused; `ask` puts a top-up to a person
    instead, `pause` also pauses who spent it until a person resumes.
    """

    at: int = Field(100, ge=1, le=100)
    do: Literal["degrade", "throttle", "ask", "pause", "stop"]
    model: Name | None = None
    """For `degrade`: the logical model that answers."""
    rate: RateLimit | None = None
    """For `throttle`."""
    role: Name | None = None
    """For `ask`: who is asked; absent: whom the agent's contract asks."""
    escalation: Name | None = None
    sla_seconds: int | None = Field(None, ge=5, le=30 * 86_400)
    top_up_percent: int = Field(20, ge=1, le=1000)
    """For `ask`: how much of the cap is asked for, at least what the call needs."""

    @model_validator(mode="after")
    def _check(self) -> BudgetResponse:
        if (self.do == "degrade") != (self.model is not None):
            raise ValueError("model: `degrade` needs one, the others none")
        if (self.do == "throttle") != (self.rate is not None):
            raise ValueError("rate: `throttle` needs one, the others none")
        if self.do in ("ask", "stop") and self.at != 100:
            raise ValueError(f"at: `{self.do}` is what happens at 100")
        return self


class Budget(Part):
    """A cap over everything, or one agent, version, team, project, model or person (or each of
    them), per period.
    """

    name: Name
    scope: str = Field(pattern=SCOPE, max_length=150)
    period: Period
    zone: Zone = "UTC"
    """Where its days, weeks and months begin (IANA name). Hours are whole hours of UTC."""
    limits: BudgetLimits
    mode: Literal["strict", "soft"] = "strict"
    """strict: what a call may cost at most fits, or it is refused. soft: a call passes while
    anything is left, so a cap is passed by one call at most."""
    warn_at: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field((80,), max_length=8)
    """Percent of the cap at which people are told."""
    responses: tuple[BudgetResponse, ...] = Field((), max_length=8)


class LoopDetector(Part):
    """The same call, or the same short round of calls, again and again in one run."""

    repeats: int = Field(5, ge=2, le=1000)
    longest_round: int = Field(4, ge=1, le=16)
    window_seconds: int = Field(600, ge=10, le=86_400)


class StormDetector(Part):
    """Too large a share of the newest calls fail."""

    share: float = Field(0.5, gt=0, le=1)
    calls: int = Field(20, ge=5, le=1000)


class JumpDetector(Part):
    """A sudden rise against what the version used to do (CUSUM on the logarithm)."""

    factor: float = Field(10, ge=2, le=1000)
    baseline_calls: int = Field(100, ge=30, le=5000)


class BurnDetector(Part):
    """A budget would be used up long before its period ends: over a long and a short window."""

    times: float = Field(4.8, gt=1, le=1000)
    """How much faster than evenly."""
    long_minutes: int = Field(30, ge=2, le=10_080)
    short_minutes: int = Field(5, ge=1, le=1440)


class Breaker(Part):
    """What trips the circuit breaker of each agent in scope, and what happens then.

    Open: every call is refused (`pause`), or let pass at a rate (`throttle`). After
    `cool_down_seconds` one call is let through as a probe: if it goes well the breaker closes,
    else it stays open as long again. `reset: person` never probes.
    """

    name: Name
    scope: str = Field(pattern=f"^(all|(agent|team)/{NAME})$")
    cost: JumpDetector | None = None
    rate: JumpDetector | None = None
    loop: LoopDetector | None = None
    errors: StormDetector | None = None
    burn: BurnDetector | None = None
    then: Literal["pause", "throttle"] = "pause"
    throttle: RateLimit | None = None
    cool_down_seconds: int = Field(900, ge=10, le=7 * 86_400)
    reset: Literal["probe", "person"] = "probe"

    @model_validator(mode="after")
    def _check(self) -> Breaker:
        if (self.then == "throttle") != (self.throttle is not None):
            raise ValueError("throttle: give the rate with `then: throttle`, and only then")
        if not any((self.cost, self.rate, self.loop, self.errors, self.burn)):
            raise ValueError("name a detector: cost, rate, loop, errors or burn")
        return self


RISK_POINTS: dict[Risk, int] = {"low": 1, "medium": 3, "high": 10, "critical": 30}
"""What a tool call counts by its risk, where no `risk` document says otherwise."""
