"""Replays of single runs on a plane: steps, other rules, forks; and that they touch nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.command import on
from tests.rig.agent import Agent, Run
from tests.rig.caller import Caller
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.world import POLICY, agent_document, world

STRICTER = POLICY.replace("200000000", "50000000")
ASKED = {"charge_id": "ch_1", "amount_usd": 60}
THEN, NOW = "the charge was refunded", "the bank is closed"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    running = Provider(tmp_path_factory.mktemp("provider")).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("replays")).start()
    try:
        private = agent_document("private").rstrip() + "\n  logging: {zero_retention: true}\n"
        browser = agent_document("browser").replace(
            "{default: small-fast}", "{default: small-fast, hosted_tools: strip}"
        )
        documents = world(
            private, browser, agent_document("seller", owner="sales"), provider_url=provider.url
        )
        people = (
            "operator_role: {name: rewinder, permissions: [read, replay]}\n---\n"
            "person: {name: vera, operates: [{role: viewer}]}\n---\n"
            "person: {name: rita, operates: [{role: viewer}, "
            "{role: rewinder, teams: [finance-ops]}]}\n"
        )
        terms = [one.replace("base_url:", "terms: {retention: zero}\n  base_url:")
                 for one in documents]  # fmt: skip
        running.apply(*terms, people, policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def clerk(plane: Plane) -> Agent:
    return plane.enrol("clerk")


def told(result: str, name: str = "books_create_refund") -> list[dict[str, Any]]:
    function = {"name": name, "arguments": json.dumps(ASKED)}
    call = {"id": "call_1", "type": "function", "function": function}
    return [
        {"role": "user", "content": "refund it"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": result},
    ]


def ask(run: Run, messages: list[dict[str, Any]], **more: Any) -> str:
    """Call a model as an agent does; return the decision."""
    answer = httpx.post(
        f"{run.model_base_url}/chat/completions",
        json={"model": "small-fast", "messages": messages, **more},
        headers={"authorization": f"Bearer {run.token}"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.headers["x-watchkeeper-decision"]


def worked(plane: Plane, agent: Agent, **more: Any) -> tuple[Run, str, str]:
    """Have an agent call a tool and tell a model of it; return the run and both decisions."""
    run = agent.open_run(on_behalf_of="customer/ada")
    called = run.decide("books.create_refund", ASKED)["decision"]
    run.settle(called, usage={"cost_micros": 500})
    asked = ask(run, told(THEN), **more)

    def written() -> bool:
        rows = plane.operator.get(f"/v1/contents/{asked}")["rows"]
        settled = plane.operator.get(f"/v1/runs/{run.id}/steps/{asked}")["outcome"]
        return len(rows) == 2 and settled == "succeeded"

    eventually(written, "what was said")
    # nothing happens to it by itself any more
    run.close()
    return run, called, asked


@pytest.fixture(scope="module")
def recorded(plane: Plane, clerk: Agent) -> tuple[Run, str, str]:
    return worked(plane, clerk)


def fork(plane: Plane, run: Run, at: str, **more: Any) -> Any:
    body = {"at": at, "reason": "what if", **more}
    return plane.operator.post(f"/v1/runs/{run.id}/forks", body)


def as_person(plane: Plane, person: str, role: str) -> Caller:
    body = {"person": person, "permission": role}
    return plane.caller(plane.operator.post("/v1/persons/tokens", body)["token"])


def problem(caller: Caller, run: Run, status: int, **more: Any) -> dict[str, Any]:
    """Ask for a fork that is refused; return why."""
    body = {"reason": "x", **more}
    return caller.problem("POST", f"/v1/runs/{run.id}/forks", body, status=status)


def test_steps_say_what_was_known_at_each(plane: Plane, recorded: tuple[Run, str, str]) -> None:
    run, called, asked = recorded
    found = plane.operator.get(f"/v1/runs/{run.id}/steps")
    assert [row["decision"] for row in found["rows"]] == [called, asked]
    first, second = found["rows"]
    assert (first["step"], first["spent_before"], first["outcome"]) == (1, 0, "succeeded")
    assert (second["step"], second["spent_before"]) == (2, 500)
    detail = plane.operator.get(f"/v1/runs/{run.id}/steps/2")
    assert detail["decision"] == asked
    assert (detail["steps"], detail["model"]) == (2, "small-fast")
    assert [one["part"] for one in detail["contents"]] == ["input", "output"]
    (spend,) = [one for one in detail["budgets"] if one["measure"] == "spend"]
    assert (spend["used"], spend["period"], spend["counted_at"]) == (500, "run", None)
    drawn = on(plane, "replay", "step", run.id).out
    assert "books.create_refund" in drawn
    assert "$0.0005" in drawn
    shown = on(plane, "replay", "step", run.id, "--at", called).out
    assert f"Step 1 of 2 of {run.id}" in shown
    assert "what came out of it is not kept" in shown
    page = plane.operator.get(f"/v1/runs/{run.id}/steps", after=1, limit=1)
    assert [row["step"] for row in page["rows"]] == [2]
    assert page["next"] is None


def test_a_run_is_decided_again_under_another_policy(
    plane: Plane, recorded: tuple[Run, str, str], tmp_path: Path
) -> None:
    run, called, _ = recorded
    file = tmp_path / "policy.cedar"
    file.write_text(STRICTER)
    ended = on(plane, "replay", "decide", run.id, "--policy", str(file))
    assert ended.code == 7, ended.err
    assert "permit → hold" in ended.out
    assert called in ended.out
    assert "It first differs at step 1. Of the steps that ran 1 would not have run" in ended.out
    file.write_text('@id("none") forbid (principal, action, resource == Tool::"books.eco");')
    misspelt = on(plane, "replay", "decide", run.id, "--policy", str(file)).out
    assert 'names Tool::"books.eco", which does not exist' in misspelt
    assert on(plane, "replay", "decide", run.id).code == 0
    contract = tmp_path / "clerk.yaml"
    contract.write_text(agent_document(tools=("echo",)))
    ended = on(plane, "replay", "decide", run.id, "--contract", str(contract), "--json")
    assert ended.json()["of_run"]["steps"][0]["after"] == "deny"


def test_a_fork_says_what_it_would_ask_and_sends_nothing(
    plane: Plane, provider: Provider, recorded: tuple[Run, str, str]
) -> None:
    run, called, asked = recorded
    before = len(provider.requests())
    found = fork(plane, run, called, result=NOW)
    assert (found["replay"], found["run"], found["answered"]) == (True, None, False)
    assert (found["asked"], found["replaced"]) == (asked, 1)
    assert THEN in found["then"]["text"]
    assert len(provider.requests()) == before


def test_a_fork_puts_another_result_to_the_model(
    plane: Plane, provider: Provider, recorded: tuple[Run, str, str]
) -> None:
    run, called, _ = recorded
    events = len(plane.events(run=run.id))
    found = fork(plane, run, called, result=NOW, live_model=True)
    assert found["answered"], found["error"]
    sent = json.loads(json.dumps(provider.requests()[-1]["body"]))
    if isinstance(sent, str):
        sent = json.loads(sent)
    assert sent["messages"][-1]["content"] == NOW
    assert NOW in found["now"]["text"]
    assert found["differs"] is True
    assert found["cost_micros"] > 0

    replay = plane.operator.get(f"/v1/runs/{found['run']}")
    assert (replay["replay_of"], replay["state"], replay["calls"]) == (run.id, "succeeded", 1)
    assert "what if" in replay["goal"]
    assert replay["on_behalf_of"] == "customer/ada"
    (opened,) = plane.events(run=found["run"], type="run.opened")
    assert opened["body"]["replay_of"] == run.id
    assert opened["actor"].startswith("person/")
    whole = plane.operator.get(f"/v1/traces/{found['run']}")["rows"][0]
    assert whole["attributes"]["watchkeeper.replay_of"] == run.id
    listed = plane.operator.get("/v1/runs", agent="clerk")["rows"]
    assert {row["run"]: row["replay_of"] for row in listed}[found["run"]] == run.id
    assert len(plane.events(run=run.id)) == events, "the run that was recorded is as it was"


def test_a_fork_from_the_command_line(
    plane: Plane, recorded: tuple[Run, str, str], tmp_path: Path
) -> None:
    run, called, _ = recorded
    file = tmp_path / "result.txt"
    file.write_text(NOW)
    asked = ("--at", "1", "--result", str(file), "--reason", "what if")
    ended = on(plane, "replay", "fork", run.id, *asked, "--live-model")
    assert ended.code == 0, ended.err
    assert f"A replay of {run.id}, forked at {called}." in ended.out
    assert "It said something else." in ended.out
    assert "! a replay: no tool was called" in ended.out


def test_a_model_call_sent_as_it_was(plane: Plane, recorded: tuple[Run, str, str]) -> None:
    run, _, asked = recorded
    found = fork(plane, run, asked, live_model=True)
    assert (found["replaced"], found["differs"]) == (0, False)


def test_a_streamed_answer_is_compared_by_its_words(plane: Plane, clerk: Agent) -> None:
    run, called, _ = worked(plane, clerk, stream=True, max_tokens=8)
    found = fork(plane, run, called, result=THEN, live_model=True)
    assert found["differs"] is False
    assert any("streamed" in note for note in found["notes"])


def test_what_was_not_kept_can_not_be_sent_again(plane: Plane) -> None:
    run, called, asked = worked(plane, plane.enrol("private"))
    refused = problem(plane.operator, run, 400, at=called, result=NOW)
    assert asked in refused["message"]
    assert "the contract keeps digests only" in refused["message"]
    detail = plane.operator.get(f"/v1/runs/{run.id}/steps/2")
    assert any("the contract keeps digests only" in note for note in detail["notes"])


def test_no_fork_has_its_provider_call_tools(plane: Plane, provider: Provider) -> None:
    run = plane.enrol("browser").open_run()
    asked = ask(run, told(THEN), web_search_options={})
    contents = f"/v1/contents/{asked}"
    eventually(lambda: len(plane.operator.get(contents)["rows"]) == 2, "what was said")
    run.close()
    before = len(provider.requests())
    refused = problem(plane.operator, run, 400, at=asked, live_model=True)
    assert "would call tools by itself" in refused["message"]
    assert len(provider.requests()) == before
    notes = fork(plane, run, asked)["notes"]
    assert any("would call tools by itself" in note for note in notes)
    opened = plane.operator.get("/v1/runs", agent="browser")["rows"]
    assert [one["run"] for one in opened] == [run.id], "no run was opened"


def test_a_fork_needs_its_permission(plane: Plane, recorded: tuple[Run, str, str]) -> None:
    run, called, _ = recorded
    vera, rita = as_person(plane, "vera", "viewer"), as_person(plane, "rita", "rewinder")
    assert "replay" in problem(vera, run, 403, at=called, result=NOW)["message"]
    body = {"at": called, "result": NOW, "reason": "x"}
    assert rita.post(f"/v1/runs/{run.id}/forks", body)["replaced"] == 1


def test_a_fork_is_of_the_teams_that_a_person_has_it_in(plane: Plane) -> None:
    run, called, _ = worked(plane, plane.enrol("seller"))
    caller = as_person(plane, "rita", "rewinder")
    assert caller.get(f"/v1/runs/{run.id}/steps")["rows"]
    problem(caller, run, 403, at=called, result=NOW)


def test_a_lock_stops_forks_too(plane: Plane, provider: Provider) -> None:
    agent = plane.enrol("clerk")
    run, called, _ = worked(plane, agent)
    target = {"kind": "agent", "name": "clerk"}
    lock = plane.operator.post("/v1/locks", {"target": target, "mode": "stop", "reason": "drill"})
    before = len(provider.requests())
    try:
        refused = problem(plane.operator, run, 403, at=called, result=NOW, live_model=True)
    finally:
        plane.operator.post(f"/v1/locks/{lock['lock']}/lift", {"reason": "over"})
    assert refused["rule"] == f"lock/{lock['lock']}"
    assert len(provider.requests()) == before


def everything(plane: Plane) -> dict[str, list[tuple[Any, ...]]]:
    """Everything on record but what the plane writes down by itself as time goes."""
    names = ("decisions", "runs", "budget_balances", "budget_holds", "requests", "budget_spenders")
    with closing(sqlite3.connect(plane.state / "plane.sqlite3")) as database:
        return {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in names}


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.sampled_from(["steps", "step", "decide", "stricter", "dry", "wrong"]),
        min_size=1,
        max_size=5,
    )
)
def test_without_a_live_model_nothing_is_reached_or_changed(
    plane: Plane, provider: Provider, recorded: tuple[Run, str, str], done: list[str]
) -> None:
    run, called, asked = recorded
    before, sent = everything(plane), len(provider.requests())
    for one in done:
        if one == "steps":
            plane.operator.get(f"/v1/runs/{run.id}/steps")
        elif one == "step":
            plane.operator.get(f"/v1/runs/{run.id}/steps/{called}")
        elif one in ("decide", "stricter"):
            files = [{"path": "policy.cedar", "text": STRICTER}] if one == "stricter" else []
            started = plane.operator.post("/v1/policy/replays", {"files": files, "run": run.id})
            path = f"/v1/policy/replays/{started['replay']}"
            assert plane.operator.get(path, wait_seconds=20)["state"] == "done"
        elif one == "dry":
            assert fork(plane, run, called, result=NOW)["replay"] is True
        else:
            problem(plane.operator, run, 400, at=asked, result=NOW)
    assert everything(plane) == before
    assert len(provider.requests()) == sent


def test_a_live_fork_draws_on_no_budget_of_others(
    plane: Plane, recorded: tuple[Run, str, str]
) -> None:
    run, called, _ = recorded
    before = everything(plane)
    found = fork(plane, run, called, result=NOW, live_model=True)
    after = everything(plane)
    for table in ("budget_balances", "budget_holds", "decisions", "runs"):
        added = [row for row in after[table] if row not in before[table]]
        assert added, table
        assert all(found["run"] in row or f"run/{found['run']}" in row or "clerk" in row
                   for row in added), table  # fmt: skip
        assert not any(run.id in row or f"run/{run.id}" in row for row in added), table
    assert after["requests"] == before["requests"]
