"""The scripted plans settle every item against the real tools, but for those meant to misbehave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.demo.fleet_documents import contracts, tools
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Invalid
from watchkeeper.demo.plans.conversation import Step, plain_name
from watchkeeper.demo.plans.next_step import PLANS, next_step
from watchkeeper.demo.sample import read_work
from watchkeeper.demo.tool_servers.state import ToolState
from watchkeeper.demo.tool_servers.tool import ToolFailed
from watchkeeper.demo.tool_servers.workplaces import WORKPLACES
from watchkeeper.wire.function_names import name_functions, without_dots

ENOUGH = 40


def opening(agent: str, item: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = f"{item['goal']}\n```json\n{canonical(item).decode()}\n```"
    return [
        {"role": "system", "content": f"You are {agent}. Do your work."},
        {"role": "user", "content": text},
    ]


def answer(messages: list[dict[str, Any]], step: Step, content: str) -> None:
    asked = {
        "id": f"call_{len(messages)}",
        "type": "function",
        "function": {"name": without_dots(str(step.tool)), "arguments": "{}"},
    }
    messages.append({"role": "assistant", "content": step.says, "tool_calls": [asked]})
    messages.append({"role": "tool", "tool_call_id": asked["id"], "content": content})


@pytest.fixture
def states(tmp_path: Path) -> dict[str, ToolState]:
    return {name: ToolState(tmp_path / f"{name}.db", w) for name, w in WORKPLACES.items()}


@pytest.mark.parametrize("agent", sorted(PLANS))
def test_every_item_is_settled_within_its_contract(
    agent: str, states: dict[str, ToolState]
) -> None:
    allowed = {a.name for a in contracts()[agent].tools.allowlist}
    most = contracts()[agent].budgets.max_steps
    assert most is not None
    for item in read_work(agent):
        messages, used = opening(agent, item), Counter[str]()
        while (step := next_step(messages)).tool and used.total() < ENOUGH:
            used[step.tool] += 1
            tool = tools()[step.tool]
            try:
                found = states[str(tool.upstream)].call(
                    str(tool.upstream_tool), dict(step.arguments or {})
                )
                content = canonical(found).decode()
            except ToolFailed as error:
                content = canonical({"error": str(error)}).decode()
            answer(messages, step, content)
        temper = item.get("temper")
        if temper == "loops":
            assert used["repo.read_file"] > most
            continue
        assert step.tool is None
        assert used.total() <= most
        strays = set(used) - allowed
        assert strays == ({"catalogue.export_customers"} if temper == "reaches" else set())


@pytest.mark.parametrize("agent", sorted(PLANS))
def test_refused_everything_it_still_ends(agent: str) -> None:
    for item in read_work(agent)[:12]:
        messages = opening(agent, item)
        for _ in range(ENOUGH):
            step = next_step(messages)
            if step.tool is None:
                break
            answer(messages, step, canonical({"error": "DENIED by rule x"}).decode())
        assert step.tool is None
        assert len(messages) < ENOUGH


def test_someone_wants_four_thousand_dollars(states: dict[str, ToolState]) -> None:
    item = read_work("refund-assistant")[1]
    messages = opening("refund-assistant", item)
    while (step := next_step(messages)).tool != "stripe.create_refund":
        tool = tools()[str(step.tool)]
        found = states[str(tool.upstream)].call(str(tool.upstream_tool), dict(step.arguments or {}))
        answer(messages, step, canonical(found).decode())
    assert step.arguments is not None
    assert step.arguments["amount_usd"] == 4000


def test_a_stranger_gets_no_plan() -> None:
    with pytest.raises(Invalid, match="no plan"):
        next_step(opening("somebody-else", {"goal": "x"}))
    with pytest.raises(Invalid):
        next_step([{"role": "user", "content": "hello"}])


def test_names_survive_the_chat_protocol() -> None:
    offered = name_functions(tools()).offered
    for name in tools():
        assert offered[name] == without_dots(name)
        assert plain_name(without_dots(name)) == name
