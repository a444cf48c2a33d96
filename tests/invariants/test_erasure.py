"""A person planted wherever an agent can put words: in no entry ever, and nowhere once erased."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.cli.command import on
from tests.invariants.test_canaries import Planted, agent, files, leaks, tools
from tests.rig.agent import Run
from tests.rig.caller import Caller
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, upstream_document, world
from watchkeeper.core.digest import digest

KIM = "user/Kim.Canary@people.example"
BYSTANDER = "bystander@people.example"


async def work(plane: Plane, planted: Planted, **more: Any) -> Run:
    """Have an agent put people everywhere, and end its run."""
    run = plane.enrol("clerk").open_run(
        f"write to {planted.person('goal')}",
        business_object={"kind": "customer", "id": planted.person("object")},
        **more,
    )
    explained: Any = {"watchkeeper/explanation": f"for {planted.person('explanation')}"}
    async with run.mcp() as client:

        async def call(tool: str, **arguments: Any) -> None:
            await client.call_tool(f"books.{tool}", arguments, meta=explained)

        await call("vaulted", text=planted.person("passed argument and result"))
        await call("vaulted", text=json.dumps({"inner": planted.person("json in text")}))
        await call("vaulted", text="x", **{planted.person("key"): [planted.person("deep")]})
        await call("vaulted", text=f"with {BYSTANDER} and {planted.person('two in one')}")
        await call("failing", message=f"no {planted.person('tool error')}")
        await call("misfit", text=planted.person("withheld result"))
        await call("echo", text=planted.person("denied argument"))
        await call("grave", text=planted.person("held argument"))
        await call("echo", text=7, **{planted.person("schema key"): planted.person("schema value")})
    asked = run.decide(
        "books.vaulted", {"text": planted.person("asked")}, explanation=planted.person("why")
    )
    run.settle(asked["decision"], "failed", error=f"lost {planted.person('reported error')}")
    (held,) = plane.operator.get("/v1/requests", agent="clerk")["rows"]
    request = f"/v1/requests/{held['request']}"
    plane.operator.post(f"{request}/comments", {"text": f"who is {planted.person('comment')}?"})
    shown = plane.operator.get(request)
    plane.operator.post(
        f"{request}/votes",
        {
            "digest": shown["digest"],
            "verdict": "reject",
            "reason": f"not for {planted.person('vote')}",
        },
    )
    run.caller.post(
        f"/v1/runs/{run.id}/close",
        {"outcome": "failed", "summary": f"left {planted.person('summary')}"},
    )
    return run


def answers(plane: Plane, run: Run) -> dict[str, str]:
    """What the API tells of an agent's run, by where."""
    get = plane.operator.get
    requests = get("/v1/requests", state="all")["rows"]
    found: dict[str, Any] = {
        "events": plane.events(),
        "decisions": get("/v1/decisions", run=run.id),
        "run": get(f"/v1/runs/{run.id}"),
        "requests": [get(f"/v1/requests/{row['request']}") for row in requests],
        "spans": get("/v1/spans", run=run.id),
        "subjects": get("/v1/audit/subjects"),
    }
    return {where: json.dumps(answer, ensure_ascii=False) for where, answer in found.items()}


def entries(plane: Plane) -> str:
    """Every entry of the ledger as it is stored."""
    with contextlib.closing(sqlite3.connect(plane.state / "plane.sqlite3")) as database:
        return "\n".join(map(str, database.execute("SELECT * FROM events")))


@pytest.mark.parametrize("behalf", [KIM, None])
async def test_nothing_is_left_of_whoever_is_erased_and_the_ledger_stands(
    make_plane: Callable[..., Plane], upstream: Upstream, behalf: str | None
) -> None:
    plane = make_plane()
    plane.apply(
        *world(upstream=upstream_document(url=upstream.url), agent=agent("clerk", "off")),
        tools(),
        policy__cedar=POLICY,
    )
    planted = Planted()
    run = await work(plane, planted, **({"on_behalf_of": behalf} if behalf else {}))
    people = {**planted.people, "behalf": "kim.canary@people.example"}

    stored = entries(plane)
    assert leaks(people, {"entries": stored}) == []
    assert KIM not in stored
    told = answers(plane, run)
    for place in ("goal", "vote", "comment", "summary", "reported error"):
        assert people[place] in told["events"] + told["requests"], f"{place} is read as it was"
    before = plane.operator.get("/v1/audit/verification")

    also = [word for one in list(people.values())[:20] for word in ("--also", one)]
    erased = on(
        plane, "audit", "erase", KIM, *also, "--yes", "--reason", "asked to be forgotten", "--json"
    )
    assert erased.code == 0, erased.err
    found = json.loads(erased.out)
    assert found["values"]
    assert found["rows"]
    assert found["entries"] == 0

    assert leaks(people, answers(plane, run)) == []
    assert leaks(people, files(plane)) == []
    assert "[erased]" in json.dumps(plane.events(run=run.id))
    assert BYSTANDER in json.dumps(plane.operator.get("/v1/audit/subjects"))
    after = plane.operator.get("/v1/audit/verification")
    assert after["ok"], after
    assert re.search(r"commit to: .*[\d,]+ erased", " ".join(after["notes"]))
    assert after["entries"] > before["entries"]

    plane.stop()
    assert leaks(people, files(plane)) == []
    plane.start()
    assert leaks(people, answers(plane, run)) == []


