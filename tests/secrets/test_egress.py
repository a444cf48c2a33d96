"""The way out against a hostile network: what is dialled is what was checked, or nothing is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.rig.deadline import eventually_async
from watchkeeper.core.errors import Invalid, Unavailable
from watchkeeper.gateways.declared import DeclaredPlaces
from watchkeeper.registry.source import read_file
from watchkeeper.tools.upstreams.connecting import checked_connector
from watchkeeper.tools.upstreams.egress import Egress, ask_json, fetch_json
from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure

INSIDE = "private.example.org"


@dataclass
class Server:
    """A real server on this machine that counts who reaches it."""

    port: int = 0
    requests: list[str] = field(default_factory=list)
    answer: Any = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path} host={request.headers['Host']}")
        if request.path == "/away":
            raise web.HTTPFound(str(self.answer))
        if request.path == "/never":
            await asyncio.Event().wait()
        if request.path == "/large":
            return web.Response(body=b'"' + b"x" * 5000 + b'"')
        if request.path == "/echo":
            return web.json_response(
                {"body": await request.text(), "type": request.content_type,
                 "authorization": request.headers.get("authorization")}
            )  # fmt: skip
        return web.json_response({"reached": True}, status=self.answer or 200)


@asynccontextmanager
async def server(address: str = "127.0.0.1", port: int = 0, **options: Any
                 ) -> AsyncIterator[Server]:  # fmt: skip
    made = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, address, port, **options)
    await site.start()
    assert site._server is not None
    made.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        await runner.cleanup()


class Lookup:
    """A resolver of the test's own: each question takes the next answer, the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int, family: int) -> Sequence[tuple[int, str]]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(10 if ":" in one else 2, one) for one in found]


@asynccontextmanager
async def egress(lookup: Lookup | None = None, **options: Any) -> AsyncIterator[Egress]:
    made = Egress(lookup=lookup, **options)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that is dialled, in order; the Internet is played by this machine."""
    seen: list[str] = []
    really = asyncio.SelectorEventLoop.sock_connect

    async def connect(loop: Any, sock: Any, address: Any) -> None:
        seen.append(str(address[0]))
        await really(loop, sock, ("127.0.0.1", address[1]))

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    return seen


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["192.168.1.1"], ["169.254.169.254"], ["::1"], ["fd00::1"],
     ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["2002:7f00:1::"], ["0.0.0.0"], ["224.0.0.1"],  # noqa: S104
     ["100.64.0.1"], ["93.184.216.34", "127.0.0.1"], ["fe80::1%eth0"], []],
    ids=str,
)  # fmt: skip
async def test_a_name_that_leads_inside_is_refused_before_anything_is_dialled(
    addresses: list[str], dialled: list[str]
) -> None:
    async with server() as hostile, egress(Lookup(addresses)) as out:
        sending = Sending()
        with pytest.raises(UpstreamFailure) as refused:
            async with out.post(f"http://{INSIDE}:{hostile.port}/", b"{}", {}, sending):
                pass
        assert (refused.value.reached, sending.sent) == (False, False)
        assert (hostile.requests, dialled) == ([], [])
        if addresses:
            assert "address it may not have" in refused.value.message


async def test_the_address_dialled_is_the_one_that_was_checked(dialled: list[str]) -> None:
    """The resolver flips to an inside address after its first answer: nobody asks it again."""
    lookup = Lookup(["93.184.216.34"], ["127.0.0.1"])
    async with server() as far, egress(lookup) as out:
        url = f"http://{INSIDE}:{far.port}/"
        assert await fetch_json(out, url) == {"reached": True}
        assert (lookup.asked, dialled) == ([INSIDE], ["93.184.216.34"])
        assert far.requests == [f"GET / host={INSIDE}:{far.port}"]


async def test_a_resolver_that_flips_later_is_refused_on_the_next_connection(
    dialled: list[str],
) -> None:
    lookup = Lookup(["93.184.216.34"], ["127.0.0.1"])
    async with server() as far, egress(lookup) as out:
        await fetch_json(out, f"http://{INSIDE}:{far.port}/")
        await out.close()  # no connection and no answer is kept
        with pytest.raises(Unavailable, match="address it may not have"):
            await fetch_json(out, f"http://{INSIDE}:{far.port}/")
    assert dialled == ["93.184.216.34"]


async def test_a_connection_is_checked_whoever_resolved_it() -> None:
    """The dialling itself looks at the address, should a name ever go round the resolver."""
    connector = checked_connector(
        Lookup(["93.184.216.34"]),
        connections=1,
        allow_private=False,
        keep_alive_seconds=1,
        connected=lambda: None,
    )
    async with server() as hostile, aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://127.0.0.1:{hostile.port}/")
        assert hostile.requests == []


async def test_a_document_may_let_a_name_lead_inside_but_never_to_metadata() -> None:
    async with server() as near, egress(Lookup(["127.0.0.1"], ["169.254.169.254"])) as out:
        url = f"http://{INSIDE}:{near.port}/"
        assert await fetch_json(out, url, allow_private=True) == {"reached": True}
        # what one document allows is no other's
        with pytest.raises(Unavailable, match="address it may not have"):
            await fetch_json(out, url)
    async with egress(Lookup(["169.254.169.254"])) as out:
        with pytest.raises(Unavailable, match="address it may not have"):
            await fetch_json(out, f"http://{INSIDE}/", allow_private=True)


async def test_an_inside_address_that_is_written_out_was_meant() -> None:
    async with server() as near, egress() as out:
        assert await fetch_json(out, f"http://127.0.0.1:{near.port}/") == {"reached": True}
        assert await fetch_json(out, f"http://localhost:{near.port}/") == {"reached": True}
        for url in ("http://169.254.169.254/latest", "http://0.0.0.0/", "http://2130706433/",
                    "http://0x7f.1/", "http://u:p@127.0.0.1/"):  # fmt: skip
            with pytest.raises(Unavailable):
                await fetch_json(out, url)


async def test_a_redirect_inside_is_handed_back_and_not_followed() -> None:
    async with server() as inside, server() as far, egress() as out:
        far.answer = f"http://127.0.0.1:{inside.port}/secret"
        answer = await ask_json(out, f"http://127.0.0.1:{far.port}/away")
        assert (answer.status, inside.requests) == (302, [])
        with pytest.raises(Unavailable, match="HTTP 302"):
            await fetch_json(out, f"http://127.0.0.1:{far.port}/away")


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server() as proxy, server() as near, egress() as out:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await fetch_json(out, f"http://127.0.0.1:{near.port}/")
        assert (len(near.requests), proxy.requests) == (1, [])


async def test_an_answer_is_bounded_and_must_be_json() -> None:
    async with server() as near, egress() as out:
        base = f"http://127.0.0.1:{near.port}"
        with pytest.raises(Unavailable, match="too large"):
            await ask_json(out, f"{base}/large", limit=1000)
        sent = await ask_json(
            out, f"{base}/echo", method="POST", form={"a": "b c", "d": "é"},
            headers={"authorization": "Basic x"},
        )  # fmt: skip
        assert sent.value == {
            "body": "a=b+c&d=%C3%A9",
            "type": "application/x-www-form-urlencoded",
            "authorization": "Basic x",
        }
        near.answer = 503
        with pytest.raises(Unavailable, match="HTTP 503") as failed:
            await fetch_json(out, f"{base}/x?token=sk-canary-1")
        assert "sk-canary-1" not in str(failed.value)


async def test_a_server_that_never_answers_leaves_room_for_others() -> None:
    async with server() as silent, server() as near, egress(connections=4) as out:
        url = f"http://127.0.0.1:{silent.port}/never"
        waiting = [asyncio.create_task(ask_json(out, url)) for _ in range(8)]

        async def all_it_may_have() -> bool:
            return len(silent.requests) == 2

        await eventually_async(all_it_may_have, "the silent server has half of the connections")
        answer = await ask_json(out, f"http://127.0.0.1:{near.port}/")
        assert (answer.status, len(silent.requests)) == (200, 2)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_only_declared_places_are_called() -> None:
    async with server() as near:
        allowed = f"http://127.0.0.1:{near.port}"
        async with egress(declares=lambda origin: origin == allowed) as out:
            await fetch_json(out, f"{allowed}/anything")
            for other in (f"http://localhost:{near.port}/", f"https://127.0.0.1:{near.port}/"):
                with pytest.raises(Unavailable, match="no document declares"):
                    await fetch_json(out, other)
        assert len(near.requests) == 1


def test_what_documents_name_is_declared() -> None:
    from tests.rig.world import upstream_document
    from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
    from watchkeeper.decide.policies.applying import read_files
    from watchkeeper.registry.rules import InForce

    issuer = """
