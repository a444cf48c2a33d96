"""Who may use which route: every route in one table; a route missing here fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.api.operations import OPERATIONS
from watchkeeper.api.table import Needs, Operation, check_permission
from watchkeeper.core.errors import Forbidden
from watchkeeper.identity.model import PERMISSIONS, Person

NEEDS: dict[tuple[str, str], Needs] = {
    ("GET", "/healthz"): "anyone",
    ("GET", "/readyz"): "anyone",
    ("GET", "/v1/openapi.json"): "anyone",
    ("GET", "/v1/status"): "viewer",
    ("GET", "/v1/watch"): "viewer",
    ("GET", "/v1/upstreams"): "viewer",
    ("GET", "/v1/agents"): "viewer",
    ("GET", "/v1/agents/{agent}"): "viewer",
    ("GET", "/v1/runs"): "viewer",
    ("GET", "/v1/runs/{run}"): "viewer",
    ("GET", "/v1/decisions"): "viewer",
    ("GET", "/v1/requests"): "viewer",
    ("GET", "/v1/requests/{request}"): "viewer",
    ("GET", "/v1/budgets"): "viewer",
    ("GET", "/v1/budgets/{budget:path}"): "viewer",
    ("GET", "/v1/locks"): "viewer",
    ("GET", "/v1/locks/{lock}"): "viewer",
    ("POST", "/v1/locks/preview"): "viewer",
    ("GET", "/v1/events"): "viewer",
    ("GET", "/v1/events/stream"): "viewer",
    ("GET", "/v1/audit/verification"): "viewer",
    ("POST", "/v1/requests/{request}/votes"): "approver",
    ("POST", "/v1/requests/{request}/escalate"): "approver",
    ("POST", "/v1/top-ups/{budget:path}"): "responder",
    ("POST", "/v1/locks"): "responder",
    ("POST", "/v1/locks/{lock}/lift"): "responder",
    ("POST", "/v1/apply"): "admin",
    ("POST", "/v1/enrolments"): "admin",
    ("POST", "/v1/rehearsal/clock"): "admin",
    ("POST", "/v1/persons/tokens"): "owner",
    ("POST", "/v1/plane/stop"): "owner",
    ("POST", "/v1/enrolments/redeem"): "anyone",
    ("POST", "/v1/runs"): "agent",
    ("POST", "/v1/runs/{run}/token"): "agent",
    ("POST", "/v1/runs/{run}/close"): "agent",
    ("POST", "/v1/decide"): "agent",
    ("GET", "/v1/decisions/{decision}"): "agent",
    ("POST", "/v1/decisions/{decision}/outcome"): "agent",
}
SAMPLES = {"agent": "clerk", "budget": "all/day/spend", "lock": "lock_x", "run": "run_x"}
UNAUTHENTICATED, FORBIDDEN = httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN
FOR_PEOPLE = [o for o in OPERATIONS if o.needs not in ("anyone", "agent")]


def test_the_table_holds_every_route() -> None:
    assert {(o.method, o.path): o.needs for o in OPERATIONS} == NEEDS
    assert set(NEEDS.values()) <= set(get_args(Needs))


def test_permissions_include_those_below() -> None:
    for held_index, held in enumerate(PERMISSIONS):
        for needed_index, needed in enumerate(PERMISSIONS):
            person = Person("ada", held, "token")
            if held_index >= needed_index:
                check_permission(needed, person)
            else:
                with pytest.raises(Forbidden):
                    check_permission(needed, person)


@pytest.mark.parametrize("needs", ["anyone", "agent", "owner"])
def test_no_token_stands_for_what_people_do_not_have(needs: Any) -> None:
    with pytest.raises(Forbidden):
        check_permission(needs, Person("ada", "admin", "token"))


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("permissions")).start()
    running.apply(*world(), policy__cedar=POLICY)
    yield running
    running.close()


@pytest.fixture(scope="module")
def tokens(plane: Plane) -> dict[str, str]:
    agent = plane.enrol("clerk")
    issued: dict[str, str] = {
        permission: plane.operator.post(
            "/v1/persons/tokens", {"person": f"p-{permission}", "permission": permission}
        )["token"]
        for permission in PERMISSIONS
    }
    return {**issued, "credential": agent.credential, "run": agent.open_run().token}


def path_of(operation: Operation) -> str:
    path = operation.path.replace(":path", "")
    for name in ("agent", "budget", "lock", "run", "request", "decision"):
        path = path.replace("{" + name + "}", SAMPLES.get(name, f"{name}_x"))
    return path


def status(plane: Plane, operation: Operation, token: str | None) -> int:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with (
        httpx.Client(base_url=plane.url, trust_env=False) as client,
        client.stream(operation.method, path_of(operation), headers=headers) as answer,
    ):
        return answer.status_code


@pytest.mark.parametrize("operation", FOR_PEOPLE, ids=lambda o: f"{o.method} {o.path}")
def test_people_need_the_permission(
    plane: Plane, tokens: dict[str, str], operation: Operation
) -> None:
    assert status(plane, operation, None) == UNAUTHENTICATED
    for not_a_person in ("credential", "run"):
        assert status(plane, operation, tokens[not_a_person]) == UNAUTHENTICATED
    assert status(plane, operation, "wkp_unknown") == UNAUTHENTICATED
    for permission in PERMISSIONS:
        needs = operation.needs
        allowed = needs != "owner" and (PERMISSIONS.index(permission) >= PERMISSIONS.index(needs))
        found = status(plane, operation, tokens[permission])
        assert (found not in (UNAUTHENTICATED, FORBIDDEN)) is allowed, (permission, found)


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.needs == "agent"], ids=lambda o: f"{o.method} {o.path}"
)
def test_agents_routes_are_not_for_people(
    plane: Plane, tokens: dict[str, str], operation: Operation
) -> None:
    for token in (None, tokens["admin"], "wkr_unknown", "wka_unknown"):
        found = status(plane, operation, token)
        # the body is judged first on some routes; what matters is that nothing is done
        assert found in (UNAUTHENTICATED, FORBIDDEN, httpx.codes.BAD_REQUEST), (token, found)


def test_a_run_may_only_close_and_report_its_own(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    mine, other = agent.open_run(), agent.open_run()
    decided = other.decide("books.create_refund", {"charge_id": "ch_1", "amount_usd": 5})
    decision = decided["decision"]
    mine.caller.problem(
        "POST", f"/v1/decisions/{decision}/outcome", {"status": "succeeded"}, status=403
    )
    mine.caller.problem("GET", f"/v1/decisions/{decision}", status=404)
    found = mine.caller.http.post(f"/v1/runs/{other.id}/close", json={"outcome": "succeeded"})
    assert found.status_code in (UNAUTHENTICATED, FORBIDDEN, httpx.codes.NOT_FOUND)
    assert plane.operator.get(f"/v1/runs/{other.id}")["state"] == "open"


def test_a_token_ends_with_its_time(plane: Plane) -> None:
    issued = plane.operator.post("/v1/persons/tokens", {"person": "ada", "ttl_seconds": 60})
    assert plane.caller(issued["token"]).get("/v1/status")["me"]["person"] == "ada"
    plane.advance(61)
    found = plane.caller(issued["token"]).problem("GET", "/v1/status", status=401)
    assert found["rule"] == "identity/person-token"
