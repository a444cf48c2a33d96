"""The kill dialog: what would stop, how wide, and then what every effect achieved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Blank, Block, Line, Prose
from watchkeeper.console.desk import Choice, Desk, Question
from watchkeeper.console.painting import span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views.locks import (
    radius_blocks,
    receipt_blocks,
    target_of,
)
from watchkeeper.console.words import LOCK_MODES, say, target_text
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.wire.locks import EFFECTS, OPEN, BlastRadius, Lift, Lock, LockRow, Mode, Target

WIDER, NARROWER, OTHER_MODE = "ctrl+w", "ctrl+n", "ctrl+t"
NO_REASON = "stopped by hand; no reason given"
POLL_SECONDS = 0.25
POLLS = 120
WORDS: dict[Mode, str] = {
    "stop": "Kill",
    "pause": "Pause",
    "drain": "Drain",
    "deny-new": "Deny new runs of",
}
"""In the order in which the key goes through them."""
MEANS: dict[Mode, str] = {
    "stop": "Ends its runs, revokes their tokens and cuts its calls; nothing goes on until it is "
    "lifted.",
    "drain": "Lets calls in flight end, then ends its runs; nothing new begins until it is lifted.",
    "deny-new": "Opens no new runs until it is lifted; those that are open go on.",
    "pause": "Refuses its next actions until it is lifted; its runs stay open.",
}


def kill_action(pane: Pane[Any]) -> Action:
    """Return the kill key of a pane: it acts on what the cursor is on."""

    async def run() -> None:
        await open_kill(pane.desk, target_of(pane.current))

    return Action(
        id=f"{pane.key}.kill",
        title="kill",
        keys=("ctrl+x",),
        group="Stop",
        run=run,
        danger=True,
        needs="lock",
        pane=pane.key,
        footer=80,
        explain="Stop what the cursor is on: see what it would stop, widen it, confirm.",
    )


def lift_action(pane: Pane[Any]) -> Action:
    """Return the key that ends the lock on what the cursor is on."""

    async def run() -> None:
        await lift_locks(pane.desk, locks_of(pane.current))
        pane.mark_dirty()

    def why_not() -> str | None:
        return None if locks_of(pane.current) else "no lock is in force on it"

    return Action(
        id=f"{pane.key}.lift",
        title="lift",
        keys=("l",),
        group="Stop",
        run=run,
        changes=True,
        needs="lift",
        why_not=why_not,
        pane=pane.key,
        footer=81,
        explain="End the kill or pause on what the cursor is on.",
    )


def locks_of(row: Any) -> tuple[str, ...]:
    """Return the locks in force that a row stands for or under."""
    if isinstance(row, LockRow):
        return () if row.lifted_at is not None else (row.lock,)
    if getattr(row, "kind", None) == "lock":
        return (str(row.subject),)
    return tuple(getattr(row, "locks", ()))


def kill_question(radius: BlastRadius, mode: Mode, *, narrower: bool, reason: str = "") -> Question:
    """Ask before a kill or pause; a run takes enter, an agent its name, more a word."""
    word = WORDS[mode]
    choices = []
    if radius.wider:
        wider = target_text(radius.wider[0].kind, radius.wider[0].name)
        choices.append(Choice(WIDER, f"widen to {wider}"))
    if narrower:
        choices.append(Choice(NARROWER, "narrow again"))
    choices.append(Choice(OTHER_MODE, f"{WORDS[_next(mode)].removesuffix(' of').lower()} instead"))
    typed = radius.confirm_text if radius.confirmation != "enter" else None
    return Question(
        title=f"{word} {target_text(radius.target.kind, radius.target.name)}?",
        body=body_of(radius, mode),
        confirm=word,
        danger=typed is not None,
        reason="optional",
        type_name=typed,
        choices=tuple(choices),
        reason_value=reason,
    )


def body_of(radius: BlastRadius, mode: Mode) -> list[Block]:
    """Write what would stop, and what a kill means beside a pause."""
    return [*radius_blocks(radius, mode), Blank(), Prose(MEANS[mode], "quiet")]


def _next(mode: Mode) -> Mode:
    modes = list(WORDS)
    return modes[(modes.index(mode) + 1) % len(modes)]


async def open_kill(desk: Desk, target: Target) -> LockRow | None:
    """Show what a kill of `target` would stop; put it in force if a person confirms.

    Returns the lock, or nothing when it was left. Raises what the plane answers.
    """
    path = [target]
    mode: Mode = "stop"
    reason = ""
    while True:
        radius = await desk.client.preview_lock(path[-1])

        async def look(wanted: Target = path[-1], mode: Mode = mode) -> Sequence[Block]:
            return body_of(await desk.client.preview_lock(wanted), mode)

        question = kill_question(radius, mode, narrower=len(path) > 1, reason=reason)
        reply = await desk.ask(replace(question, live=look))
        reason = reply.reason or ""
        if reply.choice == WIDER and radius.wider:
            path.append(radius.wider[0])
        elif reply.choice == NARROWER and len(path) > 1:
            path.pop()
        elif reply.choice == OTHER_MODE:
            mode = _next(mode)
        elif reply.confirmed:
            break
        else:
            return None
    lock = await desk.client.lock(Lock(target=path[-1], mode=mode, reason=reason or NO_REASON))
    desk.mark_dirty()
    await show_receipts(desk, lock)
    return lock


async def show_receipts(desk: Desk, lock: LockRow) -> None:
    """Show the receipts of a lock, filling in as they come, until it is closed."""
    newest = [lock]

    def body() -> Sequence[Block]:
        blocks = receipt_blocks(newest[0], desk.moment())
        if newest[0].lifted_at is None:
            blocks.append(Line([span("press l in Locks or Fleet to lift it", "quiet")]))
        return blocks

    async def follow() -> None:
        for _ in range(POLLS):
            if _settled(newest[0]):
                return
            await asyncio.sleep(POLL_SECONDS)
            try:
                newest[0] = await desk.client.read_lock(lock.lock)
            except WatchkeeperError:
                # the header tells of a lost plane; what came so far stays on screen
                continue

    task = asyncio.create_task(follow())
    word = say(LOCK_MODES, lock.mode).word.capitalize()
    try:
        await desk.view(f"{word}: {target_text(lock.target.kind, lock.target.name)}", body)
    finally:
        task.cancel()


def _settled(lock: LockRow) -> bool:
    came = {receipt.effect for receipt in lock.receipts}
    return came.issuperset(EFFECTS) and not any(one.state in OPEN for one in lock.receipts)


async def lift_locks(desk: Desk, locks: Sequence[str]) -> None:
    """Ask, and end these locks with one reason."""
    if not locks:
        return
    rows = [await desk.client.read_lock(lock) for lock in locks]
    body: list[Block] = []
    for row in rows:
        target = target_text(row.target.kind, row.target.name)
        body += [
            Line([span(target, "strong"), span(f"  {row.mode} by {row.by.rpartition('/')[2]}")]),
            Prose(row.reason, "quiet"),
        ]
    body += [
        Blank(),
        Prose("What it covers may act again at once; runs that were ended stay ended."),
    ]
    title = "Lift this lock?" if len(rows) == 1 else f"Lift these {len(rows)} locks?"
    reply = await desk.ask(Question(title=title, body=body, confirm="Lift", reason="required"))
    if not reply.confirmed:
        return
    for row in rows:
        await desk.client.lift(row.lock, Lift(reason=reply.reason or ""))
    desk.say(
        f"lifted: {', '.join(target_text(r.target.kind, r.target.name) for r in rows)}", "good"
    )
    desk.mark_dirty()
