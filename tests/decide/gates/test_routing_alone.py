"""The short way of calls that one target answers as asked: it comes to what the long way does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.gates.routing_ground import CAN, WORLD, call, put
from tests.decide.still import StillFacts, catalogue
from watchkeeper.decide.gates import routing
from watchkeeper.decide.model import Action
from watchkeeper.decide.path import decide
from watchkeeper.wire.decisions import Usage


@given(
    model=st.sampled_from(("small", "large", "tiny", "unpriced", "nowhere", "judged", "cheap")),
    sent=st.integers(0, 4000),
    likely=st.integers(0, 4000),
    output=st.integers(0, 4000),
    said=st.integers(0, 20_000),
    endpoint=st.sampled_from(("chat_completions", "embeddings", "messages", None)),
    budgets=st.sampled_from(
        ("", "max_output_tokens_per_call: 1000", "max_cost_usd_per_call: 0.004")
    ),
)
def test_the_short_way_of_most_calls_comes_to_the_same(
    model: str,
    sent: int,
    likely: int,
    output: int,
    said: int,
    endpoint: str | None,
    budgets: str,
) -> None:
    arguments = {"endpoint": endpoint, "input_tokens": likely}
    estimate = Usage(input_tokens=sent, output_tokens=output, cost_micros=said)
    action = Action("model", model, arguments, estimate, fulfils=CAN)
    ruling, progress, facts = put(action, budgets=budgets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routing, "answer_alone", lambda *_: False)
        longer, its, others = put(action, budgets=budgets)
    assert (ruling, progress, facts.asked) == (longer, its, others.asked)


def test_what_changes_of_the_contract_changes_where_its_calls_go() -> None:
    held = catalogue(WORLD % "", "")
    assert decide(call("large"), StillFacts(held))[0].verdict == "permit"
    agent = held.agents["refund-assistant"]
    moved = replace(agent, contract=agent.contract.model_copy(update={"regions": ("us",)}))
    elsewhere = replace(held, agents={"refund-assistant": moved})
    assert decide(call("large"), StillFacts(elsewhere))[0].verdict == "deny"
