"""Who may use which route while a plane stops, and when its store is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api.permission_table import HOLDS, NEEDS
from tests.api.test_permissions import NOT_PEOPLE, UNAUTHENTICATED
from tests.rig.world import POLICY, world
from watchkeeper.api.decide import Decide
from watchkeeper.api.operations import OPERATIONS, routes
from watchkeeper.api.table import Operation
from watchkeeper.identity.persons import issue_token
from watchkeeper.plane.application import assemble
from watchkeeper.plane.lifecycle import build
from watchkeeper.plane.running import Plane
from watchkeeper.plane.settings import Settings
from watchkeeper.plane.state import StateDirectory
from watchkeeper.store.transaction import Transaction

ROLES = tuple(role for role in HOLDS if role != "treasurer")
PUBLIC = {
    "/healthz",
    "/v1/openapi.json",
    "/.well-known/authzen-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-protected-resource/openai/v1",
    "/.well-known/oauth-protected-resource/anthropic",
    "/.well-known/jwks.json",
    "/oauth/jwks",
    "/v1/webhook-key",
}
"""Routes that say the same to everybody, so that they may answer without a store."""


@dataclass(frozen=True)
class Ground:
    """A plane inside this process, put together but not serving, and tokens for it."""

    plane: Plane
    http: httpx.AsyncClient
    tokens: dict[str, str]

    async def answer(self, operation: Operation, token: str | None) -> tuple[int, str]:
        path = operation.path.replace(":path", "").replace("{", "").replace("}", "")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await self.http.request(operation.method, path, headers=headers)
        refused = answer.status_code >= httpx.codes.BAD_REQUEST
        rule = str(answer.json().get("rule")) if refused and answer.content else ""
        return answer.status_code, rule


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    state = StateDirectory(tmp_path / "state").prepare()
    state.acquire()
    plane = await build(Settings(state=state.path, port=0).like(None), state)
    rooms = plane.rooms
    await rooms.projector.start()  # what asks it otherwise waits for its place in the ledger
    files = [(f"{n}.yaml", text) for n, text in enumerate(world())]
    await rooms.applying.apply([*files, ("p.cedar", POLICY)], prune=False, actor="plane")

    def issue(tx: Transaction) -> dict[str, str]:
        return {
            role: issue_token(tx, f"p-{role}", role, ttl_seconds=600, actor="plane").secret
            for role in ROLES
        }

    tokens = await rooms.store.write(issue)
    application = assemble(
        list(routes(rooms)),
        hot={"/v1/decide": Decide(rooms)},
        gateways={},
        max_body=1 << 20,
        max_gateway_body=1 << 20,
    )
    transport = httpx.ASGITransport(app=application, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        yield Ground(plane, http, tokens)
    await plane.stop()
    state.release()


async def test_a_plane_that_stops_holds_people_to_the_same(ground: Ground) -> None:
    ground.plane.rooms.ending.set()
    for operation in OPERATIONS:
        needs = NEEDS[operation.method, operation.path]
        if needs in NOT_PEOPLE or operation.path == "/v1/logout":
            continue
        assert (await ground.answer(operation, None))[0] == UNAUTHENTICATED, operation.path
        for role in ROLES:
            status, rule = await ground.answer(operation, ground.tokens[role])
            admitted = status != UNAUTHENTICATED and not rule.startswith("permission/")
            assert admitted is (needs in HOLDS[role] | {"person"}), (operation.path, role)


async def test_without_its_store_a_plane_lets_nobody_do_anything(ground: Ground) -> None:
    await ground.plane.rooms.store.close()
    for operation in OPERATIONS:
        for token in (None, *ground.tokens.values(), "wkr_unknown", "wka_unknown"):
            status, _ = await ground.answer(operation, token)
            refused = status >= httpx.codes.BAD_REQUEST
            assert refused or operation.path in PUBLIC, (operation.method, operation.path)