async def test_a_known_value_cannot_be_told_from_the_entries(
    make_plane: Callable[..., Plane], upstream: Upstream
) -> None:
    plane = make_plane()
    plane.apply(
        *world(upstream=upstream_document(url=upstream.url), agent=agent("clerk", "off")),
        tools(),
        policy__cedar=POLICY,
    )
    run = plane.enrol("clerk").open_run("say it", on_behalf_of=KIM)
    asked = run.decide("books.grave", {"text": BYSTANDER})
    assert asked["verdict"] == "hold"
    held = plane.operator.get(f"/v1/requests/{asked['request']}")
    stored = entries(plane)

    guesses = {text.encode() for text in (KIM, KIM.lower(), BYSTANDER, run.id)}
    digests = {hashlib.new(name, text).hexdigest() for name in ("sha256", "sha512")
               for text in guesses}  # fmt: skip
    digests.add(held["digest"].removeprefix("sha256:"))
    with contextlib.closing(sqlite3.connect(plane.state / "plane.sqlite3")) as database:
        kept = database.execute("SELECT digest, call_digest FROM decisions").fetchall()
    digests |= {one.removeprefix("sha256:") for row in kept for one in row if one}
    digests.add(digest("watchkeeper/arguments/v1", {"text": BYSTANDER}).removeprefix("sha256:"))
    assert [one for one in digests if one in stored] == []
    assert held["digest"] in json.dumps(plane.events(request=asked["request"])), "readers have it"


async def test_nothing_is_erased_that_is_still_needed(
    make_plane: Callable[..., Plane], upstream: Upstream
) -> None:
    plane = make_plane()
    plane.apply(
        *world(upstream=upstream_document(url=upstream.url), agent=agent("clerk", "off")),
        tools(),
        "person: {name: pat}",
        policy__cedar=POLICY,
    )
    run = plane.enrol("clerk").open_run("say it", on_behalf_of=KIM)

    def refused(**more: Any) -> str:
        answer = plane.operator.http.post(
            "/v1/audit/erasures", json={"subject": KIM, "reason": "asked for it", **more}
        )
        assert answer.is_error, answer.text
        return str(answer.json()["code"])

    assert refused() == "work_is_open"
    run.close()
    assert refused(reason=f"{KIM} asked") == "invalid"
    assert refused(subject="person/pat") == "is_staff"
    assert refused(subject="nobody@people.example") == "not_found"

    plane.operator.post(
        "/v1/locks",
        {"target": {"kind": "agent", "name": "clerk"}, "reason": "it went wrong", "mode": "stop"},
    )
    (incident,) = plane.operator.get("/v1/incidents")["rows"]
    assert refused() == "held"
    shown = plane.operator.post("/v1/audit/erasures/preview", {"subject": KIM})
    assert shown["held_by"] == [incident["incident"]]
    assert (
        plane.operator.get("/v1/audit/subjects")["rows"][0]["name"] == "kim.canary@people.example"
    )
    done = plane.operator.post(
        "/v1/audit/erasures",
        {"subject": KIM, "reason": "a court said so", "despite": shown["held_by"]},
    )
    (event,) = plane.events(type="subject.erased")
    assert event["sequence"] == done["sequence"]
    assert event["body"]["despite"] == shown["held_by"]
    assert "kim" not in json.dumps(event).lower()


async def test_a_plane_that_is_killed_while_it_erases_ends_it_when_it_is_back(
    make_plane: Callable[..., Plane], upstream: Upstream
) -> None:
    plane = make_plane()
    plane.apply(
        *world(upstream=upstream_document(url=upstream.url), agent=agent("clerk", "off")),
        tools(),
        policy__cedar=POLICY,
    )
    planted = Planted()
    run = await work(plane, planted, on_behalf_of=KIM)
    people = {**planted.people, "behalf": "kim.canary@people.example"}
    wanted = {
        "subject": KIM,
        "also": list(planted.people.values()),
        "reason": "asked to be forgotten",
    }

    def erase() -> None:
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            asker.post("/v1/audit/erasures", wanted)

    asker, watcher = (Caller("http://plane", socket=plane.socket) for _ in range(2))
    asking = threading.Thread(target=erase)
    asking.start()
    eventually(
        lambda: watcher.get("/v1/events", type="subject.erasing")["rows"], "the keys are destroyed"
    )
    plane.kill()
    asking.join()
    for one in (asker, watcher):
        one.close()
    plane.restart()

    def ended() -> bool:
        (row,) = plane.operator.get("/v1/audit/erasures")["rows"]
        return row["ended_at"] is not None

    eventually(ended, "the erasure is finished")
    assert leaks(people, answers(plane, run)) == []
    assert leaks(people, files(plane)) == []
    assert len(plane.events(type="subject.erasing")) == 1
    assert len(plane.events(type="subject.erased")) == 1
    assert plane.operator.get("/v1/audit/verification")["ok"]
