"""Credentials by reference, from a vault and from an issuer of tokens: read, kept, renewed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.rig.credential_servers import TokenServer, VaultServer
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Unavailable
from watchkeeper.tools.secrets.known import KnownValues
from watchkeeper.tools.secrets.oauth import OAuthTokens
from watchkeeper.tools.secrets.references import References
from watchkeeper.tools.secrets.vault import Vault, VaultSettings
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import CallContext, Credential, Minting, OAuthClient

PLACE = "secret/payments/stripe#api_key"


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    made = Egress()
    yield made
    await made.close()


@pytest.fixture
def vault_server() -> Iterator[VaultServer]:
    with VaultServer("vault-token-canary", "team-a") as server:
        server.write("secret/payments/stripe", api_key="sk-vault-canary", number=7)
        yield server


@pytest.fixture
def issuer() -> Iterator[TokenServer]:
    with TokenServer("plane one", "p@ss:word/canary") as server:
        yield server


@pytest.fixture
def vault(
    vault_server: VaultServer, egress: Egress, clock: RehearsalClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Vault:  # fmt: skip
    monkeypatch.setenv("VAULT", vault_server.token)
    settings = VaultSettings(vault_server.url, "env:VAULT", "team-a")
    return Vault(settings, egress, clock, References(KnownValues()).read)


@pytest.fixture
def tokens(
    egress: Egress, clock: RehearsalClock, monkeypatch: pytest.MonkeyPatch, issuer: TokenServer
) -> OAuthTokens:
    monkeypatch.setenv("CLIENT_SECRET", issuer.secret)
    known = KnownValues()
    return OAuthTokens(egress, clock, References(known).read, known)


def client(issuer: TokenServer, **more: str) -> OAuthClient:
    return OAuthClient(f"{issuer.url}/token", issuer.client, "env:CLIENT_SECRET", **more)  # type: ignore[arg-type]


async def test_a_file_and_a_variable_are_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownValues()
    references = References(known)
    path = tmp_path / "token"
    for value in ("first-value", "second-value"):
        path.write_text(f"{value}\n")
        monkeypatch.setenv("TOKEN", f" {value} ")
        assert await references.read(f"file:{path}") == value
        assert await references.read("env:TOKEN") == value
    assert known.redact_text("first-value") != "first-value"
    path.write_text("a\x1bb")
    os.mkfifo(tmp_path / "pipe")
    for source in (f"file:{path}", f"file:{tmp_path}", f"file:{tmp_path}/pipe", "env:NOT_SET",
                   "sealed:x", "vault:a/b#c", "other:x"):  # fmt: skip
        with pytest.raises(Unavailable) as missing:
            await references.read(source)
        assert missing.value.code == "credential_missing"


async def test_a_vault_is_read_at_most_once_a_minute(
    vault: Vault, vault_server: VaultServer, clock: RehearsalClock
) -> None:
    found = await asyncio.gather(*(vault.read(PLACE) for _ in range(20)))
    assert set(found) == {"sk-vault-canary"}
    assert vault_server.reads == ["/v1/secret/data/payments/stripe"]
    vault_server.write("secret/payments/stripe", api_key="sk-vault-second")
    clock.advance(59)
    assert await vault.read(PLACE) == "sk-vault-canary"
    clock.advance(1)
    assert await vault.read(PLACE) == "sk-vault-second"


async def test_a_short_lease_is_renewed_before_it_ends(
    vault: Vault, vault_server: VaultServer, clock: RehearsalClock
) -> None:
    vault_server.lease = 10
    await vault.read(PLACE)
    clock.advance(7.9)
    await vault.read(PLACE)
    assert len(vault_server.reads) == 1
    clock.advance(0.1)
    await vault.read(PLACE)
    assert len(vault_server.reads) == 2


async def test_what_a_vault_does_not_give_is_said_without_its_token(
    vault: Vault, vault_server: VaultServer, clock: RehearsalClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, words in (
        ("secret/payments/stripe#other", "no text field 'other'"),
        ("secret/payments/stripe#number", "no text field 'number'"),
        ("secret/nothing#x", "has nothing at secret/nothing"),
        ("secret#x", "MOUNT/PATH#FIELD"),
        ("secret/../sys/raw#x", "MOUNT/PATH#FIELD"),
    ):
        with pytest.raises(Unavailable, match=words):
            await vault.read(place)
    clock.advance(60)
    monkeypatch.setenv("VAULT", "another-token-canary")
    with pytest.raises(Unavailable, match="refuses the plane's token") as refused:
        await vault.read(PLACE)
    assert "canary" not in str(refused.value)
    vault_server.sealed = True
    with pytest.raises(Unavailable, match="HTTP 503"):
        await vault.read(PLACE)


async def test_a_token_is_fetched_once_and_kept_until_shortly_before_its_end(
    tokens: OAuthTokens, issuer: TokenServer, clock: RehearsalClock
) -> None:
    asking = client(issuer, scope="books:write", resource="https://books.example.org/")
    found = await asyncio.gather(*(tokens.token(asking) for _ in range(20)))
    assert set(found) == set(issuer.issued)
    assert issuer.asked == [{
        "grant_type": "client_credentials", "scope": "books:write",
        "resource": "https://books.example.org/",
    }]  # fmt: skip
    clock.advance(3600 - 31)
    assert await tokens.token(asking) == issuer.issued[0]
    clock.advance(1)
    assert await tokens.token(asking) == issuer.issued[1]


@pytest.mark.parametrize(("life", "kept"), [(None, 300), (60, 30), (61, 31), (10, 5), (0, 0)])
async def test_how_long_a_token_is_kept(
    tokens: OAuthTokens, issuer: TokenServer, clock: RehearsalClock, life: int | None, kept: int
) -> None:
    issuer.expires_in = life
    await tokens.token(client(issuer))
    if kept:
        clock.advance(kept - 0.001)
        await tokens.token(client(issuer))
        assert len(issuer.issued) == 1
        clock.advance(0.001)
    await tokens.token(client(issuer))
    assert len(issuer.issued) == 2


async def test_an_issuer_that_fails_is_left_alone_for_longer_and_longer(
    tokens: OAuthTokens, issuer: TokenServer, clock: RehearsalClock
) -> None:
    issuer.failing = (500, {"error": f"server_error {issuer.secret}"})
    for asked, pause in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
        for _ in range(3):
            with pytest.raises(Unavailable, match="HTTP 500") as failed:
                await tokens.token(client(issuer))
            assert "canary" not in str(failed.value)
        assert len(issuer.asked) == asked
        clock.advance(pause - 0.001)
        with pytest.raises(Unavailable):
            await tokens.token(client(issuer))
        assert len(issuer.asked) == asked
        clock.advance(0.001)
    issuer.failing = None
    assert await tokens.token(client(issuer)) == issuer.issued[0]


async def test_half_of_a_secret_is_not_told_either(
    tokens: OAuthTokens, issuer: TokenServer
) -> None:
    for before in range(40, 60):
        issuer.failing = (400, {"error": "x" * before + issuer.secret})
        with pytest.raises(Unavailable) as failed:
            await tokens.token(client(issuer, scope=f"s{before}"))
        assert issuer.secret[:3] not in str(failed.value)


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"access_token": 5, "token_type": "Bearer"}, {"access_token": "x"},
     {"access_token": "a\nb", "token_type": "Bearer"}, {"access_token": "", "token_type": "bearer"},
     {"access_token": "x", "token_type": "mac"}, {"access_token": "x" * 20_000,
                                                   "token_type": "Bearer"}, b"not json"],
    ids=lambda answer: repr(answer)[:40],
)  # fmt: skip
async def test_what_is_no_bearer_token_is_not_taken(
    tokens: OAuthTokens, issuer: TokenServer, answer: object
) -> None:
    issuer.failing = (200, answer)
    with pytest.raises(Unavailable):
        await tokens.token(client(issuer))


async def test_a_refused_token_is_forgotten_once(tokens: OAuthTokens, issuer: TokenServer) -> None:
    first = await tokens.token(client(issuer))
    assert tokens.refuse(client(issuer), first)
    second = await tokens.token(client(issuer))
    assert second != first
    assert not tokens.refuse(client(issuer), first)
    assert await tokens.token(client(issuer)) == second


async def test_a_minted_token_needs_somebody_who_signs(
    egress: Egress, clock: RehearsalClock
) -> None:
    known = KnownValues()
    references = References(known)
    credentials = Credentials(references, OAuthTokens(egress, clock, references.read, known), known)
    minted = Credential(None, minted=Minting("https://books.example.org/", 60))
    with pytest.raises(Unavailable, match="cannot provide"):
        await credentials.headers(minted)
    call = CallContext("dec_1", "run_1", "clerk", "books.echo")
    asked: list[object] = []

    async def mint(audience: str, seconds: int, context: CallContext | None) -> str:
        asked.append((audience, seconds, context))
        return "signed.token.canary"

    credentials.mint = mint
    assert await credentials.headers(minted, call) == {
        "Authorization": "Bearer signed.token.canary"
    }
    assert asked == [("https://books.example.org/", 60, call)]
    sent = {"Authorization": "Bearer signed.token.canary"}
    for echoed in (b"<signed.token.canary>", b"<c2lnbmVkLnRva2VuLmNhbmFyeQ>"):
        assert await credentials.redact(minted, sent, echoed) == b"<[credential withheld]>"
