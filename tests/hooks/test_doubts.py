"""The hook lets nothing pass on any doubt: no plane, a crooked one, or input of any kind."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.hooks.ground import SCRIPT, after, before, command, enrolment, run, session
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.process import clean_environment
from watchkeeper.cli import hook
from watchkeeper.gateways.hooks.agents import AGENTS

HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "NUL": b"\x00",
    "not UTF-8": b'{"session_id": "\xff"}',
    "another value": b'["PreToolUse"]',
    "deep": b'{"hook_event_name": "PreToolUse", "tool_input": ' + b"[" * 200_000,
    "deep and whole": json.dumps(before(session="d")).encode()[:-1]
    + b', "x": '
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
    "a key twice": b'{"hook_event_name": "SessionEnd", "hook_event_name": "PreToolUse"}',
    "no number": json.dumps({**before(session="d"), "tool_input": {"a": 1}})
    .replace("1}", "NaN}")
    .encode(),
    "too large": b" " * (4 * 1024 * 1024 + 1),
    "an event that is not known": json.dumps({**before(), "hook_event_name": "X"}).encode(),
    "no event": json.dumps({**before(), "hook_event_name": None}).encode(),
    "no session": json.dumps({**before(), "session_id": None}).encode(),
    "a session with signs": json.dumps({**before(), "session_id": "a\x1b[2J"}).encode(),
    "a long session": json.dumps({**before(), "session_id": "a" * 500}).encode(),
    "no tool": json.dumps({**before(), "tool_name": ""}).encode(),
    "a tool of the wrong type": json.dumps({**before(), "tool_name": ["Bash"]}).encode(),
    "a long tool": json.dumps({**before(), "tool_name": "B" * 10_000}).encode(),
    "input of the wrong type": json.dumps({**before(), "tool_input": "x"}).encode(),
    "a call of the wrong type": json.dumps({**before(), "tool_use_id": 7}).encode(),
    "lone surrogates": json.dumps({**before(), "tool_name": "\ud800"}).encode(),
    "a tool that steers": json.dumps({**before(session="d"), "tool_name": "\x1b]0;x\x07"}).encode(),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("agent", ["claude", "codex"])
def test_hostile_input_blocks(plane: Plane, enrolled: Path, agent: str, case: str) -> None:
    ended = run(command(agent, enrolled), HOSTILE[case], home=plane.directory)
    if ended.code == 0:
        assert ended.decision == "deny"
    else:
        assert (ended.code, ended.out) == (2, "")
        assert ended.err
    assert not any(c < " " and c != "\n" for c in ended.out + ended.err)
    assert "\x1b" not in ended.out + ended.err


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("event", [before(), after(), session("s")])
def test_without_a_plane_everything_blocks(tmp_path: Path, agent: str, event: object) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ended = run(
        command(agent, enrolment(tmp_path, f"http://127.0.0.1:{port}", "wka_x")),
        event,
        home=tmp_path,
    )
    assert (ended.code, ended.out) == (2, "")
    assert "does not answer" in ended.err
    assert "wka_x" not in ended.err


ALLOW = b'{"hookSpecificOutput": {"permissionDecision": "allow"}}'
LENGTH = str(len(ALLOW)).encode()
CROOKED = {
    "hangs up": b"",
    "speaks no HTTP": b"hello\r\n\r\n",
    "another server": b"HTTP/1.1 200 OK\r\ncontent-length: " + LENGTH + b"\r\n\r\n" + ALLOW,
    "an error": b"HTTP/1.1 503 No\r\ncontent-length: 2\r\nwatchkeeper-exit: 0\r\n\r\n{}",
    "a redirect": b"HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:1/\r\n\r\n",
    "cut off": b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\nwatchkeeper-exit: 0\r\n\r\n" + ALLOW,
    "no length": b"HTTP/1.1 200 OK\r\nwatchkeeper-exit: 0\r\n\r\n" + ALLOW,
    "nothing": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nwatchkeeper-exit: 0\r\n\r\n",
    "another code": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nwatchkeeper-exit: 1\r\n\r\n",
    "two codes": b"HTTP/1.1 200 OK\r\nwatchkeeper-exit: 2\r\nwatchkeeper-exit: 0\r\n"
    b"content-length: 2\r\n\r\n{}",
    "too much": b"HTTP/1.1 200 OK\r\nwatchkeeper-exit: 0\r\n\r\n" + b"x" * (2 * 1024 * 1024),
    "a head without end": b"HTTP/1.1 200 OK\r\nwatchkeeper-exit: 0\r\n",
    "other bytes": bytes(range(256)) * 8,
}


@contextmanager
def answering(answer: bytes | None, certificate: Path | None = None) -> Iterator[int]:
    """Serve one connection with these bytes, or hold it open for None; the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                connection = context.wrap_socket(connection, server_side=True)
        except OSError:  # of TLS too
            return
        with connection:
            connection.recv(65_536)
            if answer is None:
                over.wait(30)
                return
            try:
                connection.sendall(answer)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        over.set()
        listener.close()
        thread.join()


