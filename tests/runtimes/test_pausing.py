"""A pause in a plane: it reaches what runs in runtimes, and lifting it lets that go on."""

from __future__ import annotations

from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.runtimes.agent_server import AgentServer
from tests.runtimes.watched import AGENTS, RUNTIME


def test_a_paused_agents_run_is_paused_and_goes_on_once_that_is_lifted(plane: Plane) -> None:
    with AgentServer() as server:
        text = RUNTIME.format(url=server.url, timeout=2)
        plane.apply(AGENTS, text.replace("poll_seconds: 10", "poll_seconds: 1"))
        server.begin(ours=plane.enrol("clerk").open_run().id)

        def states() -> set[str]:
            rows = plane.operator.get("/v1/runtimes/there/runs")["rows"]
            return {row["state"] for row in rows}

        eventually(lambda: states() == {"running"}, "it is listed")
        target = {"kind": "agent", "name": "clerk"}
        paused = {"target": target, "mode": "pause", "reason": "look first"}
        lock = plane.operator.post("/v1/locks", paused)["lock"]

        def said() -> bool:
            rows = plane.operator.get(f"/v1/locks/{lock}")["receipts"]
            return any(
                (row["party"], row["state"]) == ("runtime/there", "acknowledged") for row in rows
            )

        eventually(said, "the runtime's receipt")
        eventually(lambda: states() == {"paused"}, "it is listed as paused")
        plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "it is fine"})
        eventually(lambda: "running" in states(), "it goes on")
