"""A lock that a newer plane left in the store: it refuses all there is, is listed, and lifts."""

from __future__ import annotations

import contextlib
import json
import sqlite3

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world


def test_what_only_a_newer_plane_can_tell_is_listed_and_refuses_everything(plane: Plane) -> None:
    plane.apply(*world(), finance__cedar=POLICY)
    agent = plane.enrol("clerk")
    body = {"target": {"kind": "tool", "name": "books.refund"}, "reason": "odd answers"}
    lock = plane.operator.post("/v1/locks", body)["lock"]
    plane.kill()
    with contextlib.closing(sqlite3.connect(plane.state / "plane.sqlite3")) as store:
        changed = store.execute(
            "UPDATE locks SET target_kind = 'planet', target_name = 'mars', mode = 'quench'"
        )
        assert changed.rowcount == 1
        store.commit()
    plane.start()

    (row,) = plane.operator.get("/v1/locks")["rows"]
    assert (row["target"], row["mode"]) == ({"kind": "unknown", "name": "planet mars"}, "stop")
    (need,) = (one for one in plane.operator.get("/v1/watch")["rows"] if one["kind"] == "lock")
    assert need["risk"] == "high"
    assert "unknown planet mars" in need["text"]
    refused = agent.caller.problem("POST", "/v1/runs", {"goal": "refunds"}, status=403)
    assert refused["rule"] == f"lock/{lock}"
    assert "planet mars is killed: odd answers" in json.dumps(refused)

    plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "nobody knows what it was"})
    agent.open_run()
