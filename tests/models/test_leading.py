"""Which model a call comes to: tables of conditions, and what holds of every canary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.models.leading import RISKS, Asking, follow, in_share, judging
from watchkeeper.registry.providers import EscalateOn, LogicalModel
from watchkeeper.wire.decisions import Risk


class Run:
    """How a run has gone, and what was asked of it."""

    def __init__(
        self, errors: tuple[int, int] = (0, 0), amount: int = 0, risk: Risk | None = None
    ) -> None:
        self.errors = errors
        self.amount = amount
        self.risk = risk
        self.asked: list[str] = []

    def tool_errors(self) -> tuple[int, int]:
        self.asked.append("errors")
        return self.errors

    def largest_amount(self) -> int:
        self.asked.append("amount")
        return self.amount

    def highest_risk(self) -> Risk | None:
        self.asked.append("risk")
        return self.risk


def model(name: str, **more: Any) -> LogicalModel:
    """A logical model over one target."""
    return LogicalModel.model_validate(
        {"name": name, "provider": "p", "provider_model": name, **more}
    )


def models(*found: LogicalModel) -> dict[str, LogicalModel]:
    return {one.name: one for one in found}


def asking(*conditions: dict[str, Any], to: str | None = None, run: str = "run_1") -> Asking:
    """A contract whose default is `small`, as the refund assistant's is written."""
    on = tuple(EscalateOn.model_validate(one) for one in conditions)
    return Asking("refund-assistant", 3, run, "small", to, on)


REFUND = ({"tool_error_rate_gt": 0.05}, {"amount_usd_ge": 200})


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run(), None),
        (Run(errors=(1, 20)), None),
        (Run(errors=(3, 20)), "escalated to large: 3 of 20 tool calls failed (15 % > 5 %)"),
        (Run(errors=(1, 19)), "escalated to large: 1 of 19 tool calls failed (5.3 % > 5 %)"),
        (Run(errors=(1, 1)), "escalated to large: 1 of 1 tool calls failed (100 % > 5 %)"),
        (Run(amount=199_999_999), None),
        (
            Run(amount=200_000_000),
            "escalated to large: the run asked to move $200.00 (>= $200.00)",
        ),
    ],
)
def test_a_contract_escalates_its_default_model_on_what_the_run_has_done(
    run: Run, words: str | None
) -> None:
    known = models(model("small", escalates_to="large"), model("large"))
    leads = follow("small", known.get, asking(*REFUND), run)
    assert [lead.words for lead in leads] == ([words] if words else [])
    assert all(lead.rule == "contract/refund-assistant/escalate_on" for lead in leads)
    assert follow("large", known.get, asking(*REFUND), run) == ()


def test_the_contracts_own_stronger_model_comes_before_the_models() -> None:
    known = models(model("small", escalates_to="large"), model("large"), model("other"))
    (lead,) = follow("small", known.get, asking(*REFUND, to="other"), Run(errors=(1, 1)))
    assert lead.model == "other"


def test_a_call_stays_where_nothing_stronger_is_named() -> None:
    known = models(model("small"))
    assert follow("small", known.get, asking(*REFUND), Run(errors=(9, 9))) == ()


def test_no_figure_is_looked_up_that_no_condition_asks_for() -> None:
    run = Run()
    follow("small", models(model("small", escalates_to="large")).get, asking(), run)
    follow("small", models(model("small")).get, asking(*REFUND), run)
    assert run.asked == []
    known = models(model("small", escalates_to="large"))
    follow("small", known.get, asking({"amount_usd_ge": 1}), run)
    assert run.asked == ["amount"]


@pytest.mark.parametrize(
    ("risk", "model_", "words"),
    [
        (None, None, None),
        ("low", None, None),
        ("medium", "careful", "careful answers runs that asked for a tool of medium risk"),
        (
            "high",
            "careful",
            "careful answers runs that asked for a tool of medium risk (this one: high)",
        ),
        ("critical", "expert", "expert answers runs that asked for a tool of critical risk"),
    ],
)
def test_the_highest_risk_that_is_reached_leads(
    risk: Risk | None, model_: str | None, words: str | None
) -> None:
    known = models(model("small", by_risk={"medium": "careful", "critical": "expert"}))
    leads = follow("small", known.get, asking(), Run(risk=risk))
    assert [(lead.model, lead.words) for lead in leads] == ([(model_, words)] if words else [])
    assert all((lead.cause, lead.rule) == ("risk", "model/small/by_risk") for lead in leads)


@pytest.mark.parametrize("least", RISKS)
@pytest.mark.parametrize("risk", RISKS)
def test_a_risk_and_those_above_it_escalate(least: Risk, risk: Risk) -> None:
    known = models(
        model("small", escalates_to="large", escalate_on=[{"risk_ge": least}]), model("large")
    )
    leads = follow("small", known.get, asking(), Run(risk=risk))
    assert bool(leads) == (RISKS.index(risk) >= RISKS.index(least))


def test_each_step_is_followed_and_no_model_is_come_to_twice() -> None:
    on = [{"tool_error_rate_gt": 0}]
    known = models(
        model("small", escalates_to="large", escalate_on=on),
        model("large", escalates_to="huge", escalate_on=on),
        model("huge", escalates_to="small", escalate_on=on),
    )
    leads = follow("small", known.get, asking(), Run(errors=(1, 2)))
    assert [lead.model for lead in leads] == ["large", "huge"]


def test_a_version_that_is_tried_is_led_whatever_the_share() -> None:
    canary = {"model": "next", "percent": 0, "versions": ["refund-assistant@3"]}
    known = models(model("small", canary=canary))
    (lead,) = follow("small", known.get, asking(), Run())
    assert (lead.model, lead.cause) == ("next", "canary")
    assert lead.words == "canary next answers all runs of refund-assistant@3"
    older = Asking("refund-assistant", 2, "run_1", "small")
    assert follow("small", known.get, older, Run()) == ()
    assert follow("small", known.get, asking(), Run(), avoided=["next"]) == ()


@given(st.text(min_size=1, max_size=40), st.integers(0, 99))
def test_a_canarys_share_is_stable_and_grows_with_its_percent(run: str, percent: int) -> None:
    """A run that a share holds is in every larger one: no run goes back and forth."""
    inside = in_share("small", run, percent)
    assert inside == in_share("small", run, percent)
    assert not in_share("small", run, 0)
    assert in_share("small", run, 100)
    assert not inside or in_share("small", run, percent + 1)


@pytest.mark.parametrize("percent", [1, 10, 50, 90])
def test_a_canarys_share_is_as_large_as_it_says(percent: int) -> None:
    runs = 20_000
    inside = sum(in_share("small", f"run_{n}", percent) for n in range(runs))
    # five standard deviations of a fair draw
    spread = 5 * (runs * percent * (100 - percent)) ** 0.5 / 100
    assert abs(inside - runs * percent / 100) <= spread


def test_what_is_asked_of_the_answer_is_the_contracts_for_its_default() -> None:
    schema = {"output_fails_schema": {"type": "object"}}
    small = model("small", escalates_to="large")
    found = judging(small, small, asking(schema, REFUND[0]))
    assert found is not None
    assert (found.model, found.rule) == ("large", "contract/refund-assistant/escalate_on")
    assert [one.output_fails_schema for one in found.conditions] == [{"type": "object"}]
    assert judging(small, model("large"), asking(schema)) is None
    unsure = model("mid", escalates_to="large", escalate_on=[{"output_matches": "not sure"}])
    found = judging(unsure, unsure, asking(schema))
    assert found is not None
    assert found.rule == "model/mid/escalate_on"
