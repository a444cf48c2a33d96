"""The questions that documents ask, each with what is asked of it besides."""

from __future__ import annotations

from dataclasses import fields, replace

from watchkeeper.api.asking import period_of, unseen
from watchkeeper.api.table import Call, Operation
from watchkeeper.api.traces import FILTERS, PERIOD, wanted_in
from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import NotFound
from watchkeeper.registry.questions import Question
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import saved
from watchkeeper.traces.missing import missing_of
from watchkeeper.traces.reading import Wanted, as_shown
from watchkeeper.wire.asking import Saved


async def ask(call: Call) -> Saved:
    """Answer a question that a document asks."""
    question = _find(call)
    since, until = period_of(call, read_duration(question.within))
    wanted = replace(_both(question, wanted_in(call)), since=since, until=until)
    query = saved.Query(
        wanted,
        question.group_by,
        question.order or ("steps" if question.group_by else "newest"),
        call.limit() if call.text("limit") else question.limit,
    )
    seen = call.agents_seen()
    sequence = await call.rooms.projector.catch_up()

    def read(tx: Transaction) -> Saved:
        answer = Saved(
            since=since,
            until=until,
            counted=saved.COUNTED,
            missing=(*missing_of(tx, since, until), *unseen(call)),
            sequence=sequence,
            name=question.name,
            asks=question.description,
            where={name: str(value) for name in FILTERS
                   if (value := getattr(wanted, name)) is not None},
            group_by=question.group_by,
            order=query.order,
        )  # fmt: skip
        if question.group_by:
            groups, more = saved.read_groups(tx, query, seen)
            return answer.model_copy(update={"groups": groups, "more": more})
        steps, more = saved.read_steps(tx, query, seen)
        shown = tuple(map(as_shown, steps))
        return answer.model_copy(update={"steps": shown, "more": more})

    return await call.rooms.store.scan(read)


def _find(call: Call) -> Question:
    name = call.path("name")
    found = call.rooms.view.now.questions.get(name)
    if found is None:
        raise NotFound(
            f"there is no question {name!r:.80}",
            remedy="see `watchkeeper ask list`; a document of kind `question` adds one",
        )
    return found


def _both(question: Question, asked: Wanted) -> Wanted:
    """Return what the document asks for, and in its place what the caller does."""
    where = question.where
    own = Wanted(
        **where.model_dump(exclude={"cost_at_least_usd"}), cost_at_least=where.cost_at_least_usd
    )
    told = {one.name: value for one in fields(asked)
            if (value := getattr(asked, one.name)) is not None}  # fmt: skip
    return replace(own, **told)


OPERATIONS = (
    Operation(
        "GET", "/v1/ask/saved/{name}", "read", ask, "Answer a question that a document asks.",
        answers=Saved, query=(*FILTERS, *PERIOD, "limit"), tags=("traces",),
    ),
)  # fmt: skip