@pytest.mark.parametrize("case", CROOKED)
def test_what_is_no_whole_answer_of_a_plane_blocks(tmp_path: Path, case: str) -> None:
    with answering(CROOKED[case]) as port:
        enrolled = enrolment(tmp_path, f"http://127.0.0.1:{port}", "wka_x")
        ended = run(command("claude", enrolled), before(), home=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("watchkeeper: ")


def test_beyond_this_machine_it_speaks_to_the_certified_plane_only(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    body = b'{"hookSpecificOutput": {"permissionDecision": "allow"}}'
    head = b"HTTP/1.1 200 OK\r\nwatchkeeper-exit: 0\r\ncontent-length: %d\r\n\r\n" % len(body)
    known = {"SSL_CERT_FILE": str(certificate)}
    for environ, name, code in (
        (known, "localhost", 0),
        ({}, "localhost", 2),
        (known, "127.0.0.1", 2),
    ):
        with answering(head + body, certificate) as port:
            enrolled = enrolment(tmp_path, f"https://{name}:{port}", "wka_x")
            hook = command("claude", enrolled)
            assert run(hook, before(), home=tmp_path, environ=environ).code == code


def self_signed(place: Path) -> Path:
    """Return a certificate of localhost with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = place / "localhost.pem"
    file.write_bytes(private + made.public_bytes(pem))
    return file


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM])
def test_one_that_is_ended_while_it_waits_blocks(tmp_path: Path, number: signal.Signals) -> None:
    with answering(None) as port:
        enrolled = enrolment(tmp_path, f"http://127.0.0.1:{port}", "wka_x")
        with subprocess.Popen(
            command("claude", enrolled),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            assert child.stdin is not None
            child.stdin.write(json.dumps(before()).encode())
            child.stdin.close()
            stack = Path(f"/proc/{child.pid}/wchan")
            eventually(
                lambda: _waits(child.pid) or not stack.parent.exists(), "it waits for an answer"
            )
            child.send_signal(number)
            assert child.wait(20) == 2
            assert child.stdout is not None
            assert child.stdout.read() == b""


def _waits(pid: int) -> bool:
    """Tell whether a process sleeps with the connection open (0 to 2 and its socket)."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    return state == "S" and any("socket" in link for link in links)


def test_its_time_is_bounded_whatever_it_waits_for() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "import hook, time\n"
        "hook._give_up_after(1, 'too long')\n"
        "time.sleep(30)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, b"watchkeeper: too long\n")


def test_an_answer_that_nobody_takes_blocks(plane: Plane, enrolled: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            command("claude", enrolled),
            input=json.dumps(before(session="pipe")).encode(),
            stdout=writing,
            stderr=subprocess.PIPE,
            env=clean_environment(plane.directory),
            check=False,
        )
    finally:
        os.close(writing)
    assert ended.returncode == 2


def test_an_enrolment_that_others_could_read_or_that_is_none_blocks(tmp_path: Path) -> None:
    enrolled = enrolment(tmp_path, "http://127.0.0.1:9", "wka_x")
    enrolled.chmod(0o644)
    assert "chmod 600" in run(command("claude", enrolled), before(), home=tmp_path).err
    enrolled.chmod(0o600)
    for text in ("", "\x00\xff", "WATCHKEEPER_URL=http://127.0.0.1:9\nWATCHKEEPER_CREDENTIAL=a b"):
        enrolled.write_text(text, encoding="latin-1")
        ended = run(command("claude", enrolled), before(), home=tmp_path)
        assert (ended.code, ended.out) == (2, "")
    gone = run(command("claude", tmp_path / "none"), before(), home=tmp_path)
    assert "cannot be read" in gone.err
    assert gone.code == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:80",
        "http://127.0.0.1.example.com:80",
        "http://user@127.0.0.1:80",
        "http://127.0.0.1:80/path",
        "http://127.0.0.1:99999999",
        "ftp://127.0.0.1:80",
        "unix:/nowhere/plane.sock",
        "127.0.0.1:80",
    ],
)
def test_no_credential_is_sent_to_what_is_no_address_of_a_plane(tmp_path: Path, url: str) -> None:
    ended = run(command("claude", enrolment(tmp_path, url, "wka_x")), before(), home=tmp_path)
    assert (ended.code, ended.out) == (2, "")


