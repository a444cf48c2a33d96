"""Agents that play a recorded run: told what was recorded, and reaching nothing else."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.cli.command import on
from tests.replays.agent import LOST, work
from tests.rig.agent import Agent
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world

REFUND = {"charge_id": "ch_1", "amount_usd": 5}
DEFAULT, MORE = "{default: small-fast}", "{default: small-fast, allowed: [claude]}"
CLAUDE = """
provider:
  name: claudes
  protocol: anthropic
  base_url: %s
  models: [{name: claude-1, input_usd_per_million: 1, output_usd_per_million: 5,
            context_window: 200000}]
---
model: {name: claude, provider: claudes, provider_model: claude-1}
"""
PEOPLE = """
operator_role: {name: rewinder, permissions: [read, replay]}
---
person: {name: vera, operates: [{role: viewer}]}
---
person: {name: rita, operates: [{role: viewer}, {role: rewinder, teams: [finance-ops]}]}
"""


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    running = Upstream(tmp_path_factory.mktemp("books")).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    running = Provider(tmp_path_factory.mktemp("provider")).start()
    running.wish(call={"name": "books_create_refund", "arguments": REFUND, "until": "re_"})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def plane(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider, books: Upstream
) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("played")).start()
    try:
        books_document = upstream_document(url=books.url)
        documents = world(
            agent_document("seller", owner="sales"),
            agent_document("watched").rstrip() + "\n  health: {expect_every_seconds: 60}\n",
            agent_document("private").rstrip() + "\n  logging: {trace_level: metadata}\n",
            CLAUDE % provider.url.removesuffix("/v1"),
            PEOPLE,
            upstream=books_document,
            provider_url=provider.url,
            agent=agent_document().replace(DEFAULT, MORE),
        )
        running.apply(*documents, policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def clerk(plane: Plane) -> Agent:
    return plane.enrol("clerk")


def environment(opened: dict[str, Any]) -> dict[str, str]:
    return {
        "WATCHKEEPER_RUN_TOKEN": opened["token"],
        "WATCHKEEPER_MCP_URL": opened["mcp_url"],
        "OPENAI_BASE_URL": opened["model_base_url"],
    }


def recorded(plane: Plane, agent: Agent) -> tuple[str, list[str]]:
    """Have an agent work; return its run, and what it was told."""
    opened = agent.caller.post("/v1/runs", {"goal": "refund it"})
    told = asyncio.run(work(environment(opened)))
    run = opened["run"]

    def kept() -> bool:
        rows = plane.operator.get(f"/v1/runs/{run}/steps")["rows"]
        details = [plane.operator.get(f"/v1/runs/{run}/steps/{row['step']}") for row in rows]
        parts = [{part["part"] for part in one["contents"]} for one in details]
        return bool(rows) and all(one >= {"input", "output"} for one in parts)

    eventually(kept, "what was said")
    plane.caller(opened["token"]).post(f"/v1/runs/{run}/close", {"outcome": "succeeded"})
    return run, told


@pytest.fixture(scope="module")
def run(plane: Plane, clerk: Agent) -> tuple[str, list[str]]:
    return recorded(plane, clerk)


def play(plane: Plane, run: str, **more: Any) -> dict[str, Any]:
    opened: dict[str, Any] = plane.operator.post(
        f"/v1/runs/{run}/playbacks", {"reason": "what if", **more}
    )
    return opened


def end(plane: Plane, opened: dict[str, Any]) -> dict[str, Any]:
    ended: dict[str, Any] = plane.operator.post(f"/v1/runs/{opened['run']}/playback/end", {})
    return ended


def test_an_agent_is_told_what_it_was_told_then(
    plane: Plane, run: tuple[str, list[str]], books: Upstream, provider: Provider
) -> None:
    of_run, told = run
    assert len(told) == 3, told
    opened = play(plane, of_run)
    before = len(books.executions()), len(provider.requests())
    assert asyncio.run(work(environment(opened))) == told
    found = end(plane, opened)
    assert [call["how"] for call in found["calls"]] == ["recorded"] * 3
    assert (found["played"], found["diverged_at"], found["left_out"]) == (3, None, [])
    assert {call["verdict"] for call in found["calls"]} == {"permit"}
    assert (len(books.executions()), len(provider.requests())) == before


def test_it_goes_another_way_where_it_is_told_another_result(
    plane: Plane, run: tuple[str, list[str]], books: Upstream, provider: Provider
) -> None:
    of_run, told = run
    events = len(plane.events(run=of_run))
    opened = play(plane, of_run, at="2", result=LOST)
    before = len(books.executions()), len(provider.requests())
    now = asyncio.run(work(environment(opened)))
    assert now[:2] == [told[0], f"books_create_refund: {LOST}"]
    assert now[2].startswith("books_echo: NOT RECORDED")
    assert now[3] == told[2], "without a live model its answer is the one of then"
    assert (len(books.executions()), len(provider.requests())) == before
    found = end(plane, opened)
    assert [call["how"] for call in found["calls"]] == [
        "recorded", "changed", "refused", "told otherwise",
    ]  # fmt: skip
    other = found["calls"][2]
    assert (found["diverged_at"], other["name"], other["step"]) == (3, "books.echo", None)
    assert json.loads(other["asked"]) == {"text": "what now?"}
    assert other["verdict"] == "permit", "what would be decided is decided all the same"

    events_of = {event["type"]: event for event in plane.events(run=opened["run"])}
    assert set(events_of) == {"run.opened", "replay.diverged", "run.closed"}
    assert events_of["run.opened"]["body"]["replay_of"] == of_run
    assert events_of["run.opened"]["actor"].startswith("person/")
    assert events_of["replay.diverged"]["body"]["after_step"] == 2
    assert "another way with tool books.echo" in events_of["run.closed"]["body"]["summary"]
    assert events_of["run.closed"]["actor"].startswith("person/")
    traced = plane.operator.get(f"/v1/traces/{opened['run']}")["rows"][0]
    assert traced["attributes"]["watchkeeper.replay_of"] == of_run
    assert len(plane.events(run=of_run)) == events, "the run that was recorded is as it was"


def test_with_a_live_model_it_is_asked_what_was_not_recorded(
    plane: Plane, run: tuple[str, list[str]], books: Upstream, provider: Provider
) -> None:
    result = "re_9 another one"
    opened = play(plane, run[0], at="2", result=result, live_model=True)
    before, done = len(provider.requests()), len(books.executions())
    now = asyncio.run(work(environment(opened)))
    assert now[1] == f"books_create_refund: {result}"
    assert "another" in now[2]
    assert len(provider.requests()) == before + 1
    assert provider.requests()[-1]["body"]["messages"][-1]["content"] == result
    assert len(books.executions()) == done
    found = end(plane, opened)
    assert [call["how"] for call in found["calls"]] == ["recorded", "changed", "live"]
    assert found["diverged_at"] is None
    (asked,) = plane.operator.get(f"/v1/runs/{opened['run']}/steps")["rows"]
    assert asked["decision"] == found["calls"][2]["decision"]
    assert (asked["verdict"], asked["cost_micros"] > 0) == ("permit", True)


def test_no_live_call_has_its_provider_call_tools(
    plane: Plane, run: tuple[str, list[str]], provider: Provider
) -> None:
    opened = play(plane, run[0], live_model=True)
    before = len(provider.requests())
    hosted = {"tools": [{"type": "web_search"}], "input": "look it up", "model": "small-fast"}
    answer = httpx.post(
        f"{opened['model_base_url']}/responses",
        json=hosted,
        headers={"authorization": f"Bearer {opened['token']}"},
        timeout=30,
    )
    assert (answer.status_code, "NOT RECORDED" in answer.text) == (404, True)
    assert len(provider.requests()) == before
    assert end(plane, opened)["calls"][0]["how"] == "refused"


def test_what_was_erased_is_not_played(plane: Plane, clerk: Agent, books: Upstream) -> None:
    subject = "kim.canary@people.example"
    opened = clerk.caller.post("/v1/runs", {"goal": "x", "on_behalf_of": subject})
    charge = ("books_lookup_charge", {"charge_id": "ch_3"})
    told = use(opened, *charge)
    plane.caller(opened["token"]).post(f"/v1/runs/{opened['run']}/close", {"outcome": "failed"})
    again = eventually(lambda: play(plane, opened["run"]), tolerate=(AssertionError,))
    ended = play(plane, opened["run"])
    assert use(ended, *charge)["structuredContent"] == told["structuredContent"]
    use(again, "books_echo", {"text": f"write to {subject}"})
    assert subject in plane.operator.get(f"/v1/runs/{again['run']}/playback")["calls"][0]["asked"]
    for one in (ended, again):
        plane.operator.post(f"/v1/runs/{one['run']}/playback/end", {})
    plane.operator.post("/v1/audit/erasures", {"subject": subject, "reason": "asked for it"})
    path = f"/v1/runs/{opened['run']}/playbacks"
    refused = plane.operator.problem("POST", path, {"reason": "x"}, status=400)
    assert "it was erased" in refused["message"]
    assert subject not in json.dumps(plane.operator.get(f"/v1/runs/{again['run']}/playback"))
    partly = play(plane, opened["run"], partly=True)
    assert "NOT RECORDED" in use(partly, *charge)["content"][0]["text"]
    end(plane, partly)


def anyones(plane: Plane, token: str, opened: dict[str, Any]) -> list[httpx.Response]:
    """Try all else that a token could be good for."""
    exchange = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    run = opened["run"]
    tried = [
        ("/v1/decide", {"kind": "tool", "name": "books.echo", "arguments": {}}),
        ("/v1/runs", {"goal": "more"}),
        (f"/v1/runs/{run}/token", {}),
        (f"/v1/runs/{run}/close", {"outcome": "failed"}),
        (f"/v1/runs/{run}/playback/end", {}),
        ("/v1/apply", {}),
        ("/hooks/claude", {"session_id": "s", "hook_event_name": "PreToolUse",
                           "tool_name": "Bash", "tool_input": {"command": "ls"}}),
        ("/hooks/token", {}),
        ("/v1/traces", {"resourceSpans": []}),
        ("/access/v1/evaluation", {}),
    ]  # fmt: skip
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=plane.url, headers=headers, timeout=30) as client:
        found = [client.post(path, json=body) for path, body in tried]
        found.append(client.post("/oauth/token", data=exchange))
        found.append(client.get(f"/v1/runs/{run}"))
    return found


def test_its_token_opens_nothing_else(
    plane: Plane, clerk: Agent, run: tuple[str, list[str]], books: Upstream
) -> None:
    opened = play(plane, run[0])
    token, done = opened["token"], len(books.executions())
    before = len(plane.operator.get("/v1/runs")["rows"])
    for answer in anyones(plane, token, opened):
        said = answer.text
        refused = answer.status_code in (400, 401, 403, 404) or '"deny"' in said or "DENIED" in said
        assert refused, (answer.request.url, answer.status_code, said)
    assert len(plane.operator.get("/v1/runs")["rows"]) == before
    child = {"goal": "more", "parent": token}
    assert clerk.caller.problem("POST", "/v1/runs", child, status=401)
    renewed = clerk.caller.problem("POST", f"/v1/runs/{opened['run']}/token", {}, status=403)
    assert renewed["rule"] == "identity/replay"
    asyncio.run(work(environment(opened)))
    end(plane, opened)
    assert over(plane, opened)
    assert len(books.executions()) == done


def over(plane: Plane, opened: dict[str, Any]) -> bool:
    """Tell whether a replay's token opens nothing at the gateways either."""
    headers = {"authorization": f"Bearer {opened['token']}"}
    message = {"role": "user", "content": "refund it"}
    asks = {"model": "small-fast", "max_tokens": 5, "messages": [message]}
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    calls = {**listed, "method": "tools/call", "params": {"name": "books_echo", "arguments": {}}}
    accept = {"accept": "application/json, text/event-stream"}
    with httpx.Client(base_url=plane.url, headers=headers, timeout=30) as client:
        answers = [
            client.post("/openai/v1/chat/completions", json=asks),
            client.get("/openai/v1/models"),
            client.post("/mcp", json=listed, headers=accept),
            client.post("/mcp", json=calls, headers=accept),
        ]
        by_key = {"x-api-key": opened["token"]}
        answers.append(httpx.post(f"{plane.url}/anthropic/v1/messages", json=asks, headers=by_key))
    assert [one.status_code for one in answers] == [401] * 5, [one.text for one in answers]
    return all("no replay is under way" in one.text for one in answers)


