"""What people ask coding agents: on record, and what then happened stands below it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.hooks.ground import after, before, command, run, session
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.traces.entries import CALLER

SAID = "pay the card of kim@example.com back"


def tell(
    plane: Plane, enrolled: Path, agent: str, sent: dict[str, Any], **headers: str
) -> dict[str, Any]:
    """Post an event as a hook of type http does."""
    credential = enrolled.read_text().split("WATCHKEEPER_CREDENTIAL=")[1].strip()
    answered = plane.caller(credential).http.post(f"/hooks/{agent}", json=sent, headers=headers)
    assert answered.status_code == 200
    found: dict[str, Any] = answered.json()
    return found


def asked(name: str, turn: str = "p-1") -> dict[str, Any]:
    """Return the event of Claude Code when somebody sends a prompt."""
    return {**session(name, "UserPromptSubmit"), "prompt": SAID, "prompt_id": turn}


def run_of(plane: Plane, name: str) -> str:
    rows = plane.operator.get("/v1/runs", limit=50)["rows"]
    return next(str(row["run"]) for row in rows if (row["business_object"] or {}).get("id") == name)


def test_a_session_is_one_causal_chain_from_what_was_asked(plane: Plane, enrolled: Path) -> None:
    began = {**session("chain"), "source": "startup"}
    tell(plane, enrolled, "claude", began, traceparent=CALLER)
    assert tell(plane, enrolled, "claude", asked("chain")) == {}
    tool = {**before(session="chain", call="toolu_c"), "prompt_id": "p-1"}
    answer = tell(plane, enrolled, "claude", tool)
    assert answer["hookSpecificOutput"]["permissionDecision"] == "allow"
    tell(plane, enrolled, "claude", {**after(session="chain", call="toolu_c"), "prompt_id": "p-1"})
    plane.advance(1)
    tell(plane, enrolled, "claude", asked("chain", "p-2"))
    plane.advance(1)
    unasked = {**before(session="chain", call="toolu_d"), "prompt_id": "never-told"}
    tell(plane, enrolled, "claude", unasked)
    shown = plane.operator.get(f"/v1/traces/{run_of(plane, 'claude:chain')}")
    assert [(row["depth"], row["name"]) for row in shown["rows"]] == [
        (0, "invoke_agent coder"),
        (1, "user_request"),
        (2, "execute_tool claude.bash"),
        (1, "user_request"),
        (1, "execute_tool claude.bash"),
    ]
    assert {row["trace"] for row in shown["rows"]} == {shown["trace"]}
    (link,) = shown["rows"][0]["links"]
    assert (link["relation"], link["trace"]) == ("caller", CALLER.split("-")[1])
    assert shown["rows"][2]["outcome"] == "succeeded"
    assert plane.operator.get("/v1/spans/check")["ok"]


def test_its_words_are_kept_as_the_contract_says_and_not_in_the_ledger(
    plane: Plane, enrolled: Path
) -> None:
    tell(plane, enrolled, "claude", asked("words"))
    (event,) = plane.events(type="run.asked", run=run_of(plane, "claude:words"))
    assert "kim" not in json.dumps(event)
    assert event["body"]["size"] == len(json.dumps(SAID))

    def kept() -> list[str]:
        found = plane.operator.get(f"/v1/contents/{event['subject'].removeprefix('prompt/')}")
        assert found["name"] == "user_request"
        return [row["part"] for row in found["rows"]]

    eventually(lambda: kept() == ["input"], "what was asked is kept")


@pytest.mark.parametrize(
    ("agent", "sent"),
    [
        ("codex", {"hook_event_name": "UserPromptSubmit", "turn_id": "t1"}),
        ("gemini", {"hook_event_name": "BeforeAgent"}),
        ("cursor", {"hook_event_name": "beforeSubmitPrompt", "generation_id": "g1"}),
    ],
)
def test_each_agents_prompts_are_known(
    plane: Plane, enrolled: Path, agent: str, sent: dict[str, Any]
) -> None:
    named = "conversation_id" if agent == "cursor" else "session_id"
    answer = tell(plane, enrolled, agent, {**sent, named: f"of-{agent}", "prompt": "hello"})
    assert answer == ({"continue": True} if agent == "cursor" else {})
    found = run_of(plane, f"{agent}:of-{agent}")
    assert len(plane.events(type="run.asked", run=found)) == 1
    refused = tell(plane, enrolled, agent, {**sent, named: f"of-{agent}", "prompt": 7})
    assert refused.get("continue") is False or "deny" in str(refused) or "block" in str(refused)


def test_nothing_more_is_asked_of_a_session_that_was_stopped(plane: Plane, enrolled: Path) -> None:
    tell(plane, enrolled, "claude", asked("stopped"))
    found = run_of(plane, "claude:stopped")
    target = {"kind": "run", "name": found}
    lock = plane.operator.post("/v1/locks", {"target": target, "reason": "enough"})["lock"]
    try:
        answer = tell(plane, enrolled, "claude", asked("stopped", "p-2"))
    finally:
        plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "go on"})
    assert answer["continue"] is False
    assert len(plane.events(type="run.asked", run=found)) == 1


@pytest.mark.parametrize(
    ("given", "linked"), [(CALLER, True), ("0\r\nx: y" + "0" * 49, False), ("", False)]
)
def test_the_command_names_the_span_that_its_agent_was_started_in(
    plane: Plane, enrolled: Path, tmp_path: Path, given: str, linked: bool
) -> None:
    name = f"started-{linked}-{len(given)}"
    environ = {"TRACEPARENT": given} if given else {}
    ended = run(command("claude", enrolled), session(name), home=tmp_path, environ=environ)
    assert ended.code == 0
    shown = plane.operator.get(f"/v1/traces/{run_of(plane, f'claude:{name}')}")
    assert len(shown["rows"][0]["links"]) == linked
