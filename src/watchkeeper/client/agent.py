"""A small client for agents: enrol, open runs, ask, and say how it ended."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel

from watchkeeper.client.address import Address
from watchkeeper.client.calls import path_part
from watchkeeper.client.problems import Model, error_of, read
from watchkeeper.client.transport import Transport
from watchkeeper.wire.agents import CloseRun, Credential, OpenRun, Redeem, RunOpened, RunRow
from watchkeeper.wire.decisions import Answer, Ask, Outcome
from watchkeeper.wire.health import HeartbeatTaken
from watchkeeper.wire.polling import Asked
from watchkeeper.wire.requests import Cancelled


class AgentRun:
    """One open run and its short-lived token."""

    def __init__(self, client: AgentClient, opened: RunOpened) -> None:
        self._client = client
        self.opened = opened

    @classmethod
    def of_token(cls, client: AgentClient, token: str) -> Self:
        """Return the run that a token opens; only the plane knows which it is."""
        opened = RunOpened(
            run="", agent="", token=token, expires_at=0, mcp_url="", model_base_url=""
        )
        return cls(client, opened)

    @property
    def run(self) -> str:
        """The id of the run."""
        return self.opened.run

    @property
    def token(self) -> str:
        """What the gateways take as the bearer."""
        return self.opened.token

    async def decide(self, ask: Ask, *, wait_seconds: float = 0) -> Answer:
        """Ask for one action; a hold is waited for at most `wait_seconds`."""
        return await self._client.post(
            Answer,
            "/v1/decide",
            ask,
            token=self.token,
            wait_seconds=wait_seconds,
            params={"wait_seconds": f"{wait_seconds:g}"},
        )

    async def asked(self, request: str) -> Asked:
        """Read how the request of a held action stands; nothing is used up by it."""
        return await self._client.get(Asked, f"/v1/decide/{path_part(request)}", token=self.token)

    async def answer(self, decision: str) -> Answer:
        """Read an earlier decision again."""
        return await self._client.get(
            Answer, f"/v1/decisions/{path_part(decision)}", token=self.token
        )

    async def outcome(self, decision: str, outcome: Outcome) -> None:
        """Say how a permitted action ended; saying it twice changes nothing."""
        await self._client.send(f"/v1/decisions/{path_part(decision)}/outcome", outcome, self.token)

    async def cancel(self, request: str) -> Cancelled:
        """Take back a request that nobody has decided, or an approval that was not used."""
        path = f"/v1/requests/{path_part(request)}/cancel"
        return await self._client.post(Cancelled, path, None, token=self.token)

    async def beat(self) -> HeartbeatTaken:
        """Say that the run lives; what it asks for says so too."""
        return await self._client.post(HeartbeatTaken, "/v1/heartbeat", None, token=self.token)

    async def renew(self) -> None:
        """Exchange the token for a fresh one before it expires."""
        path = f"/v1/runs/{path_part(self.run)}/token"
        self.opened = await self._client.post(RunOpened, path, None, token=self._client.credential)

    async def close(
        self, outcome: Literal["succeeded", "failed"], summary: str | None = None
    ) -> RunRow:
        """End the run."""
        path = f"/v1/runs/{path_part(self.run)}/close"
        body = CloseRun(outcome=outcome, summary=summary)
        return await self._client.post(RunRow, path, body, token=self.token)


class AgentClient:
    """What an agent's workload uses; `credential` is what it opens runs with.

    Methods raise the errors of `core.errors` as the plane answered them.
    """

    def __init__(self, url: str, credential: str | None = None) -> None:
        self.credential = credential
        self._transport = Transport(Address(url=url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._transport.close()

    async def redeem(self, secret: str, jwk: dict[str, Any] | None = None) -> Credential:
        """Exchange a one-time enrolment secret for the credential, and keep it.

        With the public half of a key pair (`jwk`) that is registered, and there is no credential.
        """
        credential = await self.post(
            Credential, "/v1/enrolments/redeem", Redeem(secret=secret, jwk=jwk), token=None
        )
        self.credential = credential.credential
        return credential

    async def open_run(self, run: OpenRun) -> AgentRun:
        """Begin one piece of work."""
        opened = await self.post(RunOpened, "/v1/runs", run, token=self.credential)
        return AgentRun(self, opened)

    async def get(self, model: type[Model], path: str, *, token: str | None) -> Model:
        """Read `path` as `model`."""
        return read(await self._transport.send("GET", path, token=token), model)

    async def post(
        self,
        model: type[Model],
        path: str,
        body: BaseModel | None,
        *,
        token: str | None,
        wait_seconds: float = 0,
        params: dict[str, str] | None = None,
    ) -> Model:
        """Send `body` and read the answer as `model`."""
        reply = await self._transport.send(
            "POST",
            path,
            params=params,
            body=_bytes(body),
            token=token,
            wait_seconds=wait_seconds,
        )
        return read(reply, model)

    async def send(self, path: str, body: BaseModel, token: str | None) -> None:
        """Send `body` where nothing is answered."""
        reply = await self._transport.send("POST", path, body=_bytes(body), token=token)
        if reply.status >= 400:
            raise error_of(reply)


def _bytes(body: BaseModel | None) -> bytes:
    return b"{}" if body is None else body.model_dump_json().encode()