def test_a_kill_ends_it_and_a_lock_silences_it(plane: Plane, run: tuple[str, list[str]]) -> None:
    opened = play(plane, run[0])
    target = {"kind": "agent", "name": "clerk"}
    lock = plane.operator.post("/v1/locks", {"target": target, "mode": "pause", "reason": "drill"})
    try:
        (said,) = asyncio.run(work(environment(opened)))
        assert f"lock/{lock['lock']}" in said
    finally:
        plane.operator.post(f"/v1/locks/{lock['lock']}/lift", {"reason": "over"})
    assert asyncio.run(work(environment(opened))) == run[1], "what was silenced is played then"
    again = play(plane, run[0])
    target = {"kind": "run", "name": again["run"]}
    plane.operator.post("/v1/locks", {"target": target, "mode": "stop", "reason": "drill"})
    assert over(plane, again)
    assert end(plane, opened)["played"] == 3


def as_person(plane: Plane, person: str, role: str) -> Any:
    body = {"person": person, "permission": role}
    return plane.caller(plane.operator.post("/v1/persons/tokens", body)["token"])


def test_it_needs_the_permission_in_the_agents_team(
    plane: Plane, run: tuple[str, list[str]]
) -> None:
    path, body = f"/v1/runs/{run[0]}/playbacks", {"reason": "x"}
    as_person(plane, "vera", "viewer").problem("POST", path, body, status=403)
    rita = as_person(plane, "rita", "rewinder")
    opened = rita.post(path, body)
    assert rita.post(f"/v1/runs/{opened['run']}/playback/end", {})["state"] == "ended"
    other = plane.enrol("seller").open_run()
    other.decide("books.echo", {})
    rita.problem("POST", f"/v1/runs/{other.id}/playbacks", body, status=403)


