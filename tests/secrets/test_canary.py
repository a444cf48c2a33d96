"""Planted credentials of every kind, upstreams that repeat them everywhere: none is found after.

A credential may be where it must be: in its own source, in the request to its own upstream, in
the environment of its own child. Nowhere else: no file of the state, answer, output or argument.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.command import on
from tests.rig.agent import Run
from tests.rig.credential_servers import LeakyUpstream, TokenServer, VaultServer
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.process import ROOT
from watchkeeper.tools.processes.table import MARK

ENV, FILE, SEALED, CHILD = (f"{kind}-canary-4b1d9e" for kind in ("env", "file", "sealed", "child"))
VAULT, VAULT_TOKEN, MODEL = (f"{kind}-canary-4b1d9e" for kind in ("vault", "vaulttoken", "model"))
CLIENT_SECRET = "client:canary/4b1d9e"
OLD_SEALED, OLD_CHILD = "old-sealed-canary-77", "old-child-canary-77"
WAYS = ("plain", "error", "tool-error", "http-500", "hang-up", "stream")
WITHHELD = "[credential withheld]"
POLICY = '@id("all") permit (principal, action, resource);'


def upstream(name: str, url: str, credential: dict[str, Any]) -> str:
    document = {"name": name, "transport": "http", "url": f"{url}/mcp", "credential": credential}
    return json.dumps({"upstream": document})


def tool(name: str) -> str:
    return json.dumps({"tool": {
        "name": f"{name}.echo", "upstream": name, "upstream_tool": "echo", "does": "Repeats.",
        "access": "read", "risk": "low",
        "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}},
    }})  # fmt: skip


@dataclass
class Ground:
    plane: Plane
    upstreams: dict[str, LeakyUpstream]
    vault: VaultServer
    tokens: TokenServer
    directory: Path
    said: list[str] = field(default_factory=list)
    """All that anybody was told."""

    @property
    def canaries(self) -> set[str]:
        known = {ENV, FILE, SEALED, CHILD, VAULT, VAULT_TOKEN, MODEL, CLIENT_SECRET, OLD_SEALED,
                 OLD_CHILD, *self.tokens.issued}  # fmt: skip
        return known | {base64.b64encode(one.encode()).decode() for one in known}

    def children(self) -> dict[int, dict[str, str]]:
        """The environment of every child that runs, by process id."""
        found = {}
        for path in self.directory.glob("environment-*.json"):
            pid = int(path.stem.rpartition("-")[2])
            if Path(f"/proc/{pid}").exists():
                found[pid] = json.loads(path.read_text())
        return found

    def up(self) -> None:
        def all_up() -> bool:
            rows = self.plane.operator.get("/v1/upstreams")["rows"]
            return all(row["state"] == "up" for row in rows if row["kind"] != "model")

        eventually(all_up, "every upstream is up")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with contextlib.ExitStack() as stack:
        tokens = stack.enter_context(TokenServer("plane", CLIENT_SECRET))
        vault = stack.enter_context(VaultServer(VAULT_TOKEN))
        vault.write("secret/apis/books", key=VAULT)
        servers = {
            name: stack.enter_context(LeakyUpstream())
            for name in ("by-env", "by-file", "by-sealed", "by-vault", "model")
        }
        servers["by-oauth"] = stack.enter_context(LeakyUpstream(tokens.takes))
        (tmp_path / "file-secret").write_text(FILE)
        plane = Plane(
            tmp_path,
            environ={
                "ENV_CANARY": ENV,
                "CLIENT_SECRET": CLIENT_SECRET,
                "VAULT_TOKEN": VAULT_TOKEN,
                "MODEL_CANARY": MODEL,
                "WATCHKEEPER_VAULT_URL": vault.url,
                "WATCHKEEPER_VAULT_TOKEN": "env:VAULT_TOKEN",
            },
        )
        stack.callback(plane.close)
        plane.start()
        made = Ground(plane, servers, vault, tokens, tmp_path)
        for name, value in (("books", OLD_SEALED), ("child", OLD_CHILD)):
            made.said.append(str(on(plane, "secrets", "put", name, typed=f"{value}\n")))
        plane.apply(*documents(made), policy__cedar=POLICY)
        yield made


def documents(ground: Ground) -> list[str]:
    urls = {name: server.url for name, server in ground.upstreams.items()}
    child = [sys.executable, str(ROOT / "tests/rig/leaky_child.py"), str(ground.directory)]
    names = ("by-env", "by-file", "by-sealed", "by-vault", "by-oauth", "by-child")
    allowed = ", ".join(f"{{name: {name}.echo}}" for name in names)
    return [
        upstream("by-env", urls["by-env"], {"from": "env:ENV_CANARY"}),
        upstream(
            "by-file", urls["by-file"],
            {"from": f"file:{ground.directory}/file-secret", "header": "X-Api-Key", "prefix": ""},
        ),
        upstream("by-sealed", urls["by-sealed"], {"from": "sealed:books"}),
        upstream("by-vault", urls["by-vault"], {"from": "vault:secret/apis/books#key"}),
        upstream(
            "by-oauth", urls["by-oauth"],
            {"oauth": {"token_url": f"{ground.tokens.url}/token", "client_id": "plane",
                       "client_secret": "env:CLIENT_SECRET"}},
        ),
        json.dumps({"upstream": {
            "name": "by-child", "transport": "stdio", "command": child,
            "credential": {"from": "sealed:child", "environment": "UPSTREAM_CREDENTIAL"}}}),
        *(tool(name) for name in names),
        f"""
