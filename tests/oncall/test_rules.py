from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid
from watchkeeper.oncall.model import EscalationPolicy, Level, Position, Role, Step
from watchkeeper.oncall.rules import covers, next_step, roles_of

S = 1_000_000
POLICY = EscalationPolicy((Level("ops"), Level("lead", 60), Level("head", 300)), 45)


def walk(policy: EscalationPolicy, sla: int) -> list[Step]:
    """Every step of a request made at 0 that nobody decides."""
    position, steps = Position(1, 0), []
    while True:
        step = next_step(policy, position, created_at=0, decide_by=sla * S)
        steps.append(step)
        if step.kind == "timeout":
            return steps
        if step.kind == "escalate":
            position = Position(step.level, step.due_at)
        else:
            position = Position(position.level, position.entered_at, position.reminders + 1)


def test_levels_reminders_and_deadline_follow_each_other_at_their_times() -> None:
    assert [(s.kind, s.due_at // S, s.level) for s in walk(POLICY, 200)] == [
        ("remind", 45, 1),
        ("escalate", 60, 2),
        ("remind", 105, 2),
        ("remind", 150, 2),
        ("remind", 195, 2),
        ("timeout", 200, 2),
    ]


def test_at_one_time_the_deadline_comes_first_then_the_escalation() -> None:
    policy = EscalationPolicy((Level("ops"), Level("lead", 90)), 45)
    assert [s.kind for s in walk(policy, 90)] == ["remind", "timeout"]
    assert [s.kind for s in walk(policy, 91)] == ["remind", "escalate", "timeout"]


@given(
    st.lists(st.integers(1, 50), max_size=4),
    st.none() | st.integers(1, 40),
    st.integers(1, 120),
)
def test_steps_never_go_back_and_end_at_the_deadline(
    gaps: list[int], remind: int | None, sla: int
) -> None:
    delays = [0]
    for gap in gaps:
        delays.append(delays[-1] + gap)
    policy = EscalationPolicy(tuple(Level(f"r{n}", n) for n in delays), remind)
    steps = walk(policy, sla)
    assert [s.due_at for s in steps] == sorted(s.due_at for s in steps)
    assert [s.level for s in steps] == sorted(s.level for s in steps)
    assert steps[-1].due_at == sla * S
    assert sum(s.kind == "escalate" for s in steps) == sum(0 < delay < sla for delay in delays)
    assert steps[-1].level == sum(delay < sla for delay in delays)


@pytest.mark.parametrize("delays", [(), (1,), (0, 0), (0, 5, 5), (0, 9, 3)])
def test_levels_that_do_not_rise_from_zero_are_refused(delays: tuple[int, ...]) -> None:
    with pytest.raises(Invalid):
        EscalationPolicy(tuple(Level("ops", delay) for delay in delays))


def test_roles_by_name_for_anyone_and_for_the_owner() -> None:
    roles = [
        Role("ops", frozenset({"ada", "grace"})),
        Role("all", frozenset({"*"})),
        Role("root", frozenset({"owner"})),
    ]
    assert roles_of("ada", roles) == {"ops", "all"}
    assert roles_of("owner", roles) == {"all", "root"}
    assert roles_of("eve", roles, is_owner=True) == {"all", "root"}
    assert covers({"*"}, "ops")
    assert not covers({"all"}, "ops")
