"""Deciding a run again under a file, and asking a model once more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from watchkeeper.console.blocks import Blank, Block, Fact, Prose
from watchkeeper.console.completion import complete_path
from watchkeeper.console.desk import Desk, Field, Question
from watchkeeper.console.views import replays as view
from watchkeeper.console.watched import watched
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.plane import File
from watchkeeper.wire.policy import ReplayResult, StartReplay
from watchkeeper.wire.replays import Fork, StepRow

LARGEST_FILE = 1_000_000
WAIT_SECONDS = 2
NO_FILE = "what is in force now"
LOOKING = "to see what would be asked"
"""The reason of a fork that sends nothing and is recorded nowhere."""


async def decide_again(desk: Desk, run: str) -> view.Other | None:
    """Ask for a file and decide a run again under it; None if that was given up.

    Raises `Invalid` where the file cannot be read or says nothing that can be in force.
    """
    reply = await desk.ask(
        Question(
            title="Decide it again under which file?",
            body=[
                Fact("*.cedar", "a policy set; it goes by the file's name"),
                Fact("*.yaml", "contracts, tools or budgets"),
                Fact("empty", NO_FILE),
                Blank(),
                Prose("The file is put over what is in force, for this alone: nothing is put in "
                      "force, sent or held.", "quiet"),
            ],
            confirm="Decide",
            fields=(Field("file", "File", _readable, complete=complete_path),),
        )
    )  # fmt: skip
    if not reply.confirmed:
        return None
    text = reply.values["file"].strip()
    files = (await asyncio.to_thread(_read, Path(text).expanduser()),) if text else ()
    newest: list[ReplayResult] = []

    async def decide() -> ReplayResult:
        newest.append(await desk.client.start_replay(StartReplay(files=files, run=run)))
        while newest[-1].state == "running":
            name = newest[-1].replay
            newest[:] = [await desk.client.replay(name, wait_seconds=WAIT_SECONDS)]
        return newest[-1]

    def far() -> list[Block]:
        done = f"{newest[-1].looked_at:,} of {newest[-1].total:,}" if newest else "not begun"
        return [Fact("decided", done), Prose("q gives it up; nothing was changed.", "quiet")]

    found = await watched(desk, "Deciding it again", decide(), far)
    if found is None:
        return None
    if found.state == "failed" or found.of_run is None:
        raise Invalid(found.error or "the plane did not say why it could not be decided again")
    return view.Other(found.of_run, Path(text).name if text else NO_FILE, found.notes)


async def fork(desk: Desk, run: str, row: StepRow) -> None:
    """Say what would be asked, have it confirmed, ask the model, and show both answers."""
    at, result = row.decision, None
    if row.kind == "tool":
        reply = await desk.ask(_result_question(row))
        if not reply.confirmed:
            return
        result = reply.values["result"]
    looked = Fork(at=at, result=result, reason=LOOKING)
    asked = await desk.client.fork(run, looked)
    reply = await desk.ask(
        Question(
            title=f"Ask {asked.model} once more?",
            body=view.asked_blocks(asked),
            confirm="Ask it, and pay",
            danger=True,
            reason="required",
        )
    )
    if not reply.confirmed:
        return
    sent = Fork(at=at, result=result, live_model=True, reason=reply.reason or "")
    found = await watched(
        desk,
        "Asking the model",
        desk.client.fork(run, sent),
        lambda: [
            Prose("It answers, or a person has to approve its call first …", "quiet"),
            Prose("q stops waiting here; the call goes on and is in Runs.", "quiet"),
        ],
    )
    if found is not None:
        await desk.view("Asked once more", view.fork_blocks(found))


def _result_question(row: StepRow) -> Question:
    return Question(
        title=f"What should {row.name} have answered?",
        body=[
            Prose("The model is told this instead of what the tool answered. You see what would "
                  "be sent before anything is."),
            Prose("Longer ones from a file: watchkeeper replay fork RUN --result FILE", "quiet"),
        ],
        confirm="Go on",
        fields=(Field("result", "Answer", lambda text: None if text else "what it answers"),),
    )  # fmt: skip


def _readable(text: str) -> str | None:
    if not text:
        return None
    try:
        place = Path(text).expanduser()
        if place.is_dir():
            return "that is a directory: name a file in it"
        return None if place.is_file() else "there is no such file"
    except (OSError, RuntimeError, ValueError):  # too long a name, or a home of nobody
        return "there is no such file"


def _read(place: Path) -> File:
    try:
        with place.open("rb") as file:
            held = file.read(LARGEST_FILE + 1)
        if len(held) > LARGEST_FILE:
            raise Invalid(f"{place.name} is larger than {LARGEST_FILE:,} bytes")
        return File(path=str(place), text=held.decode("utf-8"))
    except OSError as error:
        raise Invalid(f"{place.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Invalid(f"{place.name} is not UTF-8") from None
