"""Asking what happened: which question, its parameters, its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import get_args

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Fact
from watchkeeper.console.desk import Desk, Field, Question
from watchkeeper.console.views import answers
from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.asking import Measure, Part
from watchkeeper.wire.data import DATA_CLASSES


def ask_actions(desk: Desk) -> list[Action]:
    """Return the actions that ask; each works by its name on the command line."""

    async def choose() -> None:
        await ask(desk)

    async def rise() -> None:
        await spike(desk)

    async def data() -> None:
        await touched(desk)

    return [
        Action("console.ask", "ask", choose, (), "Look",
               "Asks what happened: what made something rise, who touched data, and more."),
        Action("console.spike", "ask: spike", rise, (), "Look",
               "Asks which version made cost, calls, refusals or errors rise."),
        Action("console.touched", "ask: touched", data, (), "Look",
               "Asks which agents touched a class of data."),
    ]  # fmt: skip


async def ask(desk: Desk) -> None:
    """Choose a question, and have it answered."""
    known = (await desk.client.questions()).rows
    names = [one.name for one in known if one.name in _ANSWERS]
    reply = await desk.ask(
        Question(
            title="What do you want to know?",
            body=[Fact(one.name, one.asks) for one in known if one.name in names],
            confirm="Go on",
            fields=(Field("question", "Question", _one_of(names), names[0] if names else ""),),
        )
    )
    if reply.confirmed:
        await _ANSWERS[reply.values["question"].strip()](desk)


async def spike(desk: Desk) -> None:
    """Ask what made something rise."""
    reply = await desk.ask(
        Question(
            title="What made it rise?",
            body=[
                Fact("what", ", ".join(get_args(Measure))),
                Fact("by", ", ".join(get_args(Part))),
            ],
            confirm="Ask",
            fields=(
                Field("measure", "What", _one_of(get_args(Measure)), "cost"),
                Field("by", "By", _one_of(get_args(Part)), "version"),
                Field("since", "In the last (24h, 7d)", _time, "24h"),
                Field("agent", "Only agent (or empty)"),
            ),
        )
    )
    if not reply.confirmed:
        return
    found = await desk.client.ask_spike(
        measure=reply.values["measure"].strip(),
        by=reply.values["by"].strip(),
        agent=reply.values["agent"].strip() or None,
        within_seconds=read_duration(reply.values["since"].strip()),
    )
    title = f"{found.measure} by {found.by}, against as long before"
    await desk.view(title, answers.spike_blocks(found, desk.moment()))


async def touched(desk: Desk) -> None:
    """Ask who touched a class of data."""
    reply = await desk.ask(
        Question(
            title="Which data?",
            body=[Fact("classes", ", ".join(DATA_CLASSES))],
            confirm="Ask",
            fields=(
                Field("data", "Class", _one_of(DATA_CLASSES), "email"),
                Field("since", "In the last (24h, 7d)", _time, "24h"),
            ),
        )
    )
    if not reply.confirmed:
        return
    found = await desk.client.ask_touched(
        reply.values["data"].strip(),
        within_seconds=read_duration(reply.values["since"].strip()),
    )
    title = f"Who touched data of class {found.data}"
    await desk.view(title, answers.touched_blocks(found, desk.moment()))


async def _rested_on(desk: Desk) -> None:
    reply = await desk.ask(
        Question(
            title="Of which run or step?",
            body=[Fact("id", "run_… or dec_…; in Runs and in a trace, b asks of the row")],
            confirm="Ask",
            fields=(Field("key", "Id", lambda text: None if text.strip() else "an id"),),
        )
    )
    if reply.confirmed:
        await rested_on(desk, reply.values["key"].strip())


async def rested_on(desk: Desk, key: str) -> None:
    """Show what a run or a step rested on."""
    found = await desk.client.ask_rested_on(key)
    await desk.view("What it rested on", answers.rested_on_blocks(found, desk.moment()))


def _one_of(allowed: Sequence[str]) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        return None if text.strip() in allowed else f"one of {', '.join(allowed)}"

    return check


def _time(text: str) -> str | None:
    try:
        read_duration(text.strip())
    except Invalid as error:
        return f"{error.message}: {error.remedy}"
    return None


_ANSWERS: Mapping[str, Callable[[Desk], Awaitable[None]]] = {
    "spike": spike,
    "touched": touched,
    "rested-on": _rested_on,
}
