"""A plane that dies right after a lock's commit tells everybody once it is started again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from tests.runtimes.agent_server import AgentServer

Make = Callable[..., Plane]


@pytest.mark.parametrize("mode", ["stop", "drain"])
def test_whoever_was_not_told_is_told_after_the_restart(make_plane: Make, mode: str) -> None:
    with AgentServer() as server:
        document = {
            "name": "there",
            "kind": "langgraph",
            "url": server.url,
            "allow_private": True,
            "agents": [{"id": "refund", "agent": "clerk"}],
        }
        plane = make_plane()
        plane.apply(*world(json.dumps({"runtime": document})), finance__cedar=POLICY)
        run = plane.enrol("clerk").open_run()
        began = server.begin(ours=run.id)
        # it answers nothing until the plane has died: what it is told before is lost
        server.mode = "hanging"
        target = {"kind": "agent", "name": "clerk"}
        body = {"target": target, "mode": mode, "reason": "wrong refunds"}
        lock = plane.operator.post("/v1/locks", body)
        (row,) = [one for one in lock["receipts"] if one["party"] == "runtime/there"]
        assert row["state"] == "attempted"
        plane.kill()
        assert server.runs[server.thread_of(began)][0]["status"] == "running"
        server.mode = "well"
        server.released.set()
        plane.restart()

        def confirmed() -> bool:
            rows = plane.operator.get(f"/v1/locks/{lock['lock']}")["receipts"]
            return all(
                one["state"] == "acknowledged" for one in rows if one["party"] == "runtime/there"
            )

        eventually(confirmed, "the runtime is told")
        assert server.runs[server.thread_of(began)][0]["status"] == "interrupted"
        assert plane.operator.get(f"/v1/runs/{run.id}")["state"] == "stopped"