def test_what_was_not_kept_is_named_before_it_begins(plane: Plane, provider: Provider) -> None:
    agent = plane.enrol("private")
    opened = agent.caller.post("/v1/runs", {"goal": "x"})
    told = asyncio.run(work(environment(opened)))
    plane.caller(opened["token"]).post(f"/v1/runs/{opened['run']}/close", {"outcome": "failed"})
    path = f"/v1/runs/{opened['run']}/playbacks"

    def named() -> Any:
        said = plane.operator.problem("POST", path, {"reason": "x"}, status=400)
        return said if "step 3" in said["message"] and "digests" in said["message"] else None

    refused = eventually(named, "what is missing")
    assert "3 of the steps" in refused["message"]
    assert len(told) == 3
    again = play(plane, opened["run"], partly=True)
    assert len(again["missing"]) == 3
    before = len(provider.requests())
    (said,) = asyncio.run(work(environment(again)))
    assert "NOT RECORDED" in said
    assert "digests only" in said
    found = end(plane, again)
    assert (found["calls"][0]["how"], found["diverged_at"]) == ("refused", None)
    assert len(provider.requests()) == before


def test_no_run_without_steps_is_played_nor_a_step_that_can_not_change(
    plane: Plane, clerk: Agent, run: tuple[str, list[str]]
) -> None:
    empty = clerk.open_run()
    paths = {one: f"/v1/runs/{one}/playbacks" for one in (empty.id, run[0], "run_0")}
    call = plane.operator.problem
    assert "no steps" in call("POST", paths[empty.id], {"reason": "x"}, status=400)["message"]
    call("POST", paths["run_0"], {"reason": "x"}, status=404)
    for at, result in (("1", "x"), ("2", None), (None, "x")):
        call("POST", paths[run[0]], {"reason": "x", "at": at, "result": result}, status=400)


