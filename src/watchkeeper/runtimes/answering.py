"""Carrying people's decisions to the runtimes where interrupts wait: each one once.

pending → decided → applying → applied | gone | failed; each step is a compare-and-set. What was
being applied when a plane ended is applied again, and the adapter reads back before it answers:
so an answer that arrived is found, and not given twice. A kill, a deadline and a rejection all
reject; no approval is carried once its request is not approved any more, or under a lock: one that
comes into force while it is being carried cuts that, before anything more of it goes out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from watchkeeper.approvals.deciding import fulfil_by
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.service import count_waiting
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Forbidden, Invalid, Unavailable
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.gates.kill import forbidden
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.kill.model import Covered
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes import records
from watchkeeper.runtimes.asking import can_be_named, is_too_large, open_request
from watchkeeper.runtimes.guarding import Guard
from watchkeeper.runtimes.interrupts import (
    ADD,
    BEGIN,
    DECIDE,
    DUE,
    KNOWN,
    POSTPONE,
    ROW,
    Attempt,
    read_interrupt,
    write_interrupt,
)
from watchkeeper.runtimes.model import Choice, Interrupt, Reply
from watchkeeper.runtimes.polling import Polling
from watchkeeper.runtimes.reach import covered_by_facts
from watchkeeper.runtimes.settling import settle, withdraw, words_of
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import AnswerResult

_LOG = logging.getLogger("watchkeeper.runtimes")
TRY_SECONDS = 15.0
"""How long one try to answer may take, with what is read before and after it."""
_LONGEST_WAIT_SECONDS = 300
_LOCKED_SECONDS = 5
_OPENED_AT_ONCE = 5


def _approve(tx: Transaction, row: Row) -> None:
    """Take an approval of an interrupt (its request's row); it is carried out after this unit."""
    DECIDE.run(tx, request_is=row.request, at=tx.now)


fulfil_by("interrupt", _approve)


class Answers:
    """Opens requests for interrupts, and carries what people decide back."""

    def __init__(
        self,
        decider: Decider,
        view: CatalogueView,
        envelopes: Envelopes,
        polling: Polling,
        guard: Guard,
    ) -> None:
        self._store = decider.store
        self._guard = guard
        self._coverage = decider.coverage
        self._view = view
        self._envelopes = envelopes
        self._polling = polling
        self._under_way: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        polling.on_waiting = self.take

    async def take(self, document: Runtime, waiting: Sequence[Interrupt], complete: bool) -> None:
        """Open a request for each new interrupt of a governed run; end those answered elsewhere.

        `complete`: nothing else waits in the runtime.
        """
        name = document.name
        known, live = await self._store.read(
            lambda tx: (KNOWN.all(tx, runtime_is=name), records.live_runs(tx, name))
        )
        seen = {(row.run_id, row.interrupt) for row in known}
        new = [
            (live[one.run.id].run, one)
            for one in waiting
            if one.run.id in live
            and live[one.run.id].standing != "rogue"
            and live[one.run.id].run is not None
            and (one.run.id, one.id) not in seen
            and can_be_named(one)
        ]
        for start in range(0, len(new), _OPENED_AT_ONCE):
            part = new[start : start + _OPENED_AT_ONCE]

            def opens(tx: Transaction, part: Sequence[tuple[str, Interrupt]] = part) -> None:
                tx.silent("where nothing can be asked now, it is asked when it can")
                for run, one in part:
                    self._open(tx, document, run, one)

            await self._store.write(opens)
        still = {(one.run.id, one.id) for one in waiting}
        gone = [
            row.request
            for row in known
            if row.state == "pending" and (row.run_id, row.interrupt) not in still
        ]
        if complete and gone:
            await self._store.write(lambda tx: withdraw(tx, name, gone))

    def _open(self, tx: Transaction, document: Runtime, run: str, one: Interrupt) -> None:
        catalogue = self._view.now
        facts = recorded_run(tx, run)
        governed = catalogue.agents.get(facts.agent) if facts else None
        if facts is None or governed is None or facts.state == "stopped":
            return
        if count_waiting(tx, facts.agent) >= governed.contract.approvals.max_pending:
            return  # it cannot bury its approvers: what is left is asked when some are decided
        if is_too_large(one):
            one = Interrupt(
                one.run,
                one.id,
                None,
                {"withheld": "too large to be shown: it can only be rejected"},
                one.text[:200],
                ("reject",),
                expires_at=one.expires_at,
            )
        # what goes on after the answer is covered as this is, by whoever adopted it
        one = replace(one, run=replace(one.run, our_run=run))
        try:
            request = open_request(tx, catalogue, self._coverage, document, facts, one)
        except Invalid as error:  # what one run asks must not keep the others from being asked
            _LOG.warning("nobody can be asked what waits in %s: %s", document.name, error)
            return
        ADD.run(
            tx,
            request=request,
            runtime=document.name,
            run_id=one.run.id,
            interrupt=one.id,
            state="pending",
            opened_at=tx.now,
            attempts=0,
            next_at=None,
            ended_at=None,
            detail=None,
            asked=write_interrupt(one),
        )

    async def carry_due(self) -> None:
        """Begin to carry every decision whose time has come; returns before they have arrived."""
        now = self._store.clock.now()
        for row in await self._store.read(lambda tx: DUE.all(tx, now=now)):
            if row.request not in self._under_way:
                self._under_way.add(row.request)
                task = asyncio.get_running_loop().create_task(self._carry(row.request))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def wake(self) -> None:
        """Begin to carry what was just decided."""
        if self._polling.watched():
            task = asyncio.get_running_loop().create_task(self.carry_due())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Break off; what is being applied is read back when a plane starts again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, request: str) -> None:
        try:
            attempt = await self._store.write(lambda tx: self._begin(tx, request))
            if attempt is not None:
                result, detail = await self._answer(attempt)
                await self._store.write(lambda tx: settle(tx, attempt, result, detail))
        except asyncio.CancelledError:
            raise
        except Exception:
            _LOG.exception("the decision on %s could not be carried to its runtime", request)
        finally:
            self._under_way.discard(request)

    def _begin(self, tx: Transaction, request: str) -> Attempt | None:
        """Note that a decision is being applied, or why it cannot be now."""
        tx.silent("the decision is on record; how it was carried will be")
        row = ROW.first(tx, request_is=request)
        if row is None or row.ended_at is not None:
            return None
        asked = find(tx, request)
        if asked.state == "pending":
            return None
        choice: Choice = "approve" if asked.state == "approved" else "reject"
        if row.state == "pending":
            DECIDE.run(tx, request_is=request, at=tx.now)
        covered: tuple[Covered, ...] = ()
        if choice == "approve":
            try:
                covered = self._admitted(tx, asked, row)
            except Forbidden as error:
                POSTPONE.run(
                    tx,
                    request_is=request,
                    attempts_were=row.attempts,
                    at=tx.now + _LOCKED_SECONDS * MICROSECONDS,
                    to_detail=f"{error.rule}: {error.message}" if error.rule else error.message,
                )
                return None
        number = row.attempts + 1
        wait = min(2 ** min(number, 10), _LONGEST_WAIT_SECONDS) + round(TRY_SECONDS)
        began = BEGIN.run(
            tx,
            request_is=request,
            attempts_were=row.attempts,
            to_attempts=number,
            at=tx.now + wait * MICROSECONDS,
        )
        if not began:
            return None
        return Attempt(row, number, Reply(choice, message=words_of(asked)), covered)

    def _admitted(self, tx: Transaction, asked: Row, row: Row) -> tuple[Covered, ...]:
        """Return what locks see of a run that is to go on, by each tool that it asks for.

        Raises `Forbidden` where its agent has no contract, or a lock covers any of it.
        """
        self._envelopes.admit(tx, asked.agent, asked.run)
        run = recorded_run(tx, asked.run)
        if run is None:
            raise Forbidden("its run is not on record", rule="identity/run")
        catalogue = self._view.now
        also = (catalogue.functions.tool(name) for name, _ in read_interrupt(row.asked).also)
        tools = {asked.tool, *also}
        covered = tuple(
            replace(
                covered_by_facts(catalogue, run, tool),
                approval=asked.request,
                runtimes=(*catalogue.runtimes_of(run.agent), row.runtime),
            )
            for tool in sorted(tools)
        )
        locks = locks_in_force(tx)
        for one in covered:
            if (lock := covering(locks, one)) is not None:
                raise forbidden(lock)
        return covered

    async def _answer(self, attempt: Attempt) -> tuple[AnswerResult | None, str]:
        """Answer an interrupt in its runtime; None: nobody knows whether it arrived."""
        row = attempt.row
        watched = self._polling.get(row.runtime)
        if watched is None:
            return None, "no document for its runtime is in force"
        interrupt = read_interrupt(row.asked)
        if attempt.reply.choice not in interrupt.choices:
            return "not supported", f"its runtime takes {' or '.join(interrupt.choices)} only"
        try:
            async with asyncio.timeout(TRY_SECONDS):
                result = await self._guard.carry(
                    attempt.covered, lambda: watched.adapter.answer(interrupt, attempt.reply)
                )
        except (Forbidden, UpstreamFailure, Unavailable) as error:
            return None, error.message
        except TimeoutError:
            return None, f"no answer in {TRY_SECONDS:g} s"
        return result, ""
