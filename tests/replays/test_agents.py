"""Agents that play a recorded run: told what was recorded, or what they would do next."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx
import openai

from tests.replays.agent import LOST, work
from tests.replays.ground import end, environment, play, use
from tests.rig.agent import Agent
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream


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
