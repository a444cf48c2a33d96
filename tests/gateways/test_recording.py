"""What is kept of what passes: as the contract says, beside the calls, and never unbounded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.bare import ENDED, STREAM, bare, completion, events, whole
from tests.gateways.crooked import crooked
from tests.gateways.ground import Edge, open_edge
from tests.gateways.test_tracing import message
from tests.rig.deadline import eventually_async
from tests.rig.world import agent_document, upstream_document, world
from watchkeeper.gateways import recording
from watchkeeper.gateways.recording import LARGEST_KEPT, Recording
from watchkeeper.traces.contents import Content, read

MAIL = "ada@example.com"
KEY = "sk-proj-" + "Zx9" * 16


def keeping(**logging: Any) -> str:
    return agent_document().rstrip() + "\n  logging: " + json.dumps(logging) + "\n"


async def kept(edge: Edge, decision: str, parts: int = 1) -> list[Content]:
    async def found() -> list[Content] | None:
        there = await edge.store.read(lambda tx: read(tx, decision))
        return there if len(there) == parts else None

    return await eventually_async(found, "what was said")


@asynccontextmanager
async def answering(tmp_path: Path, data: bytes, agent: str) -> AsyncIterator[Edge]:
    async with bare(data) as url:
        documents = [
            one.replace("base_url:", "terms: {retention: zero}\n  base_url:")
            for one in world(provider_url=url, agent=agent)
        ]
        async with open_edge(tmp_path, *documents) as edge:
            yield edge


async def ask(edge: Edge, text: str, *, stream: bool = False) -> dict[str, Content]:
    """Call a model; return what is kept by part."""
    asked = {"model": "small-fast", "messages": [{"role": "user", "content": text}]}
    async with edge.http.post(
        f"{edge.url}/openai/v1/chat/completions",
        json={**asked, "stream": stream},
        headers={"authorization": f"Bearer {await edge.open_run()}"},
    ) as said:
        await said.read()
        decision = said.headers["x-watchkeeper-decision"]
    return {one.part: one for one in await kept(edge, decision, 2)}


async def test_a_call_is_kept_as_it_was_but_for_secrets(tmp_path: Path) -> None:
    answer = whole(completion(f"call {MAIL}, the key is {KEY}"))
    async with answering(tmp_path, answer, agent_document()) as edge:
        found = await ask(edge, f"where is {MAIL}")
    prompt, said = found["input"], found["output"]
    assert prompt.text is not None
    assert json.loads(prompt.text)["messages"][0]["content"] == f"where is {MAIL}"
    assert said.text is not None
    assert MAIL in said.text
    assert KEY not in said.text
    assert "[secret redacted]" in said.text
    assert (prompt.kind, said.kind, said.agent) == ("json", "json", "clerk")
    assert said.digest.startswith("sha256:")


async def test_a_strict_contract_keeps_no_personal_data(tmp_path: Path) -> None:
    answer = whole(completion(f"it is {MAIL}"))
    async with answering(tmp_path, answer, keeping(pii_redaction="strict")) as edge:
        found = await ask(edge, f"where is {MAIL}")
    assert all(MAIL not in (one.text or "") for one in found.values())
    assert "[email redacted]" in (found["output"].text or "")


@pytest.mark.parametrize("logging", [{"trace_level": "metadata"}, {"zero_retention": True}])
async def test_metadata_and_zero_retention_keep_digests_alone(
    tmp_path: Path, logging: dict[str, Any]
) -> None:
    async with answering(tmp_path, whole(completion("hi")), keeping(**logging)) as edge:
        found = await ask(edge, "one two")
    assert {one.part for one in found.values()} == {"input", "output"}
    for one in found.values():
        assert one.text is None
        assert one.left_out == "the contract keeps digests only"
        assert one.size > 0


async def test_nothing_is_kept_where_traces_are_off(tmp_path: Path) -> None:
    async with open_edge(tmp_path, *world(agent=keeping(trace_level="off"))) as edge:
        taking = edge.gateways.recording
        taking.take("dec_1", "input", run="run_1", agent="clerk", data=b"{}", model=True)
        await taking.stop()
        assert (await edge.store.read(lambda tx: read(tx, "dec_1")), taking.lost) == ([], 0)


def delta(content: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}]}


END = [
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
    b"[DONE]",
]


async def test_a_streamed_answer_is_kept_as_words_and_redacted_across_its_pieces(
    tmp_path: Path,
) -> None:
    said = STREAM + events(delta("it is ada@exa"), delta("mple.com"), *END) + ENDED
    async with answering(tmp_path, said, keeping(pii_redaction="strict")) as edge:
        found = await ask(edge, "where?", stream=True)
    assert (found["output"].kind, found["output"].text) == ("text", "it is [email redacted]")


def called(arguments: str) -> dict[str, Any]:
    call = {"index": 0, "id": "c1", "function": {"name": "mail", "arguments": arguments}}
    return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}


@pytest.mark.parametrize("split", [True, False])
async def test_a_streamed_call_of_tools_is_kept_unless_it_hides_what_must_not_be(
    tmp_path: Path, split: bool
) -> None:
    pieces = ('{"to":"ada@exa', 'mple.com"}') if split else ('{"to":', '"ch_1"}')
    said = STREAM + events(*map(called, pieces), *END) + ENDED
    async with answering(tmp_path, said, keeping(pii_redaction="strict")) as edge:
        output = (await ask(edge, "where?", stream=True))["output"]
    if split:
        assert output.text is None
        assert output.left_out is not None
    else:
        assert len(json.loads(output.text or "")) == 3


async def test_what_is_too_large_leaves_its_digest(tmp_path: Path) -> None:
    async with answering(tmp_path, whole(completion("x" * LARGEST_KEPT)), agent_document()) as edge:
        output = (await ask(edge, "hi"))["output"]
    assert (output.text, output.left_out) == (None, "larger than 262,144 bytes")


async def test_a_tools_result_is_kept(tmp_path: Path) -> None:
    async with crooked() as server:
        upstream = upstream_document(url=server.url)
        async with open_edge(tmp_path, *world(upstream=upstream)) as edge:
            await edge.upstream_up()
            headers = {"authorization": f"Bearer {await edge.open_run()}"}
            async with edge.http.post(f"{edge.url}/mcp", json=message(), headers=headers) as said:
                await said.read()
            (decided,) = await edge.events("decision.permitted")
            (one,) = await kept(edge, decided["decision"])
    assert json.loads(one.text or "")["content"] == [{"type": "text", "text": "hi"}]


async def test_a_full_queue_loses_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_WAITING", 2)
    async with open_edge(tmp_path) as edge:
        taking = Recording(edge.store, edge.gateways._view)
        for number in range(5):
            taking.take(
                f"dec_{number}", "input", run="run_1", agent="clerk", data=b"{}", model=True
            )
        assert taking.lost == 3
        taking.start()
        await kept(edge, "dec_1")
        await taking.stop()
        assert await edge.store.read(lambda tx: read(tx, "dec_2")) == []
