"""A plain HTTP caller of the plane: what a script with no client library would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.rig.deadline import eventually


class Refused(AssertionError):
    """The plane answered with an error where the test expected none."""

    def __init__(self, method: str, path: str, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{method} {path} -> {status}: {problem}")
        self.status = status
        self.problem = problem


class Caller:
    """JSON over HTTP, on the plane's Unix socket or its TCP port."""

    def __init__(self, base: str, *, token: str | None = None, socket: Path | None = None) -> None:
        self.token = token
        self.socket = socket
        self.http = httpx.Client(
            base_url=base,
            headers={"authorization": f"Bearer {token}"} if token else {},
            # without certificates, which take longer to load than a plane to answer
            transport=httpx.HTTPTransport(
                verify=False, uds=str(socket) if socket else None, trust_env=False
            ),
            timeout=60,
            trust_env=False,
        )

    def get(self, path: str, **parameters: str | int) -> Any:
        """Return the parsed answer; raises `Refused` on an error status."""
        return self._read(self.http.get(path, params=parameters))

    def post(self, path: str, body: dict[str, Any] | None = None, **parameters: str | int) -> Any:
        """Return the parsed answer (None when empty); raises `Refused` on an error status."""
        return self._read(self.http.post(path, json=body or {}, params=parameters))

    def problem(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, status: int
    ) -> dict[str, Any]:
        """Return the problem that the plane must answer with `status`."""
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type == "application/problem+json", media_type
        found: dict[str, Any] = answer.json()
        return found

    def wait_ready(self, *, seconds: float = 30.0) -> None:
        """Wait until /readyz answers 200."""
        eventually(
            lambda: self.http.get("/readyz").status_code == httpx.codes.OK,
            "the plane is ready",
            seconds=seconds,
            tolerate=(httpx.TransportError,),
        )

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()

    def _read(self, answer: httpx.Response) -> Any:
        if answer.is_error:
            try:
                problem = answer.json()
            except ValueError:
                problem = {"text": answer.text}
            request = answer.request
            raise Refused(request.method, request.url.path, answer.status_code, problem)
        return answer.json() if answer.content else None
