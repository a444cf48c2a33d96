"""Who may use which route: every route, by hand; a route missing here fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.api.permission_table import (
    ALSO_FOR_PEOPLE,
    BY_TEAM,
    HOLDS,
    NARROWED,
    NEEDS,
    SEEN_BY_TEAM,
    STANDING,
)
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import POLICY, agent_document, world
from tests.runtimes.agent_server import AgentServer
from tests.runtimes.watched import RUNTIME
from tests.telemetry.said import send, span
from watchkeeper.api.operations import OPERATIONS
from watchkeeper.api.table import Operation
from watchkeeper.wire.permissions import BUILT_IN_ROLES

PEOPLE = """
operator_role: {name: treasurer, permissions: [top-up]}
---
person: {name: fin, operates: [{role: admin, teams: [finance-ops]}]}
---
person: {name: lex, operates: [{role: admin, teams: [legal]}]}
---
person: {name: less, operates: [{role: viewer}]}
---
person: {name: gone, operates: [{role: admin}]}
"""
UNAUTHENTICATED, FORBIDDEN = httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN
NOT_PEOPLE = ("anyone", "agent")
FOR_PEOPLE = [o for o in OPERATIONS if o.needs not in NOT_PEOPLE]


@dataclass(frozen=True)
class Ground:
    """A plane with things of team finance-ops, and a token for everybody."""

    plane: Plane
    http: httpx.Client
    tokens: dict[str, str]
    things: dict[str, str]

    def answer(self, operation: Operation, token: str | None) -> tuple[int, str]:
        """Call a route; return the status and, of a refusal, its rule."""
        path = operation.path.replace(":path", "")
        for part in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
            path = path.replace("{" + part + "}", self.things.get(part, f"{part}_x"))
        with self.http.stream(
            operation.method,
            path,
            json=BY_TEAM.get(operation.path) if operation.method == "POST" else None,
            headers={"authorization": f"Bearer {token}"} if token else {},
        ) as answer:
            if answer.status_code not in (UNAUTHENTICATED, FORBIDDEN):
                return answer.status_code, ""
            answer.read()
            return answer.status_code, str(answer.json().get("rule"))

    def admits(self, operation: Operation, token: str | None) -> bool:
        """Tell whether a route lets a caller in, whatever it then makes of what was sent."""
        status, rule = self.answer(operation, token)
        return status != UNAUTHENTICATED and not rule.startswith("permission/")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    plane = Plane(tmp_path_factory.mktemp("permissions")).start()
    try:
        plane.apply(*world(), agent_document("scribe"), PEOPLE, policy__cedar=POLICY)
        with (
            httpx.Client(base_url=plane.url, trust_env=False) as http,
            AgentServer() as server,
        ):
            yield prepare(plane, http, server)
    finally:
        plane.close()


def prepare(plane: Plane, http: httpx.Client, server: AgentServer) -> Ground:
    plane.apply(RUNTIME.format(url=server.url, timeout=5).replace("reader", "clerk"))
    elsewhere = server.begin()
    eventually(lambda: plane.operator.get("/v1/runtimes/there/runs")["rows"], "it is listed")
    agent = plane.enrol("clerk")
    run = agent.open_run()
    plane.enrol("clerk")  # the newest credential, which one test takes back
    held = run.decide("books.create_refund", {"charge_id": "ch_1", "amount_usd": 300})
    tokens = {role: issue(plane, f"p-{role}", role) for role in HOLDS}
    for person in ("fin", "lex", "less", "gone"):
        tokens[person] = issue(plane, person, "admin")
    tokens["revoked"] = issue(plane, "rev", "admin")
    listed = plane.operator.get("/v1/persons/tokens")["rows"]
    (mine,) = [row["id"] for row in listed if row["person"] == "rev"]
    plane.operator.post("/v1/persons/tokens/revoke", {"id": mine})
    tokens["expired"] = issue(plane, "p-expired", "admin", ttl_seconds=60)
    plane.advance(61)
    body = {"target": {"kind": "run", "name": run.id}, "mode": "pause", "reason": "why"}
    lock = plane.caller(tokens["fin"]).post("/v1/locks", body)["lock"]
    body = {"target": {"kind": "run", "name": agent.open_run().id}, "reason": "why"}
    stopped = plane.caller(tokens["fin"]).post("/v1/locks", body)
    at = plane.operator.get("/v1/status")["now"]
    send(plane, run.token, span("invoke_agent", 1, at, gen_ai__agent__name="ghost"))
    things = {
        "finding": plane.operator.get("/v1/telemetry/findings")["rows"][0]["finding"],
        "agent": "clerk",
        "name": "there",
        "id": elsewhere,
        "incident": stopped["incident"],
        "run": run.id,
        "other": run.id,
        "key": run.id,
        "request": held["request"],
        "budget": "team/finance-ops/day/spend",
        "lock": lock,
        "decision": held["decision"],
        "standing": plane.caller(tokens["fin"]).post("/v1/standing", STANDING)["standing"],
        "credential": plane.operator.get("/v1/agents/clerk/credentials")["rows"][0]["id"],
    }
    return Ground(plane, http, {**tokens, "credential": agent.credential, "run": run.token}, things)


def issue(plane: Plane, person: str, role: str, **more: int) -> str:
    asked = {"person": person, "permission": role, **more}
    token: str = plane.operator.post("/v1/persons/tokens", asked)["token"]
    return token


def test_the_table_holds_every_route() -> None:
    assert {(o.method, o.path): o.needs for o in OPERATIONS} == NEEDS
    assert {o.path for o in OPERATIONS if o.by_team} == set(BY_TEAM)


def test_roles_hold_what_is_said_here() -> None:
    assert {role: set(held) for role, held in BUILT_IN_ROLES.items()} == {
        role: held for role, held in HOLDS.items() if role in BUILT_IN_ROLES
    }


@pytest.mark.parametrize("operation", FOR_PEOPLE, ids=lambda o: f"{o.method} {o.path}")
def test_people_need_the_permission(ground: Ground, operation: Operation) -> None:
    needs = NEEDS[operation.method, operation.path]
    tokens = ground.tokens
    for nobody in ("credential", "run", "expired", "revoked"):
        assert ground.answer(operation, tokens[nobody])[0] == UNAUTHENTICATED, nobody
    for unknown in (None, "wkp_unknown", "wkp_"):
        assert ground.answer(operation, unknown)[0] == UNAUTHENTICATED, unknown
    if operation.path == "/v1/logout":
        return
    for role, held in HOLDS.items():
        assert ground.admits(operation, tokens[role]) is (needs in held | {"person"}), role
    if needs == "person":
        return
    # a document bounds what a token carries
    assert ground.admits(operation, tokens["less"]) is (needs in HOLDS["viewer"])
    # and a role that counts in one team counts nowhere else
    mine = needs in HOLDS["admin"] and (needs == "read" or operation.path in BY_TEAM)
    assert ground.admits(operation, tokens["fin"]) is mine
    others = needs == "read" and operation.path not in SEEN_BY_TEAM
    others = others or operation.path in NARROWED
    assert ground.admits(operation, tokens["lex"]) is others


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.needs == "agent"], ids=lambda o: f"{o.method} {o.path}"
)
def test_agents_routes_are_for_people_who_may_see(ground: Ground, operation: Operation) -> None:
    refused = (UNAUTHENTICATED, FORBIDDEN, httpx.codes.BAD_REQUEST)
    tokens = ground.tokens
    for nobody in (None, tokens["revoked"], tokens["expired"], "wkr_unknown", "wka_unknown"):
        found, _ = ground.answer(operation, nobody)
        # the body is judged first on some routes; what matters is that nothing is done
        assert found in refused, (nobody, found)
    needs = ALSO_FOR_PEOPLE.get(operation.path)
    for role, held in HOLDS.items():
        found, _ = ground.answer(operation, tokens[role])
        assert needs in held or found in refused, (role, found)
        assert needs not in held or found not in (UNAUTHENTICATED, FORBIDDEN), (role, found)


def test_who_may_apply_may_not_say_who_may_do_what(ground: Ground) -> None:
    builder = "operator_role: {name: builder, permissions: [read, apply]}"
    ground.plane.apply(builder)
    bob = ground.plane.caller(issue(ground.plane, "bob", "builder"))
    role = {"path": "r.yaml", "text": "role: {name: watch, members: [bob]}"}
    assert bob.post("/v1/apply", {"files": [role]})["applied"]
    for text in (
        "person: {name: bob, operates: [{role: admin}]}",
        "operator_role: {name: builder, permissions: [read, apply, people]}",
        "issuer: {name: mine, issuer: 'https://x', audience: x, of: people, jwks: {keys: []}}",
    ):
        body = {"files": [role, {"path": "p.yaml", "text": text}]}
        found = bob.problem("POST", "/v1/apply", body, status=403)
        assert found["rule"] == "permission/people"
    assert [row["name"] for row in ground.plane.operator.get("/v1/persons")["rows"]] == [
        "fin", "gone", "less", "lex",
    ]  # fmt: skip
    gone = {"files": [role], "prune": True}
    assert bob.problem("POST", "/v1/apply", gone, status=403)["rule"] == "permission/people"


def test_nobody_but_the_owner_can_be_given_what_is_the_owners(ground: Ground) -> None:
    for text in (
        "operator_role: {name: chief, permissions: [plane]}",
        "operator_role: {name: viewer, permissions: [lock]}",
        "person: {name: owner}",
    ):
        files = [{"path": "o.yaml", "text": text}]
        ground.plane.operator.problem("POST", "/v1/apply", {"files": files}, status=400)
    asked = {"person": "owner", "permission": "viewer"}
    ground.plane.operator.problem("POST", "/v1/persons/tokens", asked, status=400)
    asked = {"person": "ada", "permission": "chief"}
    ground.plane.operator.problem("POST", "/v1/persons/tokens", asked, status=400)


def test_a_plan_says_which_roles_and_issuers_nobody_knows(ground: Ground) -> None:
    text = "person: {name: ann, operates: [{role: chief}], oidc: [{issuer: corp, subject: ann}]}"
    files = [{"path": "a.yaml", "text": text}]
    plan = ground.plane.operator.post("/v1/apply", {"files": files, "dry_run": True})
    assert any("operator_role 'chief'" in gap for gap in plan["warnings"])
    assert any("issuer 'corp'" in gap for gap in plan["warnings"])


def test_a_lock_is_lifted_with_the_authority_that_made_it(ground: Ground) -> None:
    body = {"target": {"kind": "tool", "name": "books.fail"}, "mode": "pause", "reason": "why"}
    responder = ground.plane.caller(ground.tokens["responder"])
    high = ground.plane.operator.post("/v1/locks", body)["lock"]
    lift = {"reason": "over"}
    found = responder.problem("POST", f"/v1/locks/{high}/lift", lift, status=403)
    assert found["rule"] == "kill/authority"
    low = responder.post("/v1/locks", body)["lock"]
    assert responder.post(f"/v1/locks/{low}/lift", lift)["lifted_by"] == "person/p-responder"
    admin = ground.plane.caller(ground.tokens["admin"])
    assert admin.post(f"/v1/locks/{high}/lift", lift)["lifted_by"] == "person/p-admin"


def test_who_reads_in_one_team_sees_its_agents_only(ground: Ground) -> None:
    def seen(person: str, path: str) -> set[str]:
        rows = ground.plane.caller(ground.tokens[person]).get(path)["rows"]
        return {row.get("agent") or row["name"] for row in rows}

    for path in ("/v1/agents", "/v1/requests", "/v1/runs", "/v1/decisions"):
        assert "clerk" in seen("fin", path), path
        assert not seen("lex", path), path


def test_a_run_may_only_close_and_report_its_own(ground: Ground) -> None:
    plane = ground.plane
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


def test_a_token_ends_with_its_time(ground: Ground) -> None:
    plane = ground.plane
    issued = plane.operator.post("/v1/persons/tokens", {"person": "ada", "ttl_seconds": 60})
    assert plane.caller(issued["token"]).get("/v1/status")["me"]["person"] == "ada"
    plane.advance(61)
    found = plane.caller(issued["token"]).problem("GET", "/v1/status", status=401)
    assert found["rule"] == "identity/person-token"
