"""Carrying people's decisions to the runtimes where interrupts wait: each one once.

pending → decided → applying → applied | gone | failed; each step is a compare-and-set. What was
being applied when a plane ended is applied again, and the adapter reads back before it answers:
so an answer that arrived is found, and not given twice. A kill, a deadline and a rejection all
reject; no approval is carried once its request is not approved any more, or under a lock.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import bindparam, literal_column, select, update

from watchkeeper.approvals.cancelling import cancel
from watchkeeper.approvals.deciding import fulfil_by
from watchkeeper.approvals.fulfilling import came_to_nothing, done
from watchkeeper.approvals.rows import find, record
from watchkeeper.approvals.service import count_waiting
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Forbidden, Unavailable
from watchkeeper.core.text import make_safe
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.kill.model import Covered
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes import records
from watchkeeper.runtimes.asking import is_too_large, open_request, write_interrupt
from watchkeeper.runtimes.model import Choice, Interrupt, RemoteRun, Reply
from watchkeeper.runtimes.polling import Polling
from watchkeeper.runtimes.tables import interrupts
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import AnswerResult

_LOG = logging.getLogger("watchkeeper.runtimes")
TRY_SECONDS = 15.0
"""How long one try to answer may take, with what is read before and after it."""
MOST_FAILURES = 5
_LONGEST_WAIT_SECONDS = 300
_LOCKED_SECONDS = 5
_GIVEN_UP_SECONDS = 86_400
_AT_ONCE = 50
_OPENED_AT_ONCE = 5

_ADD = Statement(
    insert(interrupts)
    .values(**{column.name: bindparam(column.name) for column in interrupts.c})
    .on_conflict_do_nothing(index_elements=["runtime", "run_id", "interrupt"])
)
_KNOWN = Statement(
    select(
        interrupts.c.request, interrupts.c.run_id, interrupts.c.interrupt, interrupts.c.state
    ).where(interrupts.c.runtime == bindparam("runtime_is"))
)
_THIS = interrupts.c.request == bindparam("request_is")
_DECIDE = Statement(
    update(interrupts)
    .where(_THIS, interrupts.c.state == literal_column("'pending'"))
    .values(
        state=literal_column("'decided'"),
        choice=bindparam("to_choice"),
        message=bindparam("to_message"),
        next_at=bindparam("at"),
    )
)
_BEGIN = Statement(
    update(interrupts)
    .where(
        _THIS,
        interrupts.c.state.in_([literal_column("'decided'"), literal_column("'applying'")]),
        interrupts.c.attempts == bindparam("attempts_were"),
    )
    .values(
        state=literal_column("'applying'"),
        choice=bindparam("to_choice"),
        message=bindparam("to_message"),
        attempts=bindparam("to_attempts"),
        next_at=bindparam("at"),
    )
)
_POSTPONE = Statement(
    update(interrupts)
    .where(_THIS, interrupts.c.attempts == bindparam("attempts_were"))
    .values(next_at=bindparam("at"), detail=bindparam("to_detail"))
)
_END = Statement(
    update(interrupts)
    .where(
        _THIS,
        interrupts.c.state == bindparam("state_is"),
        interrupts.c.attempts == bindparam("attempts_were"),
    )
    .values(
        state=bindparam("to_state"),
        ended_at=bindparam("at"),
        next_at=None,
        detail=bindparam("to_detail"),
    )
)
_DUE = Statement(
    select(
        interrupts,
        requests.c.state.label("asked_state"),
        requests.c.decided_by,
        requests.c.decided_why,
    )
    .select_from(interrupts.join(requests, requests.c.request == interrupts.c.request))
    .where(
        interrupts.c.ended_at.is_(None),
        (interrupts.c.state != literal_column("'pending'"))
        | (requests.c.state != literal_column("'pending'")),
        (interrupts.c.next_at.is_(None)) | (interrupts.c.next_at <= bindparam("now")),
    )
    .order_by(interrupts.c.request)
    .limit(_AT_ONCE)
)
_ROW = Statement(select(interrupts).where(_THIS))


def _approve(tx: Transaction, row: Row) -> None:
    """Take an approval of an interrupt (its request's row); it is carried out after this unit."""
    message = f"approved by {row.decided_by}" if row.decided_by else None
    _DECIDE.run(tx, request_is=row.request, to_choice="approve", to_message=message, at=tx.now)


fulfil_by("interrupt", _approve)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One try to carry a decision: the row as it was begun, and what is said."""

    row: Row
    number: int
    reply: Reply


class Answers:
    """Opens requests for interrupts, and carries what people decide back."""

    def __init__(
        self, decider: Decider, view: CatalogueView, envelopes: Envelopes, polling: Polling
    ) -> None:
        self._store = decider.store
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
            lambda tx: (_KNOWN.all(tx, runtime_is=name), records.live_runs(tx, name))
        )
        seen = {(row.run_id, row.interrupt) for row in known}
        new = [
            (live[one.run.id].run, one)
            for one in waiting
            if one.run.id in live
            and live[one.run.id].standing != "rogue"
            and live[one.run.id].run is not None
            and (one.run.id, one.id) not in seen
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
            await self._store.write(lambda tx: _withdraw(tx, name, gone))

    def _open(self, tx: Transaction, document: Runtime, run: str, one: Interrupt) -> None:
        catalogue = self._view.now
        facts = recorded_run(tx, run)
        governed = catalogue.agents.get(facts.agent) if facts else None
        if facts is None or governed is None:
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
        request = open_request(tx, catalogue, self._coverage, document, facts, one)
        _ADD.run(
            tx,
            request=request,
            runtime=document.name,
            run_id=one.run.id,
            interrupt=one.id,
            state="pending",
            opened_at=tx.now,
            choices=",".join(one.choices),
            choice=None,
            message=None,
            attempts=0,
            next_at=None,
            ended_at=None,
            detail=None,
            asked=write_interrupt(one),
        )

    async def carry_due(self) -> None:
        """Begin to carry every decision whose time has come; returns before they have arrived."""
        now = self._store.clock.now()
        for row in await self._store.read(lambda tx: _DUE.all(tx, now=now)):
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
                await self._store.write(lambda tx: _settle(tx, attempt, result, detail))
        except asyncio.CancelledError:
            raise
        except Exception:
            _LOG.exception("the decision on %s could not be carried to its runtime", request)
        finally:
            self._under_way.discard(request)

    def _begin(self, tx: Transaction, request: str) -> _Attempt | None:
        """Note that a decision is being applied, or why it cannot be now."""
        tx.silent("the decision is on record; how it was carried will be")
        row = _ROW.first(tx, request_is=request)
        if row is None or row.ended_at is not None:
            return None
        asked = find(tx, request)
        if asked.state == "pending":
            return None
        choice: Choice = "approve" if asked.state == "approved" else "reject"
        if row.state == "pending":
            _DECIDE.run(
                tx, request_is=request, to_choice=choice, to_message=_words(asked), at=tx.now
            )
        if choice == "approve" and (locked := self._locked(tx, asked)) is not None:
            _POSTPONE.run(
                tx,
                request_is=request,
                attempts_were=row.attempts,
                at=tx.now + _LOCKED_SECONDS * MICROSECONDS,
                to_detail=locked,
            )
            return None
        number = row.attempts + 1
        wait = min(2 ** min(number, 10), _LONGEST_WAIT_SECONDS) + round(TRY_SECONDS)
        began = _BEGIN.run(
            tx,
            request_is=request,
            attempts_were=row.attempts,
            to_choice=choice,
            to_message=_words(asked),
            to_attempts=number,
            at=tx.now + wait * MICROSECONDS,
        )
        return _Attempt(row, number, Reply(choice, message=_words(asked))) if began else None

    def _locked(self, tx: Transaction, asked: Row) -> str | None:
        """Say which lock keeps a run from going on, or return None."""
        try:
            governed = self._envelopes.admit(tx, asked.agent, asked.run)
        except Forbidden as error:
            return error.message
        action = Covered(asked.run, asked.agent, governed.contract.owner, tool=asked.tool)
        lock = covering(locks_in_force(tx), action)
        return f"lock {lock.lock}: {lock.reason}" if lock is not None else None

    async def _answer(self, attempt: _Attempt) -> tuple[AnswerResult | None, str]:
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
                result = await watched.adapter.answer(interrupt, attempt.reply)
        except (UpstreamFailure, Unavailable) as error:
            return None, error.message
        except TimeoutError:
            return None, f"no answer in {TRY_SECONDS:g} s"
        return result, ""


def _settle(tx: Transaction, attempt: _Attempt, result: AnswerResult | None, detail: str) -> None:
    """Keep what came of one try; what nobody knows, or failed, is tried again."""
    row, approves = attempt.row, attempt.reply.choice == "approve"
    detail = str(make_safe(detail, limit=300))
    failed = result in ("failed", "not supported")
    final = result == "not supported" or attempt.number >= MOST_FAILURES
    old = tx.now - row.opened_at > _GIVEN_UP_SECONDS * MICROSECONDS and attempt.number > 20
    if (result is None and not old) or (failed and not final):
        wait = min(2 ** min(attempt.number, 10), _LONGEST_WAIT_SECONDS)
        tx.silent("it is tried again")
        _POSTPONE.run(
            tx,
            request_is=row.request,
            attempts_were=attempt.number,
            at=tx.now + wait * MICROSECONDS,
            to_detail=detail or result,
        )
        return
    state = "applied" if result == "applied" else "failed"
    if result in ("already answered", "gone"):
        state = "gone"
    ended = _END.run(
        tx,
        request_is=row.request,
        state_is="applying",
        attempts_were=attempt.number,
        to_state=state,
        at=tx.now,
        to_detail=detail,
    )
    asked = find(tx, row.request)
    if not ended:
        tx.silent("another try has settled it")
        return
    where = f"runtime {row.runtime}"
    if state == "applied" and approves and asked.state == "approved":
        done(tx, asked, by=f"runtime/{row.runtime}", text=f"{where} lets the run go on")
        return
    if state == "applied":
        verb = "the approval" if approves else "the rejection"
        text = f"{verb} was carried to {where}"
    elif state == "gone":
        text = f"it was answered in {where} meanwhile, or waits there no more"
        if result == "gone":
            text = f"{where} does not know the run any more"
    else:
        text = f"it could not be answered in {where}: {detail or result or 'nobody knows why'}"
    if approves and asked.state == "approved":
        ending = "cancelled" if state == "gone" else "failed"
        came_to_nothing(tx, asked, ending, text=text)  # type: ignore[arg-type]
        return
    record(tx, asked, f"runtime.interrupt_{state}", actor="plane", text=text)


def _withdraw(tx: Transaction, runtime: str, gone: Sequence[str]) -> None:
    """End requests whose interrupts wait no more, though nobody decided them here."""
    tx.silent("what was decided meanwhile is carried, and found to be gone")
    text = f"it was answered in runtime {runtime}, or waits there no more"
    for request in gone:
        row = _ROW.first(tx, request_is=request)
        if row is None or row.state != "pending":
            continue
        if cancel(tx, request, by=f"runtime/{runtime}", text=text):
            _END.run(
                tx,
                request_is=request,
                state_is="pending",
                attempts_were=row.attempts,
                to_state="gone",
                at=tx.now,
                to_detail=text,
            )


def _words(asked: Row) -> str | None:
    """Return what is said to the run with a decision."""
    by = str(asked.decided_by or "").removeprefix("person/")
    match asked.state:
        case "approved":
            return None
        case "expired":
            return "nobody decided in time"
        case "revoked":
            return "it was taken back or stopped by a person"
    said = f": {asked.decided_why}" if asked.decided_why else ""
    return f"rejected by {by}{said}" if by else "rejected"


def read_interrupt(text: str) -> Interrupt:
    """Return an interrupt as it was kept."""
    kept = json.loads(text)
    id, thread, offered, our_run = kept["run"]
    return Interrupt(
        RemoteRun(id, "waiting", thread=thread, offered=offered, our_run=our_run),
        kept["id"],
        kept["tool"],
        kept["arguments"],
        kept["text"],
        tuple(kept["choices"]),
        kept["raw"],
        also=tuple((name, one) for name, one in kept["also"]),
    )
