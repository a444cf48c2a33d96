"""What an agent that plays a recorded run can reach: nothing else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.replays.agent import work
from tests.replays.ground import anyones, as_person, end, environment, over, play, recorded
from tests.rig.agent import Agent
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from watchkeeper.gateways.replay.playbacks import MOST_OPEN


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


def test_only_some_are_under_way_at_once(plane: Plane, run: tuple[str, list[str]]) -> None:
    def opened(_: int) -> Any:
        answer = plane.operator.http.post(f"/v1/runs/{run[0]}/playbacks", json={"reason": "x"})
        return answer.json()

    with ThreadPoolExecutor(2 * MOST_OPEN) as pool:
        found = list(pool.map(opened, range(2 * MOST_OPEN)))
    begun = [one for one in found if "run" in one]
    try:
        assert 0 < len(begun) <= MOST_OPEN
        assert {one["code"] for one in found if one not in begun} == {"busy"}
    finally:
        for one in begun:
            end(plane, one)


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
