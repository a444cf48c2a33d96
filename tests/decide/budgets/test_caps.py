"""Which caps are over an action, and what it asks of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.decide.still import POLICY, WORLD, StillFacts, a_run, catalogue, refund
from watchkeeper.budgets.rules import read_budget_id
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.budgets.amounts import asked_of
from watchkeeper.decide.budgets.caps import caps_over
from watchkeeper.decide.budgets.scopes import person_scope
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.model import Action, Progress
from watchkeeper.decide.path import decide
from watchkeeper.wire.decisions import Usage


def budget(name: str, scope: str, period: str, limits: str, more: str = "") -> str:
    return (
        f"---\nbudget: {{name: {name}, scope: '{scope}', period: {period}, "
        f"limits: {{{limits}}}{more}}}\n"
    )


def world(*budgets: str, contract: str = "") -> Catalogue:
    changed = WORLD.replace("owner: finance-ops\n", f"owner: finance-ops\n{contract}", 1)
    return catalogue(changed + "".join(budgets), POLICY)


def over(found: Catalogue, model: str | None = None, **run: Any) -> set[tuple[str, str, str, int]]:
    caps = caps_over(found, a_run(**run), model).caps
    return {(cap.scope, cap.period, cap.measure, cap.cap) for cap in caps if cap.document}


def test_budgets_of_each_kind_cover_who_acts_and_nobody_else() -> None:
    found = world(
        budget("everything", "all", "month", "spend_usd: 1"),
        budget("own", "agent/refund-assistant", "day", "tool_calls: 2"),
        budget("each", "agent/*", "day", "tool_calls: 3"),
        budget("other", "agent/other", "day", "tool_calls: 4"),
        budget("team", "team/finance-ops", "week", "tokens: 5"),
        budget("first", "version/refund-assistant@1", "hour", "retries: 6"),
        budget("second", "version/refund-assistant@2", "hour", "retries: 7"),
        budget("versions", "version/refund-assistant", "hour", "risk_points: 8"),
        budget("project", "project/*", "day", "value_usd: 0.000009"),
        budget("model", "model/small-fast", "day", "output_tokens: 10"),
        budget("person", "person/*", "day", "messages: 11"),
        budget("ada", "person/ada", "day", "objects: 12"),
        budget("wall", "all", "day", "wall_seconds: 13"),
        contract="  project: checkout\n",
    )
    always = {
        ("all", "month", "spend", 1_000_000),
        ("agent/refund-assistant", "day", "tool_calls", 2),
        ("agent/refund-assistant", "day", "tool_calls", 3),
        ("team/finance-ops", "week", "tokens", 5),
        ("version/refund-assistant@1", "hour", "retries", 6),
        ("version/refund-assistant@1", "hour", "risk", 8),
        ("project/checkout", "day", "value", 9),
        ("all", "day", "wall_time", 13_000_000),
    }
    assert over(found) == always
    of_bob = {("person/bob%20b", "day", "messages", 11)}
    assert over(found, on_behalf_of="bob b") == always | of_bob
    of_ada = {("person/ada", "day", "messages", 11), ("person/ada", "day", "objects", 12)}
    of_model = {("model/small-fast", "day", "output_tokens", 10)}
    assert over(found, "small-fast", on_behalf_of="ada") == always | of_ada | of_model
    later = {(s.replace("@1", "@3"), p, m, c) for s, p, m, c in always if c != 6}
    assert over(found, version=3) == later
    assert over(found, agent="nobody") == set()


def test_names_that_agents_make_up_stay_one_word_of_bounded_length() -> None:
    for said in ("a b\nc", "x" * 200, "\ud800", "Ünï " * 50, "*", "a/b", "a@b.example"):
        scope = person_scope(said)
        assert len(scope) < 200
        assert len(scope.split()) == 1
        assert scope.isascii()
        assert "*" not in scope
        assert scope.count("/") == 1
        assert read_budget_id(f"{scope}/day/spend") == (scope, "day", "spend")
    assert person_scope("x" * 200) != person_scope("x" * 199)


@pytest.mark.parametrize("said", ["ada", "Ada", "person/ada", " ADA ", "ａda", "mailto:ada"])
def test_another_spelling_of_a_name_is_no_other_person(said: str) -> None:
    found = world(budget("ada", "person/ada", "day", "objects: 12"))
    assert over(found, on_behalf_of=said) == {("person/ada", "day", "objects", 12)}


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("agent/a", "agent/a", True),
        ("agent/a", "agent/*", True),
        ("agent/a", "agent/b", False),
        ("all", "all", True),
        ("agent/*", "team/*", False),
        ("version/a", "version/*@3", True),
        ("version/a@2", "version/*@3", False),
        ("version/a@2", "version/b", False),
    ],
)
def test_budgets_that_may_meet_are_in_one_zone(one: str, other: str, meet: bool) -> None:
    def apply(period: str) -> Catalogue:
        return world(
            budget("one", one, period, "spend_usd: 1", ", zone: Europe/Berlin"),
            budget("other", other, period, "tokens: 1", ", zone: Asia/Tokyo"),
        )

    apply("hour")  # is the same hour everywhere
    apply("run")
    if not meet:
        apply("day")
        return
    with pytest.raises(Invalid) as refused:
        apply("day")
    assert "'one' (Europe/Berlin) and 'other' (Asia/Tokyo)" in refused.value.message


def test_an_action_asks_of_what_is_capped_and_of_nothing_else() -> None:
    plain = StillFacts(catalogue())
    progress = Progress(amount_micros=7, object_kind="charge", object_id="ch_1")
    assert asked_of(refund(), plain, progress, frozenset()).amounts == {"tool_calls": 1}
    every: frozenset[Any] = frozenset(
        {"retries", "value", "messages", "risk", "objects", "wall_time", "spend"}
    )
    asked = asked_of(refund(), plain, progress, every)
    assert asked.amounts == {
        "tool_calls": 1,
        "value": 7,
        "risk": 3,
        "objects": 1,
        "wall_time": 30_000_000,
    }
    assert asked.touches == "charge/ch_1"
    assert asked_of(refund(), plain, Progress(), frozenset({"objects", "value"})).touches is None
    call = Action("model", "small-fast", {}, Usage(input_tokens=5, output_tokens=2, cost_micros=9))
    asked = asked_of(call, plain, Progress(), every)
    assert asked.amounts == {
        "input_tokens": 5,
        "output_tokens": 2,
        "tokens": 7,
        "spend": 9,
        "retries": 0,
        "wall_time": 120_000_000,
    }


def test_messages_and_points_are_as_documents_say() -> None:
    found = catalogue(
        WORLD.replace("name: stripe.create_refund\n  does", "name: stripe.create_refund\n"
        "  tags: [message]\n  does") + "---\nrisk: {name: medium, points: 17}\n",
        POLICY,
    )  # fmt: skip
    capped: frozenset[Any] = frozenset({"messages", "risk"})
    asked = asked_of(refund(), StillFacts(found), Progress(), capped)
    assert asked.amounts == {"tool_calls": 1, "messages": 1, "risk": 17}


def test_a_run_acts_no_longer_than_its_contract_lets_it() -> None:
    found = catalogue(WORLD.replace("{max_steps: 12,", "{max_steps: 12, max_wall_seconds: 60,"))
    opened = 5_000_000

    def rule(now: int) -> str:
        facts = StillFacts(found, a_run(opened_at=opened), now=now)
        return decide(refund(), facts)[0].rule

    assert rule(opened + 59_999_999) != "contract/refund-assistant/budgets"
    assert rule(opened + 60_000_000) == "contract/refund-assistant/budgets"
