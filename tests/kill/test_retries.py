"""What a lock cut is never run again by itself: not by its key, nor as the same call, nor later."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.gateways.crooked_models import crooked_models
from tests.gateways.failing import ground, model, provider
from tests.gateways.ground import Edge, open_edge, text_of
from tests.rig.deadline import eventually_async
from tests.rig.upstream import Upstream
from tests.rig.world import agent_document, upstream_document, world
from watchkeeper.decide.runs.reconciling import reconcile
from watchkeeper.decide.runs.unsettled import recover
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.wire.decisions import Ask
from watchkeeper.wire.locks import TargetKind

SLOW = """
tool:
  name: books.slow
  upstream: books
  upstream_tool: wait_until_told
  does: Does something that takes long.
  access: write
  risk: low
  idempotency: {by: arguments, window_seconds: 60}
"""
_labels = itertools.count()
TARGETS: tuple[tuple[TargetKind, str], ...] = (
    ("agent", "clerk"), ("tool", "books.slow"), ("upstream", "books"), ("everything", "*"),
)  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = Upstream(tmp_path_factory.mktemp("shelf")).start()
    yield server
    server.stop()


@pytest.fixture
async def edge(tmp_path: Path, shelf: Upstream) -> AsyncIterator[Edge]:
    documents = world(
        SLOW,
        upstream=upstream_document(url=shelf.url),
        agent=agent_document(tools=["slow", "echo"]),
    )
    async with open_edge(tmp_path, *documents) as opened:
        await opened.upstream_up()
        yield opened


async def cut(
    edge: Edge, shelf: Upstream, token: str, label: str, kind: TargetKind, name: str, **more: Any
) -> str:
    """Have a call cut by a lock while it runs, lift the lock, and return what the client got."""

    async def runs() -> bool:
        return shelf.executions().count({"label": label}) == 1

    async with edge.mcp(token) as client:
        call = asyncio.create_task(client.call_tool("books.slow", {"label": label}, **more))
        await eventually_async(runs, "the upstream runs it")
        lock, _ = await edge.kill.lock(
            NewLock(LockTarget(kind, name), mode="stop", reason="odd", by="person/owner")
        )
        said = await call
        refused = await client.call_tool("books.slow", {"label": label}, **more)
    assert said.is_error
    assert f"lock {lock.lock} cut this call off" in text_of(said)
    assert said.structured_content["retryable"] is False
    assert "DENIED by rule lock/" in text_of(refused)
    await edge.kill.lift(lock.lock, reason="repaired", by="person/owner")
    await edge.upstream_up()
    return str(said.structured_content["decision"])


@pytest.mark.parametrize(("kind", "name"), TARGETS, ids=[kind for kind, _ in TARGETS])
@pytest.mark.parametrize("keyed", [True, False], ids=["by its key", "as the same call"])
async def test_a_call_that_was_cut_is_answered_as_unknown_and_not_run_again(
    edge: Edge, shelf: Upstream, kind: TargetKind, name: str, keyed: bool
) -> None:
    label = f"cut-{next(_labels)}"
    meta: dict[str, Any] = {"watchkeeper/idempotency-key": label} if keyed else {}
    more: dict[str, Any] = {"meta": meta} if keyed else {}
    token = await edge.open_run()
    decision = await cut(edge, shelf, token, label, kind, name, **more)
    edge.store.clock.advance(800)  # type: ignore[attr-defined]
    # what a kill of its agent stopped stays so; its next run asks for the same
    again = [await edge.open_run(), *([] if kind in ("agent", "everything") else [token])]
    for one in again:
        async with edge.mcp(one) as client:
            said = await client.call_tool("books.slow", {"label": label}, **more)
        assert said.is_error
        assert f"This call ran before (decision {decision})" in text_of(said)
        assert "unknown" in text_of(said)
    assert shelf.executions().count({"label": label}) == 1
    if keyed:  # another key is another call, on purpose
        other: dict[str, Any] = {"meta": {"watchkeeper/idempotency-key": f"{label}-once-more"}}
        shelf.tell(label, "done")
        async with edge.mcp(await edge.open_run()) as client:
            said = await client.call_tool("books.slow", {"label": label}, **other)
        assert text_of(said) == "done"
        assert shelf.executions().count({"label": label}) == 2


async def test_a_persons_word_that_it_came_to_nothing_sets_it_free(
    edge: Edge, shelf: Upstream
) -> None:
    label = f"cut-{next(_labels)}"
    decision = await cut(edge, shelf, await edge.open_run(), label, "agent", "clerk")
    await edge.store.write(
        lambda tx: reconcile(
            tx, decision, "failed", reason="no refund there", by="person/ada", level="off"
        )
    )
    shelf.tell(label, "done")
    async with edge.mcp(await edge.open_run()) as client:
        assert text_of(await client.call_tool("books.slow", {"label": label})) == "done"
    assert shelf.executions().count({"label": label}) == 2


async def test_so_is_what_a_plane_left_running_that_died_under_a_lock(
    edge: Edge, shelf: Upstream
) -> None:
    label = f"left-{next(_labels)}"
    ask = Ask(kind="tool", name="books.slow", arguments={"label": label}, idempotency_key=label)
    token = await edge.open_run()
    begun = await edge.decider.decide(token, ask, performer="plane")
    assert begun.verdict == "permit"
    lock = await edge.stop_agent()
    # what a plane does as it is started again
    assert await recover(edge.decider) == 1
    await edge.kill.lift(lock, reason="repaired", by="person/owner")
    more: dict[str, Any] = {"meta": {"watchkeeper/idempotency-key": label}}
    async with edge.mcp(await edge.open_run()) as client:
        said = await client.call_tool("books.slow", {"label": label}, **more)
    assert f"This call ran before (decision {begun.decision})" in text_of(said)
    assert shelf.executions().count({"label": label}) == 0


async def test_the_clients_of_models_send_a_cut_call_once(tmp_path: Path) -> None:
    async with crooked_models("silent") as one:
        documents = (provider("a", one.url), model("a"))
        async with ground(tmp_path, *documents) as made:
            async with made.edge.openai(made.token, retries=3) as client:
                asked = asyncio.create_task(
                    client.chat.completions.create(
                        model="small-fast", messages=[{"role": "user", "content": "hi"}]
                    )
                )
                await eventually_async(lambda: _heard(one, 1), "it is asked")
                lock = await made.edge.stop_agent()
                with pytest.raises(openai.PermissionDeniedError, match=lock):
                    await asked
                with pytest.raises(openai.PermissionDeniedError, match=lock):
                    await client.chat.completions.create(
                        model="small-fast", messages=[{"role": "user", "content": "hi"}]
                    )
            assert len(one.heard) == 1
            assert len(await made.edge.events("decision.denied")) == 1, "it was sent again"


async def test_so_does_anthropics_client(tmp_path: Path) -> None:
    async with crooked_models("silent") as one:
        documents = (provider("a", one.url, protocol="anthropic"), model("a"))
        async with ground(tmp_path, *documents) as made:
            async with made.edge.anthropic(made.token, retries=3) as client:

                async def ask() -> Any:
                    return await client.messages.create(
                        model="small-fast",
                        max_tokens=10,
                        messages=[{"role": "user", "content": "hi"}],
                    )

                asked = asyncio.create_task(ask())
                await eventually_async(lambda: _heard(one, 1), "it is asked")
                lock = await made.edge.stop_agent()
                with pytest.raises(anthropic.PermissionDeniedError, match=lock):
                    await asked
                with pytest.raises(anthropic.PermissionDeniedError, match=lock):
                    await ask()
            assert len(one.heard) == 1
            assert len(await made.edge.events("decision.denied")) == 1, "it was sent again"


async def _heard(one: Any, times: int) -> bool:
    return len(one.heard) >= times


async def test_the_same_key_of_another_call_is_not_held_up_by_one_that_was_cut(
    edge: Edge, shelf: Upstream
) -> None:
    key = f"key-{next(_labels)}"
    first, other = f"cut-{next(_labels)}", f"other-{next(_labels)}"
    more: dict[str, Any] = {"meta": {"watchkeeper/idempotency-key": key}}
    await cut(edge, shelf, await edge.open_run(), first, "agent", "clerk", **more)
    # another run numbers its calls alike: one of them is cut too, and neither frees the other
    await cut(edge, shelf, await edge.open_run(), other, "agent", "clerk", **more)
    async with edge.mcp(await edge.open_run()) as client:
        for label in (first, other):
            said = await client.call_tool("books.slow", {"label": label}, **more)
            assert "This call ran before" in text_of(said)
    third = f"third-{next(_labels)}"
    shelf.tell(third, "done")
    async with edge.mcp(await edge.open_run()) as client:
        assert text_of(await client.call_tool("books.slow", {"label": third}, **more)) == "done"
