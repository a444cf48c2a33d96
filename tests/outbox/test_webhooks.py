"""Signatures, and what a webhook's answers and addresses make of an attempt."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from tests.rig.receiver import Receiver
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.notices.webhooks import Webhooks, judge, read_retry_after
from watchkeeper.outbox.keys import WebhookKey
from watchkeeper.outbox.model import Delivery
from watchkeeper.outbox.signatures import read_secrets, sign_with_secrets, signed_bytes
from watchkeeper.registry.rules import InForce
from watchkeeper.registry.watch import Webhook
from watchkeeper.store.store import Store
from watchkeeper.tools.upstreams.egress import Egress

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOON = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())


def test_the_signature_is_that_of_the_specification() -> None:
    assert sign_with_secrets(read_secrets(SECRET), signed_bytes(ID, AT, BODY)) == SIGNATURE


@given(body=st.binary(max_size=200), raw=st.binary(min_size=24, max_size=64))
def test_an_independent_verifier_takes_what_we_sign_and_nothing_else(
    body: bytes, raw: bytes
) -> None:
    body = json.dumps({"text": body.hex()}).encode()
    secret = "whsec_" + base64.b64encode(raw).decode()
    now = int(datetime.now(UTC).timestamp())
    signature = sign_with_secrets(read_secrets(secret), signed_bytes(ID, now, body))
    headers = {
        "webhook-id": ID, "webhook-timestamp": str(now), "webhook-signature": signature,
    }  # fmt: skip
    assert Verifier(secret).verify(body, headers) == json.loads(body)
    for changed in (
        {**headers, "webhook-id": "msg_another"},
        {**headers, "webhook-timestamp": str(now + 1)},
        {**headers, "webhook-timestamp": str(now - 600)},
    ):
        with pytest.raises(WebhookVerificationError):
            Verifier(secret).verify(body, changed)
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(body + b" ", headers)


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_!!!!",
     f"{SECRET} nonsense", " ".join([SECRET] * 4), "whsec_" + "A" * 100],
)  # fmt: skip
def test_what_is_no_secret_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_secrets(text)
    assert "MfKQ" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (format_datetime(datetime.fromtimestamp(NOON + 90, UTC), usegmt=True), 90),
        (format_datetime(datetime.fromtimestamp(NOON - 90, UTC), usegmt=True), 0),
        ("99999999999999999999999999", 999_999_999),
        ("-5", None),
        ("soon", None),
        (None, None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(text: str | None, seconds: int | None) -> None:
    assert read_retry_after(text, NOON * MICROSECONDS) == seconds


@given(st.integers(100, 599))
def test_only_success_is_success(status: int) -> None:
    verdict = judge(status, None, 0).verdict
    assert (verdict == "sent") == (200 <= status < 300)
    assert (verdict == "refused") == (status == 410)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path / 'p.sqlite3'}", RehearsalClock(frozen=True))
    yield opened
    await opened.close()


def view_of(webhook: Webhook) -> CatalogueView:
    old = InForce("webhook", webhook.name, 1, "sha256:0", "", "w.yaml", webhook)
    return CatalogueView(build_catalogue({("webhook", webhook.name): old}))


DELIVERY = Delivery(
    "msg_1", "webhook", "ops", None, None, None, None, None, "sending", 1, None, 1, 0, None, None,
    0, None, "{}",
)  # fmt: skip


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1"]
)
async def test_a_name_that_leads_inside_is_not_called(
    local: Store, tmp_path: Path, address: str
) -> None:
    async def lookup(host: str, port: int, family: int) -> list[tuple[int, str]]:
        return [(10 if ":" in address else 2, address)]

    egress = Egress(lookup=lookup)
    with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.example.com")
        webhook = Webhook(name="ops", url=url, signing="ed25519")
        handler = Webhooks(
            local, view_of(webhook), egress, lambda source: _never(), WebhookKey(tmp_path)
        )
        (attempt,) = await handler.send([DELIVERY])
        await egress.close()
        assert attempt.verdict == "retry"
        assert attempt.error == "its name leads to an address it may not have"
        assert receiver.received == []


async def _never() -> str:
    raise AssertionError("no secret is needed")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"", "retry"),
        (b"no HTTP at all\r\n\r\n", "retry"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", "retry"),
        (b"HTTP/1.1 700 \x1b[31mred\r\ncontent-length: 0\r\n\r\n", "retry"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"z" * 100_000, "sent"),
    ],
    ids=["nothing", "garbage", "a long header", "a strange status", "a body without end"],
)
async def test_whatever_a_receiver_answers_ends_the_attempt(
    local: Store, tmp_path: Path, answer: bytes, verdict: str
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
        writer.write(answer)
        if not answer.endswith(b"z"):
            writer.close()

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    egress = Egress()
    port = server.sockets[0].getsockname()[1]
    view = view_of(Webhook(name="ops", url=f"http://127.0.0.1:{port}/x", signing="ed25519"))
    handler = Webhooks(local, view, egress, lambda source: _never(), WebhookKey(tmp_path))
    (attempt,) = await asyncio.wait_for(handler.send([DELIVERY]), 10)
    await egress.close()
    server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.gather(*(one.wait_closed() for one in writers), return_exceptions=True)
    assert attempt.verdict == verdict
    assert (attempt.error or "").isprintable()
    assert "y" * 100 not in str(attempt.error)


async def test_a_webhook_that_is_in_force_no_more_is_given_up(local: Store, tmp_path: Path) -> None:
    view, egress = CatalogueView(build_catalogue({})), Egress()
    handler = Webhooks(local, view, egress, lambda source: _never(), WebhookKey(tmp_path))
    (attempt,) = await handler.send([DELIVERY])
    assert attempt.verdict == "refused"
    assert "no webhook ops" in str(attempt.error)


async def test_a_key_that_others_may_read_signs_nothing(local: Store, tmp_path: Path) -> None:
    key = WebhookKey(tmp_path / "signing")
    public = await key.public()
    assert await WebhookKey(tmp_path / "signing").public() == public
    (tmp_path / "signing" / "webhooks.key").chmod(0o644)
    egress = Egress()
    view = view_of(Webhook(name="ops", url="http://127.0.0.1:9/x", signing="ed25519"))
    handler = Webhooks(
        local, view, egress, lambda source: _never(), WebhookKey(tmp_path / "signing")
    )
    (attempt,) = await handler.send([DELIVERY])
    assert attempt.verdict == "retry"
    assert "others may read" in str(attempt.error)
