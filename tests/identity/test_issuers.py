"""Issuers whose keys are fetched: kept a while, fetched again when they rotate, not too often."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import OKPKey

from tests.identity.oauth import public, sign
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Unauthenticated, Unavailable
from watchkeeper.identity.issuers import AGAIN_SECONDS, FRESH_SECONDS, STALE_SECONDS, Trusted
from watchkeeper.plane.asking import open_issuers
from watchkeeper.tools.upstreams.egress import Egress

ISSUER = "https://issuer.example"


class Rotating:
    """An issuer that serves its keys over HTTP, and counts how often it is asked."""

    def __init__(self, clock: RehearsalClock) -> None:
        self.clock = clock
        self.keys: dict[str, OKPKey] = {}
        self.status = 200
        self.body: bytes | None = None
        self.asked = 0

    async def serve(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.body is not None:
            return web.Response(status=self.status, body=self.body)
        keys = [{**public(key), "kid": kid} for kid, key in self.keys.items()]
        return web.json_response({"keys": keys}, status=self.status)

    def rotate(self, kid: str) -> None:
        self.keys = {kid: OKPKey.generate_key("Ed25519")}

    def token(self, kid: str, key: OKPKey | None = None) -> str:
        now = self.clock.now() // 1_000_000
        claims = {"iss": ISSUER, "sub": "s", "aud": "here", "exp": now + 300}
        return sign(key or self.keys[kid], claims, kid=kid)


@pytest.fixture
async def ground() -> Any:
    clock = RehearsalClock(frozen=True)
    issuer = Rotating(clock)
    issuer.rotate("one")
    app = web.Application()
    app.router.add_get("/jwks", issuer.serve)
    server = TestServer(app)
    await server.start_server()
    egress = Egress()
    trusted = Trusted("ci", ISSUER, "here", ("EdDSA",), jwks_url=str(server.make_url("/jwks")),
                      allow_private=True)  # fmt: skip
    yield issuer, open_issuers(egress, clock), trusted
    await egress.close()
    await server.close()


async def test_keys_are_kept_and_follow_a_rotation(ground: Any) -> None:
    issuer, issuers, trusted = ground
    for _ in range(5):
        assert (await issuers.verify(issuer.token("one"), trusted)).subject == "s"
    assert issuer.asked == 1
    old = issuer.token("one")
    issuer.rotate("two")
    issuer.clock.advance(AGAIN_SECONDS)
    await issuers.verify(issuer.token("two"), trusted)
    assert issuer.asked == 2
    with pytest.raises(Unauthenticated):
        await issuers.verify(old, trusted)
    issuer.clock.advance(FRESH_SECONDS + 1)
    await issuers.verify(issuer.token("two"), trusted)
    assert issuer.asked <= 4


async def test_invented_key_ids_do_not_make_the_plane_ask(ground: Any) -> None:
    issuer, issuers, trusted = ground
    stranger = OKPKey.generate_key("Ed25519")
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await issuers.verify(issuer.token(f"kid{number}", stranger), trusted)
    assert issuer.asked == 1
    issuer.clock.advance(AGAIN_SECONDS)
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await issuers.verify(issuer.token(f"more{number}", stranger), trusted)
    assert issuer.asked == 2


async def test_keys_outlive_an_issuer_that_is_down_but_not_for_long(ground: Any) -> None:
    issuer, issuers, trusted = ground
    token = issuer.token("one")
    await issuers.verify(token, trusted)
    issuer.status = 500
    issuer.clock.advance(FRESH_SECONDS + 1)
    await issuers.verify(issuer.token("one"), trusted)
    issuer.clock.advance(STALE_SECONDS)
    with pytest.raises(Unavailable):
        await issuers.verify(issuer.token("one"), trusted)
    before = issuer.asked
    with pytest.raises(Unavailable):
        await issuers.verify(issuer.token("one"), trusted)
    assert issuer.asked == before, "who just failed is not asked again at once"


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[]", b'{"keys": 1}', b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}',
     b'{"keys": [' + b"{}," * 100 + b"{}]}", b"x" * 5_000_000],
    ids=["empty", "no json", "list", "number", "shared key", "many", "large"],
)  # fmt: skip
async def test_what_is_no_key_set_verifies_nothing(ground: Any, body: bytes) -> None:
    issuer, issuers, trusted = ground
    issuer.body = body
    with pytest.raises((Unavailable, Unauthenticated)):
        await issuers.verify(issuer.token("one"), trusted)