def test_refusals_and_failures_are_told_again(plane: Plane, clerk: Agent) -> None:
    opened = clerk.caller.post("/v1/runs", {"goal": "x"})
    calls: list[tuple[str, dict[str, Any]]] = [
        ("books_create_refund", {"charge_id": "ch_1", "amount_usd": 2000}),
        ("books_create_refund", {"charge_id": "ch_1", "amount_usd": 300}),
        ("books_fail", {"message": "no luck"}),
        ("books_lookup_charge", {"charge_id": "ch_2"}),
        ("books_lookup_charge", {"charge_id": "ch_2"}),
    ]
    told = [use(opened, name, arguments) for name, arguments in calls]
    plane.caller(opened["token"]).post(f"/v1/runs/{opened['run']}/close", {"outcome": "failed"})
    again = eventually(lambda: play(plane, opened["run"]), tolerate=(AssertionError,))
    now = [use(again, name, arguments) for name, arguments in calls]
    assert [one["content"][0]["text"].partition(" The request expires")[0] for one in told] == [
        one["content"][0]["text"] for one in now
    ]
    assert [one["isError"] for one in now] == [True, True, True, False, False]
    assert now[3]["structuredContent"] == told[3]["structuredContent"]
    assert "NOT RECORDED" in use(again, *calls[4])["content"][0]["text"]
    found = end(plane, again)
    assert [call["verdict"] for call in found["calls"]][:3] == ["deny", "hold", "permit"]
    assert "has no other call of books.lookup_charge" in found["calls"][-1]["why"]
    assert found["diverged_at"] == 6


