"""The fleet works under a real plane, misbehaves as the story wants, and obeys."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from watchkeeper.client.address import Address
from watchkeeper.client.api import PlaneClient
from watchkeeper.core.text import has_hidden
from watchkeeper.demo import fleet
from watchkeeper.demo.agents.profile import PROFILES
from watchkeeper.demo.report import Mark, report

PATIENCE = 60.0
Event = dict[str, Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Demo:
    """A plane with a fleet, and what its ledger says."""

    def __init__(self, directory: Path) -> None:
        # A fixed port: agents know their plane by its address, also after it came back.
        port = ("--port", str(free_port()))
        self.plane = Plane(directory, clock=None, arguments=port).start()
        fleet.start(self.plane.state, socket=self.plane.socket, url=self.plane.url, pace=6, hurry=8)

    def events(self, after: int = 0, **filters: str) -> list[Event]:
        found: list[Event] = []
        while True:
            page = self.plane.operator.get("/v1/events", after=after, limit=500, **filters)
            if not page["rows"]:
                return found
            found += page["rows"]
            after = found[-1]["sequence"]

    def head(self) -> int:
        sequence: int = self.plane.operator.get("/v1/status")["sequence"]
        return sequence

    def wait_for(self, after: int = 0, rule: str = "", **filters: str) -> Event:
        """Return the first event that matches, once there is one."""

        def find() -> Event | None:
            return next(
                (e for e in self.events(after, **filters) if rule in e["body"].get("rule", "")),
                None,
            )

        return eventually(find, f"{filters} {rule}", seconds=PATIENCE, every=0.2)

    def pending(self, **wanted: Any) -> dict[str, Any]:
        """Return a pending request that has these fields, once there is one."""

        def find() -> dict[str, Any] | None:
            rows = self.plane.operator.get("/v1/requests", state="pending", limit=200)["rows"]
            return next((r for r in rows if wanted.items() <= r.items()), None)

        return eventually(find, f"a request {wanted}", seconds=PATIENCE, every=0.2)

    def vote(self, request: dict[str, Any], verdict: str) -> None:
        body = {"verdict": verdict, "digest": request["digest"], "reason": "the test says so"}
        self.plane.operator.post(f"/v1/requests/{request['request']}/votes", body)

    def refunds(self) -> list[tuple[str, int]]:
        path = fleet.fleet_directory(self.plane.state) / "payments.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as books:
            return books.execute("SELECT charge, cents FROM refunds").fetchall()


@contextmanager
def working(directory: Path) -> Iterator[Demo]:
    made = Demo(directory)
    try:
        yield made
    finally:
        fleet.stop(made.plane.state)
        made.plane.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with working(tmp_path_factory.mktemp("demo")) as made:
        yield made


@pytest.fixture
def other_demo(tmp_path: Path) -> Iterator[Demo]:
    """One that a test may end."""
    with working(tmp_path) as made:
        yield made


def test_eight_agents_work_as_processes_of_their_own(demo: Demo) -> None:
    names = {profile.name for profile in PROFILES}
    for name in names:
        demo.wait_for(agent=name, type="outcome.recorded")
    agents = fleet.status(demo.plane.state).agents
    assert set(agents) == names
    assert len(set(agents.values())) == len(names)
    upstreams = demo.plane.operator.get("/v1/upstreams")["rows"]
    assert {row["kind"] for row in upstreams} >= {"mcp-http", "mcp-stdio"}
    # no policy lets an agent call the provider outside the EU
    states = {row["name"]: row["state"] for row in upstreams}
    assert states.pop("overseas") == "unknown"
    # where nobody had to be asked yet; and one that fails now and then
    assert {states.pop("nordic"), states.pop("parley")} <= {"up", "unknown"}
    assert states.pop("local") in ("up", "degraded")
    assert set(states.values()) == {"up"}


@pytest.mark.parametrize(
    ("agent", "rule"),
    [
        ("code-review", "/tool_calls"),
        ("recommendation", "contract/recommendation/tools"),
        ("contract-summary", "budget/team/legal/day/spend"),
        ("loan-origination", "policy/finance-pci-only"),
    ],
    ids=["one loops", "one reaches", "one overspends", "one strays"],
)
def test_misbehaviour_is_stopped_by_its_rule(demo: Demo, agent: str, rule: str) -> None:
    found = demo.wait_for(agent=agent, type="decision.denied", rule=rule)
    assert found["actor"] == f"agent/{agent}"


def test_who_spends_ten_times_as_much_is_stopped_until_one_call_goes_well(demo: Demo) -> None:
    opened = demo.wait_for(type="breaker.opened", agent="cloud-operations")
    assert opened["body"]["detector"] == "cost"
    demo.wait_for(after=opened["sequence"], type="breaker.closed", agent="cloud-operations")
    head = demo.head()
    demo.wait_for(after=head, agent="cloud-operations", type="decision.permitted")


def test_models_are_led_as_their_documents_say(demo: Demo) -> None:
    def causes() -> bool:
        found = {
            event["body"]["routed"].get("cause", "named")
            for event in demo.events(type="decision.permitted")
            if "routed" in event["body"]
        }
        return found >= {"named", "canary", "risk", "contract"}

    eventually(causes, "calls led by canary, risk and contract", seconds=PATIENCE, every=0.5)
    outcomes = [event["body"] for event in demo.events(type="outcome.recorded")]
    assert {body["provider"] for body in outcomes if "provider" in body} >= {
        "local", "nordic", "parley",
    }  # fmt: skip
    assert any(body.get("cached") for body in outcomes)


def test_four_thousand_dollars_go_to_the_finance_lead(demo: Demo) -> None:
    wanted = demo.wait_for(
        agent="refund-assistant", type="request.created", rule="refund-over-1000"
    )
    shown = demo.plane.operator.get(f"/v1/requests/{wanted['request']}")
    assert shown["risk"] == "critical"
    assert shown["amount_micros"] == 4_000_000_000
    assert "returns rules" in shown["explanation"]


def test_text_full_of_escape_sequences_arrives_and_is_told_safely(demo: Demo) -> None:
    def hostile() -> Event | None:
        events = demo.events(agent="customer-support", type="run.opened")
        return next((e for e in events if "\x1b" in e["body"]["goal"]), None)

    eventually(hostile, seconds=PATIENCE, every=0.2)
    state = str(demo.plane.state)
    command = ["-m", "watchkeeper", "events", "--state", state, "--agent", "customer-support"]
    shown = subprocess.run(
        [sys.executable, *command, "--limit", "500"], capture_output=True, text=True, check=True
    ).stdout
    assert "App shows strange text" in shown
    assert not has_hidden(shown.replace("\n", " "))


def test_an_approved_refund_is_a_changed_row_and_a_rejected_one_is_not(demo: Demo) -> None:
    first = demo.pending(tool="stripe.create_refund")
    charge = first["object"]["id"]
    demo.vote(first, "reject")
    demo.wait_for(agent="refund-assistant", type="decision.denied", rule="approval/")
    assert charge not in dict(demo.refunds())
    second = demo.pending(tool="stripe.create_refund")
    demo.vote(second, "approve")
    eventually(lambda: second["object"]["id"] in dict(demo.refunds()), seconds=PATIENCE)
    demo.wait_for(request=second["request"], type="request.succeeded")


def test_what_nobody_decides_is_reminded_escalated_and_denied(demo: Demo) -> None:
    expired = demo.wait_for(type="request.expired")
    types = [e["type"] for e in demo.events(request=expired["request"])]
    assert types.index("request.escalated") < types.index("request.expired")
    assert "request.reminded" in types
    agent = expired["agent"]
    demo.wait_for(after=expired["sequence"], agent=agent, type="decision.permitted")


def test_topped_up_it_goes_on(demo: Demo) -> None:
    demo.wait_for(agent="contract-summary", type="decision.denied", rule="budget/team/legal")
    head = demo.head()
    body = {"amount": 10_000_000, "reason": "the test says so"}
    demo.plane.operator.post("/v1/top-ups/team/legal/day/spend", body)
    demo.wait_for(after=head, agent="contract-summary", type="decision.permitted")


def test_a_killed_agent_is_refused_until_it_is_unlocked(demo: Demo) -> None:
    target = {"kind": "agent", "name": "fraud-detection"}
    lock = demo.plane.operator.post("/v1/locks", {"target": target, "reason": "a drill"})["lock"]
    head = demo.head()
    demo.wait_for(after=head, agent="fraud-detection", type="decision.denied", rule=lock)
    assert not demo.events(after=head, agent="fraud-detection", type="decision.permitted")
    demo.plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "the drill is over"})
    demo.wait_for(after=demo.head(), agent="fraud-detection", type="decision.permitted")


def test_a_crashed_agent_is_enrolled_anew_and_works_on(demo: Demo) -> None:
    demo.wait_for(agent="customer-support", type="outcome.recorded")
    before = fleet.status(demo.plane.state).agents["customer-support"]
    os.kill(before, signal.SIGKILL)
    head = demo.head()
    demo.wait_for(after=head, agent="customer-support", type="agent.enrolled")
    demo.wait_for(after=head, agent="customer-support", type="outcome.recorded")
    eventually(lambda: fleet.status(demo.plane.state).agents["customer-support"] != before)


def test_a_plane_that_dies_finds_its_fleet_again(demo: Demo) -> None:
    demo.wait_for(agent="recommendation", type="outcome.recorded")
    before = fleet.status(demo.plane.state).agents
    demo.plane.kill()
    demo.plane.restart()
    head = demo.head()
    for name in ("recommendation", "customer-support", "cloud-operations"):
        demo.wait_for(after=head, agent=name, type="outcome.recorded")
    assert fleet.status(demo.plane.state).agents == before


async def test_at_the_end_everything_adds_up(other_demo: Demo) -> None:
    demo = other_demo
    demo.vote(demo.pending(agent="refund-assistant", tool="stripe.create_refund"), "approve")
    eventually(demo.refunds, "a refund is made", seconds=PATIENCE, every=0.2)
    eventually(
        lambda: len(demo.events(type="outcome.recorded")) > 100,
        "the fleet has worked", seconds=PATIENCE, every=0.2,
    )  # fmt: skip
    fleet.stop(demo.plane.state)
    directory = fleet.fleet_directory(demo.plane.state)
    async with PlaneClient(Address(socket=demo.plane.socket)) as client:
        found = await report(client, directory, Mark(0, {}), seconds=1, scripted=False)
    assert found["checks"] == {
        "every_refund_has_its_approval": True,
        "every_call_has_its_event": True,
        "ledger_verifies": True,
    }
    assert found["upstream_calls"]["executed"] > 20
