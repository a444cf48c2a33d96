"""What may not pass the listener: forged hosts, oversized and malformed requests."""

from __future__ import annotations

import json
import os
import pwd
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rig.plane import Plane

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("edges")).start()
    yield running
    running.close()


@pytest.fixture
def tcp(plane: Plane) -> Iterator[httpx.Client]:
    token = plane.issue_token("ada")
    with httpx.Client(
        base_url=plane.url, headers={"authorization": f"Bearer {token}"}, trust_env=False
    ) as client:
        yield client


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["code"] == code, found
    return found


def send_raw(plane: Plane, raw: bytes) -> bytes:
    host, _, port = plane.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "10.0.0.1", ""]
)
def test_a_rebound_name_reaches_nothing(tcp: httpx.Client, host: str) -> None:
    found = problem(tcp.get("/v1/status", headers={"host": host}), 403, "wrong_host")
    assert found["rule"] == "plane/host"


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "LOCALHOST:8750", "[::1]:80"])
def test_loopback_names_pass(tcp: httpx.Client, host: str) -> None:
    assert tcp.get("/v1/status", headers={"host": host}).status_code == httpx.codes.OK


def test_two_hosts_or_none_are_refused(plane: Plane) -> None:
    for hosts in (b"", b"Host: 127.0.0.1\r\nHost: evil.example\r\n"):
        answer = send_raw(
            plane, b"GET /healthz HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n"
        )
        assert b" 400 " in answer.split(b"\r\n")[0], answer


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1.evil.example"]
)
def test_a_web_page_may_not_call(tcp: httpx.Client, plane: Plane, origin: str) -> None:
    for client in (tcp, plane.operator.http):
        problem(client.get("/v1/status", headers={"origin": origin}), 403, "wrong_origin")


def test_a_declared_body_beyond_the_limit_is_refused(tcp: httpx.Client) -> None:
    problem(tcp.post("/v1/locks", content=b" " * (MEBIBYTE + 1)), 413, "too_large")


@pytest.mark.parametrize("path", ["/v1/locks", "/v1/decide"])
def test_a_streamed_body_beyond_the_limit_is_refused(plane: Plane, path: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * (MEBIBYTE // 32)

    client = plane.operator.http
    headers = {"authorization": "Bearer wkr_x"} if path == "/v1/decide" else {}
    problem(client.post(path, content=chunks(), headers=headers), 413, "too_large")


@pytest.mark.parametrize("path", ["/mcp", "/openai/v1/chat/completions", "/v1/apply"])
def test_a_large_body_may_pass_where_it_must(tcp: httpx.Client, path: str) -> None:
    for size, passes in ((2 * MEBIBYTE, True), (4 * MEBIBYTE + 1, False)):
        answer = tcp.post(path, content=b" " * size)
        assert (answer.status_code != httpx.codes.REQUEST_ENTITY_TOO_LARGE) is passes


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b'{"agent": "a", "agent": "b"}', b'{"agent": NaN}', b"[1]", b"\xff",
     b'{"agent": "a", "more": 1}', b'{"agent": "UPPER"}', b"[" * 200],
)  # fmt: skip
def test_malformed_bodies_are_named(plane: Plane, body: bytes) -> None:
    problem(plane.operator.http.post("/v1/enrolments", content=body), 400, "invalid")


def test_what_is_wrong_is_not_repeated(plane: Plane) -> None:
    answer = plane.operator.http.post("/v1/enrolments", content=b'{"agent": "SECRET-CANARY"}')
    assert b"CANARY" not in answer.content
    assert "agent" in answer.json()["message"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_decent_request_is_cut_off(plane: Plane, raw: bytes, status: bytes) -> None:
    head, _, body = send_raw(plane, raw).partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert json.loads(body)["code"]


def test_unknown_routes_methods_and_parameters(plane: Plane) -> None:
    client = plane.operator.http
    problem(client.get("/v1/nothing"), 404, "not_found")
    problem(client.get("/v1/apply"), 405, "method_not_allowed")
    problem(client.get("/v1/status", params={"colour": "red"}), 400, "invalid")
    problem(client.get("/v1/agents", params={"limit": "many"}), 400, "invalid")


def test_the_plane_still_answers_after_all_that(plane: Plane) -> None:
    assert plane.operator.get("/readyz")["ready"]
    assert "Traceback" not in plane.output


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs another account")
def test_another_account_on_the_socket_is_who_a_document_says() -> None:
    with tempfile.TemporaryDirectory(prefix="watchkeeper-peer-", dir="/tmp") as place:
        running = Plane(Path(place) / "plane").start()
        nobody = pwd.getpwuid(65534).pw_name
        try:
            for opened in (Path(place), running.directory, running.state):
                opened.chmod(0o755)
            running.socket.chmod(0o666)
            answer = ask_as(65534, running.socket)
            assert answer.split()[1] == "403", answer
            assert "identity/socket-peer" in answer
            running.apply(
                f"person: {{name: grace, operates: [{{role: viewer}}], accounts: [{nobody}]}}"
            )
            answer = ask_as(65534, running.socket)
            assert answer.split()[1] == "200", answer
            assert '"person":"grace"' in answer
            assert '"permissions":["read"]' in answer
        finally:
            running.close()


def ask_as(account: int, path: Path) -> str:
    """Ask who I am as another account of this machine; needs root."""
    with socket.socket(socket.AF_UNIX) as connection:
        # the kernel notes who connects at that moment
        os.seteuid(account)
        try:
            connection.connect(str(path))
        finally:
            os.seteuid(0)
        connection.sendall(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection.makefile("rb").read().decode()


def test_a_public_name_is_answered_and_named(tmp_path: Path) -> None:
    """Behind a proxy that ends TLS, agents and verifiers hear the plane's public address."""
    public = "https://planes.example:8443"
    plane = Plane(tmp_path, environ={"WATCHKEEPER_PUBLIC_URL": public}).start()
    try:
        with httpx.Client(base_url=plane.url, trust_env=False) as client:
            headers = {"host": "planes.example:8443"}
            path = "/.well-known/oauth-authorization-server"
            said = client.get(path, headers=headers).json()
            assert said["issuer"] == public
            assert said["token_endpoint"] == f"{public}/oauth/token"
            challenge = client.post("/mcp", headers=headers).headers["www-authenticate"]
            assert f'resource_metadata="{public}/.well-known/' in challenge
            problem(client.get("/v1/status", headers={"host": "evil.example"}), 403, "wrong_host")
    finally:
        plane.close()