def test_a_call_that_its_agent_named_is_told_again(plane: Plane, clerk: Agent) -> None:
    opened = clerk.caller.post("/v1/runs", {"goal": "x"})
    call: tuple[str, dict[str, Any], str] = ("books_lookup_charge", {"charge_id": "ch_2"}, "one")
    told = [use(opened, *call) for _ in range(2)]
    plane.caller(opened["token"]).post(f"/v1/runs/{opened['run']}/close", {"outcome": "failed"})
    again = eventually(lambda: play(plane, opened["run"]), tolerate=(AssertionError,))
    now = [use(again, *call) for _ in range(2)]
    assert [one["content"] for one in now] == [one["content"] for one in told]
    found = end(plane, again)
    assert ([one["step"] for one in found["calls"]], found["diverged_at"]) == ([1, 1], None)


def test_what_a_person_approved_then_is_told_at_once(plane: Plane, clerk: Agent) -> None:
    opened = clerk.caller.post("/v1/runs", {"goal": "x"})
    call: tuple[str, dict[str, Any]] = (
        "books_create_refund",
        {"charge_id": "ch_2", "amount_usd": 250},
    )
    assert "PENDING APPROVAL" in use(opened, *call)["content"][0]["text"]
    (row,) = [
        one
        for one in plane.operator.get("/v1/requests", state="pending")["rows"]
        if one["run"] == opened["run"]
    ]
    detail = plane.operator.get(f"/v1/requests/{row['request']}")
    vote = {"verdict": "approve", "digest": detail["digest"], "reason": "seen"}
    plane.operator.post(f"/v1/requests/{row['request']}/votes", vote)
    told = use(opened, *call)
    assert told["isError"] is False
    plane.caller(opened["token"]).post(f"/v1/runs/{opened['run']}/close", {"outcome": "failed"})
    again = eventually(lambda: play(plane, opened["run"]), tolerate=(AssertionError,))
    waiting = plane.operator.get("/v1/requests", state="pending")["rows"]
    assert use(again, *call)["structuredContent"] == told["structuredContent"]
    (found,) = end(plane, again)["calls"]
    assert (found["how"], found["step"], found["verdict"]) == ("recorded", 2, "hold")
    assert plane.operator.get("/v1/requests", state="pending")["rows"] == waiting, "nobody is asked"


