"""The loop that every agent of the fleet runs: take an item, open a run, ask, act, close."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from watchkeeper.client.agent import AgentClient, AgentRun
from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Unavailable, WatchkeeperError
from watchkeeper.demo.agents.chat import Chat
from watchkeeper.demo.agents.habits import Lavishness
from watchkeeper.demo.agents.profile import STOPPED, Profile
from watchkeeper.demo.agents.refusal import NotPerformed, Refusal
from watchkeeper.demo.agents.toolbox import Toolbox, Used
from watchkeeper.demo.agents.voices import VOICES
from watchkeeper.demo.agents.worklist import Worklist
from watchkeeper.wire.agents import BusinessObject, OpenRun

SLOW_SECONDS = 5.0
SLOWEST_SECONDS = 15.0
"""Pauses before an agent that is locked, over budget or cut off tries again."""
HELD_SECONDS = 0.4
"""Pause before a held call is sent again; the gateway itself has kept it waiting before."""
RUN_BUDGET_TRIES = 5
LAST_SECONDS = 1.5
DOWN_TRIES = 4
FIRST = 2
"""Messages of a conversation that has not begun."""
NOTES = "Note the patterns of this week."
NOTES_ITEM = 'Which patterns were seen?\n```json\n{"notes":true}\n```'
log = logging.getLogger("watchkeeper.demo")


class RunEnded(Exception):
    """The run can't go on; the item has to begin again under a new one."""


class GiveUp(Exception):
    """The run ends as failed, with these words."""


