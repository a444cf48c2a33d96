"""The same on PostgreSQL, and with the plane killed in the middle."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import httpx
import pytest

from tests.identity.conftest import Issuers, documents
from tests.identity.oauth import EXCHANGE, JWT, exchange, given, refused
from tests.identity.test_children import left, open_child
from tests.identity.test_exchange import person, refund
from tests.rig.plane import Plane
from tests.rig.postgres import Postgres
from tests.rig.world import POLICY

ROUNDS = 3


@pytest.mark.postgres
def test_exchanges_children_and_limits_on_postgres(
    make_plane: Callable[..., Plane], postgres: Postgres, issuers: Issuers
) -> None:
    url = postgres.create_database()
    plane = make_plane(database=url)
    try:
        plane.apply(*documents(issuers), policy__cedar=POLICY)
        lead, helper = plane.enrol("lead"), plane.enrol("helper")
        details = [{"type": "tool_call", "max_calls": 2}]
        top = given(
            exchange(plane, person(issuers, plane), JWT, actor_token=lead.credential,
                     details=details)
        )  # fmt: skip
        child = open_child(helper, top["access_token"])
        assert refund(plane, child.token, 1)["verdict"] == "permit"
        assert refund(plane, top["access_token"], 1)["verdict"] == "permit"
        assert refund(plane, child.token, 1)["rule"] == "identity/authorization-details"
        child.close()
        assert sum(left(plane, top["run"])) == 2
        plane.operator.post("/v1/signing-keys/rotate", {"reason": "x"})
        assert len(plane.caller().get("/oauth/jwks")["keys"]) == 1
        done = plane.operator.http.post("/oauth/revoke", data={"token": top["access_token"]})
        assert done.status_code == 200
        refused(exchange(plane, top["access_token"]), "invalid_request")
    finally:
        plane.close()
        postgres.drop_database(url)


def test_a_token_that_was_given_out_survives_a_kill(
    make_plane: Callable[..., Plane], issuers: Issuers
) -> None:
    """Acknowledged is durable, and a child that nobody was told of holds nothing for ever."""
    plane = make_plane(clock="running")
    plane.apply(*documents(issuers), policy__cedar=POLICY)
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    parent = lead.open_run()
    told: list[str] = []
    for _ in range(ROUNDS):
        asking = threading.Thread(
            target=exchange_on, args=(plane.url, parent.token, helper.credential, told)
        )
        before = len(told)
        asking.start()
        while len(told) < before + 2 and asking.is_alive():
            asking.join(0.005)
        plane.kill()
        asking.join()
        plane.restart()
    for token in told:
        found = plane.caller(token).http.post("/oauth/introspect", data={"token": token}).json()
        assert found["active"] is True, "a token that its caller has was lost"
    rows = plane.operator.get("/v1/runs", agent="helper", limit=500)["rows"]
    children = [row for row in rows if row["parent"] == parent.id]
    assert len(children) >= len(told)
    posted, held = left(plane, parent.id)
    assert posted + held <= 10
    assert plane.operator.get("/v1/audit/verification")["ok"]
    parent_row = lead.caller.post(f"/v1/runs/{parent.id}/close", {"outcome": "succeeded"})
    assert parent_row["state"] == "succeeded"
    assert left(plane, parent.id) == (0, 0)


def exchange_on(url: str, subject: str, actor: str, told: list[str]) -> None:
    """Open children, each of no calls, until the plane is gone."""
    form = {"grant_type": EXCHANGE, "subject_token": subject, "actor_token": actor,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}  # fmt: skip
    with httpx.Client(base_url=url, trust_env=False) as http, contextlib.suppress(httpx.HTTPError):
        while True:
            answer = http.post("/oauth/token", data=form)
            if answer.status_code != 200:
                return
            told.append(answer.json()["access_token"])