def test_of_calls_side_by_side_each_step_answers_one(plane: Plane, clerk: Agent) -> None:
    opened = clerk.caller.post("/v1/runs", {"goal": "x"})
    call: tuple[str, dict[str, Any]] = ("books_lookup_charge", {"charge_id": "ch_2"})
    for _ in range(2):
        use(opened, *call)
    plane.caller(opened["token"]).post(f"/v1/runs/{opened['run']}/close", {"outcome": "failed"})
    again = eventually(lambda: play(plane, opened["run"]), tolerate=(AssertionError,))
    with ThreadPoolExecutor(6) as threads:
        told = list(threads.map(lambda _: use(again, *call), range(6)))
    assert sorted(one["isError"] for one in told) == [False] * 2 + [True] * 4
    found = end(plane, again)
    assert sorted(one["step"] for one in found["calls"] if one["step"]) == [1, 2]
    assert [one["number"] for one in found["calls"]] == [1, 2, 3, 4, 5, 6]
    diverged = [one for one in plane.events(run=again["run"]) if one["type"] == "replay.diverged"]
    assert len(diverged) == 1


def test_nobody_waits_for_a_sign_of_a_replay(plane: Plane, run: tuple[str, list[str]]) -> None:
    opened = play(plane, run[0])
    plane.advance(700)
    plane.operator.get("/v1/watch")
    happened = {event["type"] for event in plane.events(run=opened["run"])}
    assert happened == {"run.opened"}, "it is neither silent nor lost"
    plane.advance(201)
    assert over(plane, opened), "it lasts as long as a run's token"
    assert end(plane, opened)["state"] == "ended"


def test_a_replay_is_no_sign_of_an_agent(plane: Plane) -> None:
    run, _ = recorded(plane, plane.enrol("watched"))

    def is_silent() -> bool:
        types = [one["type"] for one in plane.events(agent="watched")]
        return [one for one in types if one in ("agent.silent", "agent.back")][-1:] == [
            "agent.silent"
        ]

    eventually(lambda: not is_silent(), "the agent did something")
    plane.advance(100)
    eventually(is_silent, "the agent is silent")
    opened = play(plane, run)
    asyncio.run(work(environment(opened)))
    end(plane, opened)
    plane.advance(1)
    assert is_silent()


def use(
    opened: dict[str, Any], name: str, arguments: dict[str, Any], key: str | None = None
) -> dict[str, Any]:
    """Call a tool with nothing but a request."""
    params: dict[str, Any] = {"name": name, "arguments": arguments}
    if key is not None:
        params["_meta"] = {"watchkeeper/idempotency-key": key}
    answer = httpx.post(
        opened["mcp_url"],
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
        headers={"authorization": f"Bearer {opened['token']}",
                 "accept": "application/json, text/event-stream"},
        timeout=30,
    )  # fmt: skip
    found: dict[str, Any] = answer.json()["result"]
    return found


