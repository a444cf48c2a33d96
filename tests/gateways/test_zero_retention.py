"""Under zero retention no word that is put before a model, or that it says, is kept anywhere."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateways.ground import Edge, open_edge
from tests.rig.deadline import eventually_async
from tests.rig.provider import Provider
from tests.rig.world import POLICY, agent_document, world
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.wire.decisions import Ask, Outcome

CANARY = "canary7f3a"
TEXT = f"{CANARY} says hello"
LONG_PROMPTS = """
@id("long-prompts")
@message("A person looks at long prompts first.")
@obligation("require_approval")
@approver_role("finance-ops")
forbid (principal, action == Action::"call_model", resource)
when { context.est_tokens > 10000 } unless { context.approvals.contains("finance-ops") };
"""
CHAT: dict[str, Any] = {"model": "small-fast", "messages": [{"role": "user", "content": TEXT}]}
RESPONSES: dict[str, Any] = {"model": "small-fast", "instructions": TEXT, "input": TEXT}
EVERYTHING: dict[str, Any] = {
    **CHAT,
    "max_tokens": 8,
    "system": f"{CANARY} instructs",
    "metadata": {"user_id": CANARY},
    "stop_sequences": [CANARY],
    "tools": [
        {"name": CANARY, "description": CANARY, "input_schema": {"properties": {CANARY: {}}}},
        {"type": "web_search_20260318", "name": "web_search", "allowed_domains": [CANARY]},
    ],
}


def documents(provider: Provider, *, retention: str = "zero", zero: bool = True) -> list[str]:
    """Return a world whose agent wants nothing kept, with models of both protocols."""
    contract = yaml.safe_load(agent_document(hold_seconds=0))
    contract["agent"]["logging"] = {"zero_retention": zero, "pii_redaction": "off"}
    contract["agent"]["model_routing"] = {
        "default": "small-fast",
        "allowed": ["claude-fast", "judged"],
        "hosted_tools": "strip",
    }
    priced = {"input_usd_per_million": 3, "output_usd_per_million": 15, "context_window": 100_000}
    offered = [{"name": name, **priced} for name in ("small-1", "large-1")]
    terms = {"retention": retention}
    bare = provider.url.removesuffix("/v1")
    places = (("local", "openai", provider.url), ("there", "anthropic", bare))
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    kept = {"scope": "team", "ttl_seconds": 60}
    return [
        *(one for one in world(agent=yaml.safe_dump(contract)) if "\nprovider:" not in one),
        *(
            yaml.safe_dump({"provider": {
                "name": name, "protocol": protocol, "base_url": url, "terms": terms,
                "models": offered, "retries": {"attempts": 1},
            }})
            for name, protocol, url in places
        ),
        yaml.safe_dump_all([
            {"model": {"name": "small-fast", "cache": kept,
                       "targets": [{"provider": "local", "model": "small-1"}]}},
            {"model": {"name": "claude-fast", "provider": "there", "provider_model": "large-1"}},
            {"model": {"name": "large", "provider": "local", "provider_model": "large-1"}},
            {"model": {"name": "judged", "provider": "local", "provider_model": "small-1",
                       "escalates_to": "large", "escalate_on": [{"output_fails_schema": schema}]}},
        ]),
    ]  # fmt: skip


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that is logged, however unimportant."""
    caplog.set_level(logging.DEBUG)
    return caplog


async def post(edge: Edge, token: str, path: str, body: Any) -> tuple[int, bytes]:
    """Send a call, whatever comes of it."""
    raw = body if isinstance(body, bytes) else None
    async with edge.http.post(
        f"{edge.url}{path}",
        json=None if raw is not None else body,
        data=raw,
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    ) as answer:
        try:
            return answer.status, await answer.read()
        except OSError:
            return answer.status, b""


async def use_everything(edge: Edge, provider: Provider) -> list[bytes]:
    """Call models in every way that could leave words behind; return what came back."""
    token = await edge.open_run()
    said: list[bytes] = []
    chat, messages = "/openai/v1/chat/completions", "/anthropic/v1/messages"
    claude = {**EVERYTHING, "model": "claude-fast"}
    for stream in (False, True):
        for wish in (
            {},
            {"status": 400, "message": TEXT},
            {"status": 500, "message": TEXT},
            {"status": 429, "message": TEXT},
            {"break_after_words": 2},
            {"fail_after_words": 1, "message": TEXT},
        ):
            provider.wish(**wish)
            for path, body in (
                (chat, CHAT),
                (messages, claude),
                ("/openai/v1/responses", RESPONSES),
                ("/openai/v1/embeddings", {"model": "small-fast", "input": TEXT}),
            ):
                said.append((await post(edge, token, path, {**body, "stream": stream}))[1])
    provider.wish()
    said.append((await post(edge, token, f"{messages}/count_tokens", claude))[1])
    # its answer is judged, and found to be no JSON
    said.append((await post(edge, token, chat, {**CHAT, "model": "judged"}))[1])
    json_said = {**CHAT, "model": "judged"}
    json_said["messages"] = [{"role": "user", "content": f'{{"{CANARY}":1}}'}]
    said.append((await post(edge, token, chat, {**json_said, "max_tokens": 1}))[1])
    unreadable: tuple[Any, ...] = (
        b'{"model":"' + CANARY.encode(),
        {**CHAT, CANARY: 1},
        {**claude, CANARY: 1},
        {**claude, "messages": [{"role": CANARY, "content": ""}]},
        {**claude, "messages": [{"role": "user", "content": [{"type": CANARY}]}]},
    )
    for bad in unreadable:
        for path in (chat, messages):
            said.append((await post(edge, token, path, bad))[1])
    long = {**CHAT, "messages": [{"role": "user", "content": f"{CANARY} " * 5000}]}
    status, held = await post(edge, token, chat, {**long, "max_tokens": 5})
    assert status == 403
    assert b"PENDING" in held
    await edge.vote()
    assert (await post(edge, token, chat, {**long, "max_tokens": 5}))[0] == 200
    said += await perform_itself(edge, token)
    return said


