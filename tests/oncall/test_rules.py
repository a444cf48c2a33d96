from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid
from watchkeeper.oncall.model import Entry, EscalationPolicy, Level, Position, Step
from watchkeeper.oncall.rules import covers, enter, next_step

S = 1_000_000
POLICY = EscalationPolicy((Level("ops"), Level("lead", 60), Level("head", 300)), 45)


def walk(policy: EscalationPolicy, sla: int) -> list[Step]:
    """Every step of a request made at 0 that nobody decides and everybody could."""
    position, steps = Position(1, 0), []
    while True:
        step = next_step(policy, position, decide_by=sla * S)
        steps.append(step)
        if step.kind == "timeout":
            return steps
        if step.kind == "escalate":
            position = replace(position, level=step.level, entered_at=step.due_at, reminders=0)
        elif step.kind == "repeat":
            position = Position(1, step.due_at, 0, position.round + 1, step.due_at)
        else:
            position = replace(position, reminders=position.reminders + 1)


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


def test_who_holds_every_role_covers_each() -> None:
    assert covers({"*"}, "ops")
    assert not covers({"all"}, "ops")


def test_rounds_begin_again_after_the_last_level_has_had_its_time() -> None:
    policy = EscalationPolicy((Level("ops"), Level("lead", 60)), repeat=2)
    assert [(s.kind, s.due_at // S) for s in walk(policy, 1000)] == [
        ("escalate", 60),
        ("repeat", 120),
        ("escalate", 180),
        ("repeat", 240),
        ("escalate", 300),
        ("timeout", 1000),
    ]
    alone = EscalationPolicy((Level("ops"),), repeat=1, repeat_after_seconds=90)
    assert [(s.kind, s.due_at // S) for s in walk(alone, 1000)] == [
        ("repeat", 90),
        ("timeout", 1000),
    ]


def test_while_somebody_is_on_it_nothing_is_due_but_its_end_and_the_deadline() -> None:
    position = Position(1, 0, acknowledged_until=150 * S)
    assert next_step(POLICY, position, decide_by=200 * S) == Step("resume", 150 * S, 1)
    assert next_step(POLICY, position, decide_by=150 * S) == Step("timeout", 150 * S, 1)


LADDER = EscalationPolicy(
    (Level("ops"), Level("lead", 60), Level("", 90, "pager"), Level("head", 120)),
    skip_if_empty=True,
)


@pytest.mark.parametrize(
    ("level", "empty", "entry"),
    [
        (1, set(), Entry(1)),
        (1, {"ops"}, Entry(2, (1,))),
        (1, {"ops", "lead"}, Entry(4, (1, 2, 3))),
        (3, {"ops", "lead", "head"}, Entry(3)),
        (2, {"lead", "head"}, Entry(4, (2, 3, 4), empty=True)),
        (4, {"head"}, Entry(4, (4,), empty=True)),
    ],
)
def test_levels_that_nobody_holds_are_passed_over(
    level: int, empty: set[str], entry: Entry
) -> None:
    assert enter(LADDER, level, empty.__contains__) == entry


def test_without_skipping_every_level_is_entered() -> None:
    policy = replace(LADDER, skip_if_empty=False)
    assert enter(policy, 1, {"ops"}.__contains__) == Entry(1, empty=True)
    assert enter(policy, 3, {"ops"}.__contains__) == Entry(3)


def test_a_policy_of_one_level_says_when_it_begins_again() -> None:
    with pytest.raises(Invalid):
        EscalationPolicy((Level("ops"),), repeat=1)