def conversation(opened: dict[str, Any]) -> list[str]:
    """Ask in both protocols, whole and as streams, with the official clients."""
    said = [{"role": "user", "content": "say these five words please"}]
    ours: Any = said
    asks: Any = {"max_tokens": 5, "messages": ours}
    heard = []
    with openai.OpenAI(
        api_key=opened["token"], base_url=opened["model_base_url"], max_retries=0
    ) as one:
        more: Any
        for more in ({}, {"stream_options": {"include_usage": True}}):
            pieces: Any = list(
                one.chat.completions.create(model="small-fast", stream=True, **asks, **more)
            )
            words = (piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
            counts = [piece.usage.completion_tokens for piece in pieces if piece.usage]
            heard.append(f"{''.join(words).strip()} {counts}")
        with one.responses.stream(model="small-fast", input=ours, max_output_tokens=9) as events:
            heard.append(events.get_final_response().output_text)
    with anthropic.Anthropic(
        api_key=opened["token"], base_url=opened["anthropic_base_url"], max_retries=0
    ) as other:
        message = other.messages.create(model="claude", **asks)
        heard.append(json.dumps(message.model_dump(), sort_keys=True))
        with other.messages.stream(model="claude", **asks) as events:
            final = events.get_final_message()
            heard.append(json.dumps(final.model_dump(), sort_keys=True))
    return heard


def test_answers_come_whole_and_as_streams_in_both_protocols(
    plane: Plane, clerk: Agent, provider: Provider
) -> None:
    opened = clerk.caller.post("/v1/runs", {"goal": "x"})
    heard = conversation(opened)
    plane.caller(opened["token"]).post(f"/v1/runs/{opened['run']}/close", {"outcome": "succeeded"})
    again = eventually(lambda: play(plane, opened["run"]), tolerate=(AssertionError,))
    before = len(provider.requests())
    assert conversation(again) == heard
    assert len(provider.requests()) == before
    assert [call["how"] for call in end(plane, again)["calls"]] == ["recorded"] * 5


COMMAND = """
import json, os, urllib.request
def post(url, body):
    headers = {"authorization": "Bearer " + os.environ["WATCHKEEPER_RUN_TOKEN"],
               "content-type": "application/json", "accept": "application/json, text/event-stream"}
    asked = urllib.request.Request(url, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(asked))
def use(name, **arguments):
    params = {"name": name, "arguments": arguments}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = post(os.environ["WATCHKEEPER_MCP_URL"], asked)
    return answer["result"]["content"][0]["text"]
messages = [{"role": "user", "content": "refund it"}]
asked = {"model": "small-fast", "max_tokens": 9, "messages": messages}
post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", asked)
said = use("books_create_refund", charge_id="ch_1", amount_usd=5)
print(said)
if "closed" in said:
    print(use("books_echo", text="what now?"))
print(sorted(name for name in os.environ if name.startswith("WATCHKEEPER_")))
"""


def test_a_command_is_the_agent(plane: Plane, run: tuple[str, list[str]], tmp_path: Path) -> None:
    file = tmp_path / "result.txt"
    file.write_text(LOST)
    asked = ("replay", "agent", run[0], "--reason", "what if", "--at", "2", "--result", str(file))
    ended = on(plane, *asked, "--", sys.executable, "-c", COMMAND)
    assert ended.code == 7, ended.err
    assert f"{LOST}\nNOT RECORDED" in ended.out
    assert "WATCHKEEPER_RUN_TOKEN" in ended.out
    assert "WATCHKEEPER_STATE" not in ended.out, "nothing of the person's own goes along"
    assert "It went another way with call 3: tool books.echo" in ended.out
    assert "not played  3 small-fast" in ended.out
    ended = on(plane, *asked, "--", "/nowhere/at-all")
    assert (ended.code, "could not be started" in ended.err) == (1, True)


def test_without_a_command_it_says_what_the_agent_needs(
    plane: Plane, run: tuple[str, list[str]]
) -> None:
    ended = on(plane, "replay", "agent", run[0], "--reason", "what if")
    assert ended.code == 0, ended.err
    exported = dict(
        shlex.split(line)[1].split("=", 1)
        for line in ended.out.splitlines()
        if line.startswith("export ")
    )
    assert asyncio.run(work(exported)) == run[1]
    shown = on(plane, "replay", "report", exported["WATCHKEEPER_RUN_ID"])
    assert "3 of 3 recorded steps" in shown.out
    assert "not yet" in shown.out
    shown = on(plane, "replay", "report", exported["WATCHKEEPER_RUN_ID"], "--end", "--json")
    assert (shown.code, shown.json()["state"]) == (0, "ended")
    nothing = play(plane, run[0])["run"]
    shown = on(plane, "replay", "report", nothing)
    assert (shown.code, "so far it left out step 1" in shown.out) == (0, True)
    shown = on(plane, "replay", "report", nothing, "--end")
    assert (shown.code, "it left out step 1" in shown.out) == (7, True)


def test_a_plane_that_was_started_anew_plays_nothing(
    plane: Plane, run: tuple[str, list[str]]
) -> None:
    opened = play(plane, run[0])
    plane.stop()
    plane.restart()
    opened |= {"mcp_url": f"{plane.url}/mcp"}
    assert over(plane, opened)
    for answer in anyones(plane, opened["token"], opened):
        assert answer.status_code != 200 or "den" in answer.text.casefold(), answer.text
    plane.operator.problem("GET", f"/v1/runs/{opened['run']}/playback", status=404)
