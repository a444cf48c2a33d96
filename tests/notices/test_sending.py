"""Messages handed over for real, to servers of this machine; and what is not let happen."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from email import message_from_string, policy

import pytest

from tests.rig.sinks import MailSink, WebSink, mail_sink, web_sink
from watchkeeper.core.errors import Invalid, Unavailable
from watchkeeper.notices import sending
from watchkeeper.notices.confinement import Confined, confined
from watchkeeper.notices.model import Message
from watchkeeper.notices.sending import AT_ONCE_EACH, Busy, Sender, Undecided

TEXT = Message("[high] clerk: <b>refund</b> & more", "first line\nsecond <line> & $5", "short one")


@pytest.fixture
def web() -> Iterator[WebSink]:
    with web_sink() as sink:
        yield sink


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with mail_sink() as sink:
        yield sink


async def test_a_message_arrives_as_it_was_written(web: WebSink) -> None:
    await Sender().tell(web.url(), TEXT, allow_private=True)
    (body,) = web.bodies
    assert body["title"] == TEXT.title
    assert body["message"] == TEXT.body


async def test_a_mail_arrives_as_plain_text(mail: MailSink) -> None:
    url = f"mailto://127.0.0.1:{mail.port}?from=watch@example.org&to=ada@example.org&mode=insecure"
    await Sender().tell(url, TEXT, allow_private=True)
    (raw,) = mail.mails
    found = message_from_string(raw, policy=policy.default)
    assert found["subject"] == TEXT.title
    plain = found.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().splitlines() == TEXT.body.splitlines()
    assert found.get_content_type() == "text/plain"


async def test_a_refusing_service_says_so_and_quotes_no_path(web: WebSink) -> None:
    web.status = 403
    with pytest.raises(Unavailable) as failed:
        await Sender().tell(web.url("planted-canary"), TEXT, allow_private=True)
    assert "403" in failed.value.message
    assert "planted-canary" not in str(failed.value)


async def test_an_answer_without_end_is_not_read_to_its_end(web: WebSink) -> None:
    web.longest = 1 << 30
    await Sender().tell(web.url(), TEXT, allow_private=True)
    assert web.bodies
    assert web.answered < web.longest // 8


async def test_redirects_are_not_followed_whatever_the_url_asks(web: WebSink) -> None:
    with web_sink() as elsewhere:
        web.status, web.location = 307, f"http://127.0.0.1:{elsewhere.port}/stolen"
        with pytest.raises(Unavailable):
            await Sender().tell(web.url("hook?redirect=yes"), TEXT, allow_private=True)
        assert web.bodies
        assert not elsewhere.bodies


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.1.1"])
async def test_an_inside_address_is_only_called_where_the_channel_says(
    web: WebSink, host: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await Sender().tell(f"json://{host}:{web.port}/x", TEXT, allow_private=False)
    assert refused.value.rule == "egress/address"
    assert "allow_private" in str(refused.value)
    assert not web.bodies


async def test_addresses_that_nothing_may_call_are_refused_always() -> None:
    for url in ("json://169.254.169.254/x", "ntfy://169.254.169.254/t", "gotify://0.0.0.0/token"):
        with pytest.raises(Invalid) as refused:
            await Sender().tell(url, TEXT, allow_private=True)
        assert "nothing may be called at" in str(refused.value), url


async def test_mail_goes_to_checked_addresses_only_too(mail: MailSink) -> None:
    url = f"mailto://example.org:{mail.port}?smtp=127.0.0.1&from=a@example.org&to=b@example.org"
    with pytest.raises(Invalid) as refused:
        await Sender().tell(url + "&mode=insecure", TEXT, allow_private=False)
    assert refused.value.rule == "egress/address"
    assert not mail.mails


async def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "is_installed", lambda: False)
    with pytest.raises(Unavailable) as missing:
        await Sender().tell("ntfys://ntfy.example/topic", TEXT, allow_private=False)
    assert missing.value.rule == "notice/library"
    assert "watchkeeper[notify]" in str(missing.value)


async def test_a_silent_service_leaves_it_unknown_and_holds_up_only_itself(
    web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TELL_SECONDS", 0.05)
    monkeypatch.setattr(sending, "ROOM_SECONDS", 0.05)
    go_on = threading.Event()
    web.before = lambda: bool(go_on.wait(20)) and None  # type: ignore[assignment]
    sender = Sender()
    try:
        ended = await asyncio.gather(
            *(sender.tell(web.url(), TEXT, allow_private=True) for _ in range(AT_ONCE_EACH)),
            return_exceptions=True,
        )
        assert [type(one) for one in ended] == [Undecided] * AT_ONCE_EACH
        with pytest.raises(Busy):
            await sender.tell(web.url(), TEXT, allow_private=True)
        with web_sink() as other:
            monkeypatch.setattr(sending, "TELL_SECONDS", 20)
            await sender.tell(other.url(), TEXT, allow_private=True)
            assert other.bodies
    finally:
        go_on.set()


def test_a_confined_thread_starts_no_program_and_opens_no_local_socket(tmp_path: object) -> None:
    with confined(allow_private=True) as here:
        with pytest.raises(Confined):
            subprocess.run([sys.executable, "-c", ""], check=False)
        assert here.refused is not None
        with socket.socket(socket.AF_UNIX) as local, pytest.raises(Confined):
            local.connect("/run/watchkeeper-planted")
        with socket.socket() as server, pytest.raises(Confined):
            server.bind(("127.0.0.1", 0))
    subprocess.run([sys.executable, "-c", ""], check=True)


def test_confinement_is_of_its_own_thread_only() -> None:
    done: list[int] = []
    with confined(allow_private=False):
        other = threading.Thread(
            target=lambda: done.append(
                subprocess.run([sys.executable, "-c", ""], check=False).returncode
            )
        )
        other.start()
        other.join()
    assert done == [0]


def test_the_library_is_not_loaded_before_a_message_goes_out() -> None:
    code = (
        "import sys, watchkeeper.notices.sending, watchkeeper.notices.kinds;"
        "sys.exit('apprise' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
