"""Questions about what happened, each a query with parameters, and two runs side by side."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast, get_args

from watchkeeper.api.table import Call, Operation
from watchkeeper.api.traces import FILTERS, PERIOD
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.core.words import count
from watchkeeper.identity.model import read_lineage
from watchkeeper.identity.recorded import no_run
from watchkeeper.identity.runs import agent_of_run, find_run
from watchkeeper.registry.digests import applied_by, digest_of
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import comparing, contents, resting, spikes, touching
from watchkeeper.traces.missing import missing_of
from watchkeeper.traces.model import Span
from watchkeeper.traces.questions import QUESTIONS
from watchkeeper.traces.reading import spans_of_run
from watchkeeper.wire.asking import (
    LONGEST_SECONDS,
    Asked,
    Comparison,
    Figures,
    Measure,
    Part,
    Questions,
    Rest,
    RestedOn,
    Spike,
    Touched,
    Under,
)
from watchkeeper.wire.data import DATA_CLASSES

_DAY_SECONDS = 86_400
_MOST_RESTS = 200


async def questions(call: Call) -> Questions:
    """List the questions."""
    saved = [
        Asked(
            name=one.name,
            asks=one.description,
            parameters=(*FILTERS, *PERIOD),
            example=f"watchkeeper ask {one.name}",
            saved=True,
        )
        for _, one in sorted(call.rooms.view.now.questions.items())
    ]
    return Questions(rows=(*QUESTIONS, *saved))


async def spike(call: Call) -> Spike:
    """Say which versions made something rise."""
    since, until = period_of(call)
    asked = spikes.Asked(
        measure=cast("Measure", call.one_of("measure", get_args(Measure))),
        by=cast("Part", call.one_of("by", get_args(Part))),
        since=since,
        until=until,
        agent=call.text("agent"),
    )
    seen = call.agents_seen()
    sequence = await call.rooms.projector.catch_up()

    def query(tx: Transaction) -> tuple[spikes.Found, tuple[str, ...]]:
        found = spikes.read(tx, asked, seen)
        return found, missing_of(tx, asked.before_since, until)

    found, missing = await call.rooms.store.scan(query)
    return Spike(
        since=since,
        until=until,
        counted=spikes.COUNTED[asked.measure],
        missing=(*missing, *unseen(call)),
        sequence=sequence,
        measure=asked.measure,
        by=asked.by,
        before_since=asked.before_since,
        before=found.before,
        during=found.during,
        rows=found.parts,
        left_out=found.left_out,
    )


async def touched(call: Call) -> Touched:
    """Say which agents touched a class of data."""
    data = call.option("data", DATA_CLASSES)
    if data is None:
        raise Invalid(f"data must be one of {', '.join(DATA_CLASSES)}", where="query: data")
    since, until = period_of(call)
    seen = call.agents_seen()
    sequence = await call.rooms.projector.catch_up()

    def query(tx: Transaction) -> Touched:
        return Touched(
            since=since,
            until=until,
            counted=touching.COUNTED,
            missing=(*missing_of(tx, since, until), *touching.MISSING, *unseen(call)),
            sequence=sequence,
            data=data,
            rows=touching.read(tx, data, since=since, until=until, agents=seen),
        )

    return await call.rooms.store.scan(query)


async def rested_on(call: Call) -> RestedOn:
    """Say what a run's output, or one step of it, rested on."""
    key, now = call.path("key"), call.rooms.clock.now()
    sequence = await call.rooms.projector.catch_up()

    def query(tx: Transaction) -> RestedOn:
        span = resting.target(tx, key)
        if span is None or span.run is None:
            raise NotFound(
                f"nothing is kept of a run or step {key!r:.80}",
                remedy="see `watchkeeper runs` and `watchkeeper trace RUN`",
            )
        call.check_agent("read", span.agent)
        return _rested_on(call, tx, span, now, sequence)

    return await call.rooms.store.scan(query)


def _rested_on(call: Call, tx: Transaction, span: Span, now: int, sequence: int) -> RestedOn:
    run = span.run or ""
    cut = resting.cut_of(span, now)
    looked = [resting.look(tx, run, cut)]
    row = find_run(tx, run)
    above = [] if row is None else [name for name, _ in reversed(read_lineage(row.lineage))]
    hidden = 0
    for name in above[: resting.MOST_RUNS]:
        agent = agent_of_run(tx, name)
        if agent is None or not _may_read(call, agent):
            hidden += 1
            continue
        begun = resting.target(tx, looked[-1].run)
        looked.append(resting.look(tx, name, begun.start if begun else cut))
    every = resting.rests(span, looked)
    rows = [one for one in every if _may_read(call, one.agent)]
    hidden += len({one.run for one in every} - {one.run for one in rows})
    shown = rows[:_MOST_RESTS]
    digests = contents.digests(tx, [one.key for one in shown])
    missing = list(resting.MISSING)
    if hidden:
        missing.append(f"{count(hidden, 'run')} of teams that you do not read")
    if any(one.left_out for one in looked):
        missing.append(f"all but the latest {resting.MOST_LOOKED_AT} steps of each run")
    agents = {one.agent for each in looked for one in each.found}
    governed = call.rooms.view.now.agents
    quiet = sorted(
        a for a in agents if a in governed and governed[a].contract.logging.zero_retention
    )
    if quiet:
        missing.append(
            f"what was said in model calls of {', '.join(quiet)}: zero retention keeps digests only"
        )
    return RestedOn(
        since=min((one.at for one in rows), default=None),
        until=cut,
        counted=resting.COUNTED,
        missing=(*missing_of(tx, span.start, cut), *missing),
        sequence=sequence,
        key=span.key,
        run=run,
        name=span.name,
        runs=tuple(_under(tx, one) for one in looked),
        policies=applied_by(tx, "policy", cut),
        rows=tuple(_with(one, digests.get(one.key, {})) for one in shown),
        left_out=max(0, len(rows) - _MOST_RESTS),
    )