async def perform_itself(edge: Edge, token: str) -> list[bytes]:
    """Ask for a call that the agent makes by itself, with words in every place for them."""
    ask = Ask(
        kind="model",
        name="small-fast",
        arguments={
            "prompt": TEXT,
            "body": TEXT,
            CANARY: True,
            "messages": TEXT,
            "hosted_tools": [{"tool": "hosted.web_search", "why": TEXT}],
        },
        idempotency_key=CANARY,
        explanation=TEXT,
        fulfils=("route", "max_output_tokens", "compose", "strip"),
    )
    said: list[bytes] = []
    other = {"arguments": {"prompt": TEXT}, "idempotency_key": f"{CANARY}-2"}
    for asked in (ask, ask.model_copy(update=other)):
        answer = await edge.decider.decide(token, asked)
        said.append(answer.model_dump_json().encode())
        if answer.verdict == "permit":
            ended = Outcome(status="failed", error=TEXT, result_digest=CANARY)
            await edge.decider.settle(answer.decision, ended, token=token)
    try:
        bad = ask.model_copy(update={"arguments": {"hosted_tools": [{"tool": CANARY.upper()}]}})
        said.append((await edge.decider.decide(token, bad)).model_dump_json().encode())
    except WatchkeeperError:
        pass
    return said


def rows_with(directory: Path, word: str) -> list[str]:
    """Return every place of the database, and every other file, that holds a word."""
    found = []
    database = sqlite3.connect(directory / "plane.sqlite3")
    for (table,) in database.execute("select name from sqlite_master where type = 'table'"):
        for row in database.execute(f"select * from {table}"):
            if any(word.casefold() in str(value).casefold() for value in row):
                found.append(f"{table}: {row}")
    database.close()
    for path in directory.rglob("*"):
        if path.is_file() and word.encode() in path.read_bytes():
            found.append(str(path))
    return found


async def run(directory: Path, provider: Provider, *, zero: bool) -> list[bytes]:
    """Use everything, and close the plane."""
    policy = POLICY + LONG_PROMPTS
    provider.wish()
    async with open_edge(directory, *documents(provider, zero=zero), policy=policy) as edge:
        said = await use_everything(edge, provider)

        async def settled() -> bool:
            permitted = len(await edge.events("decision.permitted"))
            return len(await edge.events("outcome.recorded")) == permitted

        await eventually_async(settled, "every outcome")
        assert len(await edge.events("outcome.recorded")) > 20
    provider.wish()
    return said


async def test_no_word_is_found_in_any_table_log_or_file(
    tmp_path: Path, model_provider: Provider, log: pytest.LogCaptureFixture
) -> None:
    said = await run(tmp_path, model_provider, zero=True)
    assert sum(CANARY.encode() in one for one in said) > 10, "the agent itself is told"
    assert any(CANARY in str(one["body"]) for one in model_provider.requests())
    assert rows_with(tmp_path, CANARY) == []
    assert CANARY not in log.text


async def test_the_search_finds_what_is_kept_of_others(
    tmp_path: Path, model_provider: Provider
) -> None:
    await run(tmp_path, model_provider, zero=False)
    assert rows_with(tmp_path, CANARY)


@pytest.mark.parametrize("retention", ["limited", "unknown"])
async def test_a_provider_that_keeps_what_it_is_sent_is_not_asked(
    tmp_path: Path, model_provider: Provider, retention: str
) -> None:
    model_provider.wish()
    before = len(model_provider.requests())
    async with open_edge(tmp_path, *documents(model_provider, retention=retention)) as edge:
        status, body = await post(
            edge, await edge.open_run(), "/openai/v1/chat/completions", {**CHAT, "max_tokens": 5}
        )
    assert status == 403
    assert b"zero_retention" in body
    assert b"retention: " + retention.encode() in body
    assert len(model_provider.requests()) == before
