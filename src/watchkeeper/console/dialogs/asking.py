"""Asking what happened: which question, its parameters, its answer in a list of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import get_args

from watchkeeper.client.api import PlaneClient
from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Fact, Prose, Quoted
from watchkeeper.console.desk import Desk, Field, Question, one_of
from watchkeeper.console.views.questions import question, read_question
from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.asking import Answer, Asked, Measure, Part
from watchkeeper.wire.data import DATA_CLASSES


def ask_actions(desk: Desk) -> list[Action]:
    """Return the actions that ask; each works by its name on the command line."""

    async def any_question() -> None:
        await choose(desk)

    async def rise() -> None:
        await spike(desk)

    async def data() -> None:
        await touched(desk)

    return [
        Action("console.ask", "ask", any_question, (), "Look",
               "Asks what happened: what made something rise, who touched data, and more."),
        Action("console.spike", "ask: spike", rise, (), "Look",
               "Asks which version made cost, calls, refusals or errors rise."),
        Action("console.touched", "ask: touched", data, (), "Look",
               "Asks which agents touched a class of data."),
    ]  # fmt: skip


async def ask(client: PlaneClient, text: str) -> Answer:
    """Have a question answered that `question` wrote; raise `Invalid` if it is none."""
    asked = read_question(text)
    name = asked.pop("ask", "")
    within = asked.pop("within", "")
    seconds = read_duration(within) if within else None
    if name == "spike":
        return await client.ask_spike(
            measure=asked.get("measure"),
            by=asked.get("by"),
            agent=asked.get("agent"),
            within_seconds=seconds,
        )
    if name == "touched":
        return await client.ask_touched(asked.get("data", ""), within_seconds=seconds)
    if name == "rested-on":
        return await client.ask_rested_on(asked.get("key", ""))
    if not name:
        raise Invalid("that is no question", remedy="ask with :ask")
    return await client.ask_saved(name, within_seconds=seconds, agent=asked.get("agent"))


async def choose(desk: Desk) -> None:
    """Choose a question, and have it answered."""
    known = {one.name: one for one in (await desk.client.questions()).rows}
    known = {name: one for name, one in known.items() if one.saved or name in _ASKING}
    names = tuple(known)
    reply = await desk.ask(
        Question(
            title="What do you want to know?",
            body=[
                *(Fact(one.name, one.asks) for one in known.values() if not one.saved),
                *(Quoted(one.name, one.asks, 2) for one in known.values() if one.saved),
            ],
            confirm="Go on",
            fields=(one_of("question", "Question", names, names[0] if names else ""),),
        )
    )
    if not reply.confirmed:
        return
    chosen = known[reply.values["question"].strip()]
    await (_saved(desk, chosen) if chosen.saved else _ASKING[chosen.name](desk))


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
                one_of("measure", "What", get_args(Measure), "cost"),
                one_of("by", "By", get_args(Part), "version"),
                Field("within", "In the last (24h, 7d)", _time, "24h"),
                Field("agent", "Only agent (or empty)"),
            ),
        )
    )
    if reply.confirmed:
        show(desk, "spike", **reply.values)


async def touched(desk: Desk) -> None:
    """Ask who touched a class of data."""
    reply = await desk.ask(
        Question(
            title="Which data?",
            body=[Fact("classes", ", ".join(DATA_CLASSES))],
            confirm="Ask",
            fields=(
                one_of("data", "Class", DATA_CLASSES, "email"),
                Field("within", "In the last (24h, 7d)", _time, "24h"),
            ),
        )
    )
    if reply.confirmed:
        show(desk, "touched", **reply.values)


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
        show(desk, "rested-on", **reply.values)


async def _saved(desk: Desk, asked: Asked) -> None:
    reply = await desk.ask(
        Question(
            title="Ask what a document asks?",
            body=[
                Quoted(asked.name, asked.asks, 6),
                Prose("What is left empty is as the document has it.", "quiet"),
            ],
            confirm="Ask",
            fields=(
                Field("within", "In the last (24h, 7d)", _time_or_none),
                Field("agent", "Only agent"),
            ),
        )
    )
    if reply.confirmed:
        show(desk, asked.name, **reply.values)


def show(desk: Desk, name: str, **parameters: str) -> None:
    """Have a question asked, and go to its answer."""
    given = {key: value.strip() for key, value in parameters.items()}
    desk.show("answers", f"{question(name, **given)}#at-{desk.moment().now}")


def _time(text: str) -> str | None:
    try:
        read_duration(text.strip())
    except Invalid as error:
        return f"{error.message}: {error.remedy}"
    return None


def _time_or_none(text: str) -> str | None:
    return _time(text) if text.strip() else None


_ASKING: Mapping[str, Callable[[Desk], Awaitable[None]]] = {
    "spike": spike,
    "touched": touched,
    "rested-on": _rested_on,
}