@dataclass(slots=True)
class Worker:
    """One of an agent's pairs of hands."""

    profile: Profile
    plane: AgentClient
    session: aiohttp.ClientSession
    worklist: Worklist
    pace: float
    seed: int
    context: ssl.SSLContext | None = None
    lavishness: Lavishness = field(default_factory=Lavishness)
    _steps: int = 0
    _said: str = ""

    async def work(self) -> None:
        """Work through the list until cancelled."""
        while True:
            item = self.worklist.take()
            tries = 0
            while not await self._attempt(item):
                tries += 1
                await self._wait(_slow(tries))
            self.worklist.finish(item)
            await self._think()

    async def _attempt(self, item: Mapping[str, Any]) -> bool:
        """Work on an item under a run of its own; tell whether it is settled."""
        try:
            run = await self.plane.open_run(_opening(item))
        except WatchkeeperError as error:
            self._say(f"no run for {item['item']}: {error}")
            return False
        try:
            outcome, summary = await self._under(run, item)
        except RunEnded as ended:
            self._say(f"{run.run} ended: {ended}")
            return False
        except GiveUp as words:
            outcome, summary = "failed", str(words)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._close(run, "failed", STOPPED)
            raise
        await self._close(run, outcome, summary)
        return True

    async def _under(self, run: AgentRun, item: Mapping[str, Any]) -> tuple[str, str]:
        """Converse until the model has its last word; connect again whenever that breaks."""
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": f"You are {self.profile.name}. {self.profile.prompt}"},
            {
                "role": "user",
                "content": f"{item['goal']}\n```json\n{canonical(item).decode()}\n```",
            },
        ]
        while True:
            ended: RunEnded | GiveUp | None = None
            try:
                async with self._toolbox(run) as toolbox:
                    try:
                        return await self._converse(run, toolbox, messages)
                    except (RunEnded, GiveUp) as error:
                        ended = error  # raised outside: the client would wrap it in groups
            except Exception as error:  # whatever breaks a connection, the answer is a new one
                self._say(f"connection lost: {_innermost(error)!r}")
            if ended is not None:
                raise ended
            await self._wait(SLOW_SECONDS)
            await self._renew(run)

    def _toolbox(self, run: AgentRun) -> Toolbox:
        return Toolbox(
            run.opened.mcp_url,
            run.token,
            agent=self.profile.name,
            era=self.profile.era,
            context=self.context,
        )

    async def _converse(
        self, run: AgentRun, toolbox: Toolbox, messages: list[dict[str, Any]]
    ) -> tuple[str, str]:
        tools = await toolbox.offered()
        chat = Chat(self.session, run.opened.model_base_url, VOICES[self.profile.speaks])
        if self.profile.notes is not None and len(messages) == FIRST:
            messages[0]["content"] += await self._take_notes(run, chat, self.profile.notes)
        while True:
            last = messages[-1]
            if last["role"] == "assistant" and not last.get("tool_calls"):
                text = str(last["content"])
                failed = text.startswith("FAILED")
                return ("failed" if failed else "succeeded"), text.removeprefix("FAILED: ")[:500]
            if last["role"] == "assistant":
                for asked in last["tool_calls"]:
                    used = await self._use(run, toolbox, asked["function"], str(last["content"]))
                    messages.append(
                        {"role": "tool", "tool_call_id": asked["id"], "content": used.text}
                    )
            else:
                messages.append(await self._ask(run, chat, messages, tools))
            await self._think()

    async def _ask(
        self,
        run: AgentRun,
        chat: Chat,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]],
    ) -> dict[str, Any]:
        tries = 0
        while True:
            model = self.lavishness.model or self._model(messages)
            try:
                answer = await chat.ask(
                    run.token, model, messages, tools, stream=self.profile.streams
                )
            except NotPerformed as refused:
                refusal = refused.refusal
            else:
                self.lavishness.count()
                return answer
            if refusal.rule.startswith("breaker/"):
                self.lavishness.stop()
            if refusal.kind == "denied" or (refusal.kind == "down" and tries >= DOWN_TRIES):
                raise GiveUp(refusal.text)
            tries = await self._sit_out(refusal, tries)

    async def _take_notes(self, run: AgentRun, chat: Chat, model: str) -> str:
        """Ask what every run asks for; without an answer it does without."""
        words = f"You are {self.profile.name}. {NOTES}"
        asked = [{"role": "system", "content": words}, {"role": "user", "content": NOTES_ITEM}]
        try:
            noted = await chat.ask(run.token, model, asked, [], stream=False)
        except NotPerformed:
            return ""
        return f"\n{noted['content']}"

    async def _use(
        self, run: AgentRun, toolbox: Toolbox, function: Mapping[str, Any], why: str
    ) -> Used:
        """Send one tool call, the same again while it is held, locked or over budget."""
        tool, arguments = function["name"], parse(function["arguments"])
        tries = 0
        while True:
            used = await toolbox.use(tool, arguments, why)
            refusal = used.refusal
            if refusal is None or refusal.kind == "denied":
                return used
            if refusal.rule.startswith("breaker/"):
                # what shows that its cost is as usual again is a model call: the next run's first
                raise GiveUp(refusal.text)
            if refusal.kind == "down" and tries >= DOWN_TRIES:
                return used
            tries = await self._sit_out(refusal, tries)

    async def _sit_out(self, refusal: Refusal, tries: int) -> int:
        """Wait as a refusal asks for, or raise what it means; return the tries so far."""
        if refusal.kind == "run ended":
            raise RunEnded(refusal.text)
        if refusal.kind == "cut off":
            raise Unavailable(refusal.text)
        if refusal.kind == "held":
            await self._wait(HELD_SECONDS)
            return tries
        tries += 1
        if refusal.of_run and tries >= RUN_BUDGET_TRIES:
            raise GiveUp(refusal.text)
        await self._wait(_slow(tries))
        return tries

    async def _renew(self, run: AgentRun) -> None:
        try:
            await run.renew()
        except Unavailable:
            return
        except WatchkeeperError as error:
            raise RunEnded(str(error)) from error

    async def _close(self, run: AgentRun, outcome: str, summary: str) -> None:
        """Close the run, as soon as the plane can be reached."""
        while True:
            try:
                await run.close("failed" if outcome == "failed" else "succeeded", summary)
            except Unavailable as error:
                self._say(f"{run.run} not closed yet: {error}")
                await self._wait(SLOW_SECONDS)
            except WatchkeeperError as error:
                self._say(f"could not close {run.run}: {error}")
                return
            else:
                return

    def _say(self, text: str) -> None:
        """Log what is new; what an agent meets again and again is told once."""
        if text != self._said:
            self._said = text
            log.info("%s: %s", self.profile.name, text)

    def _model(self, messages: list[dict[str, Any]]) -> str:
        """Return the large model once an amount on the table calls for it."""
        limit = self.profile.large_from_usd
        if limit is None:
            return self.profile.model
        amounts = [_amount(m["content"]) for m in messages if m["role"] == "tool"]
        return "large-careful" if max(amounts, default=0.0) >= limit else self.profile.model

    async def _think(self) -> None:
        """Pause as a person would read: even over time, and the same for the same seed."""
        self._steps += 1
        key = f"{self.seed}/{self.profile.name}/{self._steps}".encode()
        share = hashlib.sha256(key).digest()[0] / 255
        await self._wait(self.profile.pause_seconds * (0.5 + share))

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.pace)


def _slow(tries: int) -> float:
    return min(SLOWEST_SECONDS, SLOW_SECONDS + tries // 6)


def _opening(item: Mapping[str, Any]) -> OpenRun:
    return OpenRun(
        goal=item["goal"],
        on_behalf_of=item["on_behalf_of"],
        business_object=BusinessObject(**item["object"]),
        environment=item.get("environment", "production"),
    )


def _amount(content: str) -> float:
    try:
        value = parse(content)["amount_usd"]
        return float(value)
    except (WatchkeeperError, KeyError, TypeError, ValueError):
        return 0.0


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