def test_no_credential_is_sent_to_another_users_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        assert hook.loopback_port(url) == port
        assert hook.listeners(port) in (None, {os.geteuid()})
        monkeypatch.setattr(hook, "listeners", lambda _: frozenset({54_321}))
        with pytest.raises(hook.Doubt, match="user 54321 listens"):
            hook._exchange(url, "/hooks/claude", "wka_x", b"{}", "1")
        taken, _ = there.accept()
        with taken, suppress(BlockingIOError):
            taken.setblocking(False)
            assert taken.recv(1) == b"", "not a byte of it"
    hook._check_listener(url, "54321")
    monkeypatch.setattr(hook, "listeners", lambda _: frozenset())
    with pytest.raises(hook.Doubt, match="is gone"):
        hook._check_listener(url, "")
    for elsewhere in ("https://127.0.0.1:1", "http://192.0.2.1:80", "unix:/x"):
        assert hook.loopback_port(elsewhere) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user's process")
def test_a_port_that_another_user_took_is_told_from_the_planes() -> None:
    program = (
        "import os, socket, sys\n"
        "os.setuid(65534)\n"
        "there = socket.create_server(('127.0.0.1', 0))\n"
        "print(there.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert hook.listeners(port) == frozenset({65_534})
        other.communicate()


@pytest.mark.parametrize(
    "arguments",
    [[], ["other"], ["claude", "--patience", "soon"], ["claude", "--gateway", "a b"], ["resume"]],
)
def test_a_wrong_command_line_blocks(tmp_path: Path, arguments: list[str]) -> None:
    told = {"WATCHKEEPER_URL": "http://127.0.0.1:9", "WATCHKEEPER_CREDENTIAL": "wka_x"}
    base = [sys.executable, "-I", "-S", str(SCRIPT)]
    ended = run([*base, *arguments], before(), home=tmp_path, environ=told)
    assert (ended.code, ended.out) == (2, "")


def test_a_repository_changes_nothing_about_it(plane: Plane, enrolled: Path) -> None:
    """Modules in the working directory and the environment do not reach it."""
    place = plane.directory / "repository"
    place.mkdir()
    for name in ("json", "_socket", "posix", "sitecustomize", "watchkeeper"):
        (place / f"{name}.py").write_text("print('{}')\nraise SystemExit(0)\n")
    environ = clean_environment(plane.directory, PYTHONPATH=str(place))
    environ["WATCHKEEPER_URL"] = "http://127.0.0.1:9"
    ended = subprocess.run(
        command("claude", enrolled),
        input=json.dumps(before("Other", session="repository")).encode(),
        cwd=place,
        env=environ,
        capture_output=True,
        check=False,
    )
    assert b"DENIED by rule contract/coder/tools" in ended.stdout


def test_it_loads_next_to_nothing() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "before = set(sys.modules)\nimport hook\n"
        "print(*sorted(set(sys.modules) - before - {'hook'}))\n"
    )
    command = [sys.executable, "-I", "-S", "-c", program]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= {"__future__", "_signal", "_socket", "posix"}


def test_the_command_line_starts_it_first(plane: Plane, enrolled: Path) -> None:
    program = (
        "import sys, posix\n"
        f"sys.argv = ['watchkeeper', 'hook', 'claude', '--enrolment', {str(enrolled)!r}]\n"
        "end = posix._exit\n"
        "heavy = ('click', 'typing', 'json', 're', 'pydantic', 'asyncio')\n"
        "known = set(sys.modules)\n"
        "def check(code):\n"
        "    print([name for name in heavy if name in sys.modules and name not in known])\n"
        "    sys.stdout.flush()\n"
        "    end(code)\n"
        "posix._exit = check\n"
        "from watchkeeper.cli.main import main\nmain()\n"
    )
    ended = run([sys.executable, "-c", program], before(session="line"), home=plane.directory)
    assert ended.code == 0, ended.err
    assert ended.out.endswith("}[]\n")