agent:
  name: clerk
  owner: finance
  mission: Ask everybody.
  model_routing: {{default: small}}
  budgets: {{max_steps: 1000, max_input_tokens: 1000000, max_output_tokens: 1000000,
             max_cost_usd_per_run: 1000}}
  tools: {{allowlist: [{allowed}]}}
  identity: {{mode: own, token_ttl_seconds: 900}}
---
provider:
  name: leaky
  base_url: {urls["model"]}/v1
  credential: {{from: "env:MODEL_CANARY"}}
  models: [{{name: m, input_usd_per_million: 1, output_usd_per_million: 1}}]
---
model: {{name: small, provider: leaky, provider_model: m}}
""",
    ]  # fmt: skip


async def use_everything(ground: Ground, run: Run) -> list[str]:
    """Call every tool in every way, and the model; return what came back."""
    said = []

    async def tell_progress(progress: float, total: float | None, message: str | None) -> None:
        said.append(f"progress {progress} {message}")

    async with run.mcp() as client:
        listed = await client.list_tools()
        said.append(listed.model_dump_json())
        assert len(listed.tools) == 6
        for one in listed.tools:
            for way in WAYS:
                result = await client.call_tool(
                    one.name, {"text": way}, progress_callback=tell_progress
                )
                said.append(f"{one.name} {way}: {result.model_dump_json()}")
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for words in ("hello", "stream", "http-400", "http-500"):
            answer = await http.post(
                f"{run.model_base_url}/chat/completions",
                headers={"authorization": f"Bearer {run.token}"},
                json={
                    "model": "small",
                    "messages": [{"role": "user", "content": words}],
                    "stream": words == "stream",
                },
            )
            said.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")
    return said


def look_everywhere(ground: Ground) -> list[str]:
    """Return every answer of the API and output of the command line that people see."""
    operator = ground.plane.operator
    seen = [json.dumps(operator.get(path)) for path in (
        "/v1/status", "/v1/watch", "/v1/upstreams", "/v1/agents", "/v1/agents/clerk", "/v1/runs",
        "/v1/decisions", "/v1/secrets", "/v1/openapi.json", "/v1/budgets")]  # fmt: skip
    seen.append(json.dumps(ground.plane.events()))
    for words in (("secrets", "list"), ("secrets", "list", "--json"), ("status",), ("watch",),
                  ("events", "--json"), ("agents",)):  # fmt: skip
        ended = on(ground.plane, *words)
        assert ended.code == 0, ended.err
        seen.append(ended.out + ended.err)
    return seen


def find_canaries(ground: Ground) -> list[str]:
    """Return where a credential is that has no business there."""
    places = {f"said {n}: {text[:80]}": text.encode() for n, text in enumerate(ground.said)}
    for path in ground.plane.state.rglob("*"):
        if path.is_file():
            places[str(path)] = path.read_bytes()
    places["output"] = ground.plane.output.encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            places[str(path)] = path.read_bytes()
    return sorted(
        f"{canary} in {place}"
        for place, data in places.items()
        for canary in ground.canaries
        if canary.encode() in data
    )


def given(ground: Ground, name: str) -> set[str]:
    return set(ground.upstreams[name].seen.credentials)


async def test_no_credential_is_found_where_it_has_no_business(ground: Ground) -> None:
    plane = ground.plane
    ground.up()
    run = plane.enrol("clerk").open_run()
    ground.said += await use_everything(ground, run)

    # every credential was really used, and every echo really came
    assert given(ground, "by-env") == {f"Bearer {ENV}"}
    assert given(ground, "by-file") == {FILE}
    assert given(ground, "by-sealed") == {f"Bearer {OLD_SEALED}"}
    assert given(ground, "by-vault") == {f"Bearer {VAULT}"}
    assert given(ground, "by-oauth") == {f"Bearer {ground.tokens.issued[0]}"}
    assert given(ground, "model") == {f"Bearer {MODEL}"}
    results = [text for text in ground.said if "_echo plain" in text]
    assert len(results) == 6
    assert all(WITHHELD in text for text in results)
    assert sum(WITHHELD in text for text in ground.said if text.startswith("200 ")) == 2
    assert sum(WITHHELD in text for text in ground.said if text.startswith("progress ")) == 5

    # a child has its own credential and no other
    ((pid, environment),) = ground.children().items()
    assert environment["UPSTREAM_CREDENTIAL"] == OLD_CHILD
    assert not {ENV, FILE, VAULT_TOKEN, MODEL, CLIENT_SECRET} & set(environment.values())
    ours = {name for name in environment if name.startswith(("WATCHKEEPER", "VAULT"))}
    assert ours == {MARK}  # which launch it is of; nothing is opened with that

    # new values are used without a restart; the child is started anew
    for name, value in (("books", SEALED), ("child", CHILD)):
        ended = on(plane, "secrets", "put", name, typed=value)
        assert ended.code == 0, ended.err
        ground.said.append(ended.out + ended.err)
    eventually(
        lambda: [e["UPSTREAM_CREDENTIAL"] for e in ground.children().values()] == [CHILD],
        "the child has the new value",
    )
    assert pid not in ground.children()
    ground.up()
    (ground.directory / "file-secret").write_text(FILE + "-2")
    ground.said += await use_everything(ground, run)
    assert f"Bearer {SEALED}" in given(ground, "by-sealed")
    assert FILE + "-2" in given(ground, "by-file")

    # refused everywhere; then the plane crashes and comes back
    for server in ground.upstreams.values():
        server.accepts = lambda header: False
    ground.said += await use_everything_refused(ground, run)
    ground.said += look_everywhere(ground)
    plane.kill()
    assert find_canaries(ground) == []
    for server in ground.upstreams.values():
        server.accepts = lambda header: True
    plane.restart()
    ground.up()
    ground.said += await use_everything(ground, plane.enrol("clerk").open_run())
    ended = on(plane, "secrets", "rotate-key")
    assert ended.code == 0, ended.err
    ground.said.append(ended.out)
    ground.said += await use_everything(ground, plane.enrol("clerk").open_run())
    ground.said += look_everywhere(ground)
    assert find_canaries(ground) == []
    plane.stop()
    assert find_canaries(ground) == []


async def use_everything_refused(ground: Ground, run: Run) -> list[str]:
    said = []
    async with run.mcp() as client:
        for name in ("by-env", "by-file", "by-sealed", "by-vault", "by-oauth"):
            result = await client.call_tool(f"{name}.echo", {"text": "plain"})
            assert result.is_error
            said.append(result.model_dump_json())
    return said


async def test_a_refused_token_is_fetched_once_anew_and_nothing_runs_twice(ground: Ground) -> None:
    ground.up()
    server, tokens = ground.upstreams["by-oauth"], ground.tokens
    run = ground.plane.enrol("clerk").open_run()
    async with run.mcp() as client:
        await client.call_tool("by-oauth.echo", {"text": "plain"})
        tokens.revoked.update(tokens.issued)
        result = await client.call_tool("by-oauth.echo", {"text": "after"})
        assert not result.is_error
        assert server.seen.executions == ["plain", "after"]
        assert len(tokens.issued) == 2
        server.accepts = lambda header: False
        result = await client.call_tool("by-oauth.echo", {"text": "refused"})
        assert result.is_error
        assert "It did not take effect" in json.dumps(result.structured_content) + str(
            result.content
        )
        assert server.seen.executions == ["plain", "after"]
        # many calls at once share one token
        server.accepts = tokens.takes
        before = len(tokens.issued)
        tokens.revoked.update(tokens.issued)
        results = await asyncio.gather(
            *(client.call_tool("by-oauth.echo", {"text": f"n{n}"}) for n in range(10))
        )
        assert not any(result.is_error for result in results)
        assert len(tokens.issued) == before + 1


async def test_a_missing_key_is_a_need_and_no_reason_not_to_start(ground: Ground) -> None:
    plane = ground.plane
    ground.up()
    plane.stop()
    key = plane.state / "sealing.key"
    key.rename(ground.directory / "kept.key")
    plane.restart()

    def needs() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = plane.operator.get("/v1/watch")["rows"]
        return [row for row in rows if row["need"].startswith("credential/")]

    assert {row["subject"] for row in needs()} == {"sealed:books", "sealed:child"}
    assert all("sealed with key" in row["text"] for row in needs())
    run = plane.enrol("clerk").open_run()
    before = len(ground.upstreams["by-sealed"].seen.credentials)
    async with run.mcp() as client:
        result = await client.call_tool("by-sealed.echo", {"text": "plain"})
        assert result.is_error
        assert not (await client.call_tool("by-env.echo", {"text": "plain"})).is_error
    assert len(ground.upstreams["by-sealed"].seen.credentials) == before
    assert not key.exists()
    refused = on(plane, "secrets", "put", "books", typed=SEALED)
    assert refused.code != 0
    assert "sealing" in refused.err or "sealed with key" in refused.err
    (ground.directory / "kept.key").rename(key)
    assert os.stat(key).st_mode & 0o077 == 0
    eventually(lambda: needs() == [], "the key is back")
    ground.up()
    assert find_canaries(ground) == []


def test_a_secret_is_never_taken_from_an_argument(ground: Ground) -> None:
    assert on(ground.plane, "secrets", "put", "books", SEALED).code == 2
    assert on(ground.plane, "secrets", "put", "books", typed="").code == 1
    assert on(ground.plane, "secrets", "put", "Bad/Name", typed=SEALED).code != 0
    listed = on(ground.plane, "secrets", "list").out
    assert "upstream/by-sealed" in listed
    assert "upstream/by-child" in listed
    ended = on(ground.plane, "secrets", "remove", "books")
    assert ended.code == 0, ended.err
    assert "refused until it is put again: upstream/by-sealed" in ended.err
    assert on(ground.plane, "secrets", "remove", "books").code == 3
    problem = ground.plane.operator.problem(
        "POST", "/v1/secrets/books", {"value": SEALED + "\n" + SEALED}, status=400
    )
    assert SEALED not in json.dumps(problem)
    problem = ground.plane.operator.problem(
        "POST", "/v1/secrets/books", {"value": [SEALED]}, status=400
    )
    assert SEALED not in json.dumps(problem)