issuer:
  name: ci
  issuer: https://ci.example.org
  audience: watchkeeper
  jwks_url: https://keys.example.org/jwks
"""
    texts = [upstream_document(url="https://books.example.org/mcp"), issuer]
    standing = {
        (one.kind, one.name): InForce(one.kind, one.name, 1, "", "", "", one.document)
        for one in read_files([(f"{n}.yaml", text) for n, text in enumerate(texts)])
    }
    declared = DeclaredPlaces(
        CatalogueView(build_catalogue(standing)), "https://vault.example.org:8200"
    )
    for origin in ("https://books.example.org:443", "https://keys.example.org:443",
                   "https://vault.example.org:8200"):  # fmt: skip
        assert declared(origin)
    assert not declared("https://example.org:443")
    assert not declared("http://books.example.org:80")


@pytest.mark.parametrize(
    "url",
    ["http://2130706433/mcp", "http://0177.0.0.1/mcp", "http://0x7f.1/mcp", "http://u:p@a.org/mcp",
     "http://169.254.169.254/mcp", "http://[fd00:ec2::254]/mcp", "http://[::ffff:a9fe:a9fe]/mcp"],
)  # fmt: skip
def test_no_document_declares_what_nothing_may_be_called_at(url: str) -> None:
    for text in (
        f'upstream: {{name: x, transport: http, url: "{url}"}}',
        f'provider: {{name: x, base_url: "{url}", models: []}}',
        "upstream: {name: x, transport: http, url: https://a.example.org, credential: {oauth: "
        f'{{token_url: "{url}", client_id: x, client_secret: "env:X"}}}}}}',
    ):
        with pytest.raises(Invalid, match="cannot be called"):
            read_file("x.yaml", text)


async def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    async with server(ssl_context=context) as hostile, egress() as out:
        with pytest.raises(Unavailable, match="certificate is not trusted"):
            await fetch_json(out, f"https://localhost:{hostile.port}/")
        assert hostile.requests == []


def _self_signed(directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