def _with(rest: Rest, digests: dict[str, str]) -> Rest:
    return rest.model_copy(update={"digests": {**rest.digests, **digests}}) if digests else rest


def _under(tx: Transaction, looked: resting.Looked) -> Under:
    own = next((one for one in looked.found if one.key == looked.run), None)
    own = own or resting.target(tx, looked.run)
    agent = own.agent if own else agent_of_run(tx, looked.run) or ""
    version = own.version if own else None
    of_run = [one for one in looked.found if one.run == looked.run]
    return Under(
        run=looked.run,
        agent=agent,
        version=version,
        principal=own.principal if own else None,
        contract=digest_of(tx, "agent", agent, version),
        epoch=resting.epoch_of(of_run),
        rules=resting.rules_of(of_run),
        policies=resting.policies_of(of_run),
    )


def _may_read(call: Call, agent: str) -> bool:
    seen = call.agents_seen()
    return seen is None or agent in seen


def unseen(call: Call) -> tuple[str, ...]:
    """Return what is not in an answer because the caller does not read it."""
    if call.agents_seen() is None:
        return ()
    return ("agents of teams that you do not read",)


def period_of(call: Call, usual_seconds: int = _DAY_SECONDS) -> tuple[int, int]:
    """Read the period: the last day, or so many seconds, unless told."""
    now = call.rooms.clock.now()
    until = min(call.whole("until") or now, now)
    within, since = call.whole("within_seconds"), call.whole("since")
    if since is None:
        since = until - (within or usual_seconds) * MICROSECONDS
    since = max(0, since)
    if since >= until:
        raise Invalid("the period ends before it begins", where="query: since")
    if until - since > LONGEST_SECONDS * MICROSECONDS:
        raise Invalid(
            f"a period of more than {LONGEST_SECONDS // _DAY_SECONDS} days is not looked at",
            where="query: since",
            remedy="ask of a shorter one",
        )
    return since, until


class _Side(NamedTuple):
    own: Span
    steps: list[Span]
    more: bool


async def compare(call: Call) -> Comparison:
    """Show two runs side by side, step by step."""
    names = call.path("run"), call.path("other")
    sequence = await call.rooms.projector.catch_up()

    def query(tx: Transaction) -> list[_Side]:
        return [_side(call, tx, name) for name in names]

    a, b = await call.rooms.store.scan(query)
    # up to some ten thousand comparisons: not on the event loop
    rows = await asyncio.to_thread(comparing.compare, a.steps, b.steps)
    missing = [
        f"steps of {side.own.key} after its first {len(side.steps)}" for side in (a, b) if side.more
    ]
    if a.own.end is None or b.own.end is None:
        missing.append(f"what comes after {utc_text(call.rooms.clock.now())}: one still runs")
    return Comparison(
        a=_figures(a), b=_figures(b), rows=rows, missing=tuple(missing), sequence=sequence
    )


def _side(call: Call, tx: Transaction, run: str) -> _Side:
    agent = agent_of_run(tx, run)
    if agent is None:
        raise no_run(run)
    call.check_agent("read", agent)
    own = resting.target(tx, run)
    if own is None:
        raise NotFound(
            f"nothing of run {run} is kept any more",
            remedy=f"its entries: watchkeeper events --run {run}",
        )
    steps: list[Span] = []
    after = None
    while True:
        found, after = spans_of_run(tx, run, after=after)
        steps += [one for one in found if one.kind == "action"]
        if after is None or len(steps) > comparing.MOST_STEPS:
            break
    most = comparing.MOST_STEPS
    return _Side(own, steps[:most], len(steps) > most)


def _figures(side: _Side) -> Figures:
    own = side.own
    return Figures(
        run=own.key,
        agent=own.agent,
        version=own.version,
        outcome=own.outcome,
        started=own.start,
        took_ms=comparing.took_ms(own),
        cost_micros=own.cost_micros,
        tokens=own.input_tokens + own.output_tokens,
        calls=own.calls,
        refusals=own.refusals,
        steps=len(side.steps),
        more=side.more,
    )


OPERATIONS = (
    Operation(
        "GET", "/v1/ask", "read", questions, "List the questions that are known.",
        answers=Questions, tags=("traces",),
    ),
    Operation(
        "GET", "/v1/ask/spike", "read", spike,
        "Say which versions of which agents made cost, calls, refusals or errors rise.",
        answers=Spike, query=("measure", "by", "agent", *PERIOD), tags=("traces",),
    ),
    Operation(
        "GET", "/v1/ask/touched", "read", touched, "Say which agents touched a class of data.",
        answers=Touched, query=("data", *PERIOD), tags=("traces",),
    ),
    Operation(
        "GET", "/v1/ask/rested-on/{key:path}", "read", rested_on,
        "Say what the output of a run, or one step of it, rested on.",
        answers=RestedOn, tags=("traces",),
    ),
    Operation(
        "GET", "/v1/traces/{run}/compare/{other}", "read", compare,
        "Show two runs side by side, step by step.",
        answers=Comparison, tags=("traces",),
    ),
)  # fmt: skip
