"""A stop reaches what was handed on: children at any depth, and tokens exchanged from theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.identity.conftest import Issuers, documents
from tests.identity.oauth import exchange, given, refused
from tests.identity.test_children import open_child, why_not
from tests.identity.test_exchange import decide
from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("delegation")).start()
    try:
        running.apply(*documents(Issuers()), policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("kind", ["run", "agent", "version", "team", "everything"])
def test_nothing_below_a_killed_run_goes_on(plane: Plane, kind: str) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    top = lead.open_run()
    middle = open_child(helper, top.token, budget={"tool_calls": 4})
    bottom = open_child(helper, middle.token, budget={"tool_calls": 2})
    chain: tuple[Run, ...] = (top, middle, bottom)
    narrow = [
        given(exchange(plane, run.token, scope="class:read"))["access_token"] for run in chain
    ]
    for token in (*(run.token for run in chain), *narrow):
        assert decide(plane, token, "books.lookup_charge", charge_id="ch_1")["verdict"] == "permit"
    version = plane.operator.get(f"/v1/runs/{top.id}")["version"]
    names = {
        "run": top.id, "agent": "lead", "version": f"lead@{version}", "team": "finance-ops",
        "everything": "*",
    }  # fmt: skip
    target = {"kind": kind, "name": names[kind]}
    row = plane.operator.post("/v1/locks", {"target": target, "reason": "stop"})
    (receipt,) = [one for one in row["receipts"] if one["effect"] == "block delegation"]
    assert receipt["state"] == "acknowledged"
    lock = row["lock"]
    try:
        for token in (*(run.token for run in chain), *narrow):
            said = decide(plane, token, "books.lookup_charge", charge_id="ch_1")
            assert (said["verdict"], said["rule"]) == ("deny", f"lock/{lock}")
            refused(exchange(plane, token, scope="class:read"), "invalid_request")
            assert why_not(helper, token) == f"lock/{lock}"
    finally:
        plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "over"})
    for token in (*(run.token for run in chain), *narrow):
        said = decide(plane, token, "books.lookup_charge", charge_id="ch_1")
        assert (said["verdict"], said["rule"]) == ("deny", "lock/run-stopped")
        refused(exchange(plane, token, scope="class:read"), "invalid_request")
