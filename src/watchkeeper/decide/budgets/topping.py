"""Asking people for more room in a budget, and topping it up where they approve."""

from __future__ import annotations

import json

from sqlalchemy import select

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.coverage import Coverage
from watchkeeper.approvals.deciding import fulfil_by
from watchkeeper.approvals.fulfilling import done
from watchkeeper.approvals.model import NewRequest
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.topping import named
from watchkeeper.budgets.model import written
from watchkeeper.budgets.terms import Terms
from watchkeeper.budgets.topping import top_up
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical
from watchkeeper.decide.contents import kept_words
from watchkeeper.decide.live import LiveFacts
from watchkeeper.decide.model import Ruling
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.store.journal import events
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction

TOOL = "budget.top_up"
"""Stands for the tool in a request of this kind."""


def open_top_up(
    tx: Transaction,
    decision: str,
    facts: LiveFacts,
    ruling: Ruling,
    terms: Terms,
    coverage: Coverage,
) -> str:
    """Open the request for more room that a held call waits for; return its id.

    It waits no longer than the period lasts: then there is room again.
    """
    run, catalogue, requirement = facts.run, facts.catalogue, ruling.requirement
    assert requirement is not None
    sla = requirement.sla_seconds
    if terms.resets_at is not None:
        sla = max(1, min(sla, -(-(terms.resets_at - tx.now) // MICROSECONDS)))
    shown, asks = terms.shown(), terms.words()
    more = written(terms.measure, terms.amount)
    return approvals.open_request(
        tx,
        NewRequest(
            kind="top_up",
            budget=named(terms.budget, terms.period_key),
            decision=decision,
            agent=run.agent,
            agent_version=run.version,
            run=run.run,
            tool=TOOL,
            digest=terms.digest,
            canonical=canonical(shown).decode(),
            arguments=shown,
            asks=asks,
            told=kept_words(asks, catalogue.redaction_of(run.agent)),
            risk=requirement.risk,
            escalation=requirement.escalation,
            groups=requirement.groups,
            deciding=requirement.deciding,
            sla_seconds=sla,
            rule=requirement.rule,
            rule_text=requirement.rule_text,
            blast_source="measured",
            blast_radius=f"{terms.budget} has {more} more in {terms.period} "
            f"{_plain(terms.period_key)}, for everybody who draws on it; contracts, policies and "
            "other budgets stay as they are",
            rollback="`watchkeeper budgets cap` lowers the cap again; what was spent stays spent",
            epoch=facts.epoch,
            on_behalf_of=run.on_behalf_of,
            goal=run.goal,
            object_kind="budget",
            object_id=terms.budget[:200],
            amount_micros=terms.amount if terms.measure == "spend" else None,
        ),
        coverage,
        PeopleInForce(tx, catalogue),
    )


def waits_for(tx: Transaction, request: str, agent: str | None, run: str | None) -> bool:
    """Tell whether a call of an agent (of one of its runs, if `run` is given) was held for a
    request that another's call opened.
    """
    if agent is None:
        return False
    query = select(events.c.sequence).where(
        events.c.request == request,
        events.c.type == "decision.held",
        events.c.agent == agent,
    )
    if run is not None:
        query = query.where(events.c.run == run)
    return tx.connection.execute(query.limit(1)).first() is not None


def _top_up(tx: Transaction, row: Row) -> None:
    """Top a budget up, now that the request for it (its row) was approved."""
    terms = json.loads(row.arguments)
    by = find(tx, row.request).decided_by
    top_up(
        tx,
        terms["budget"],
        terms["period_key"],
        terms["amount"],
        reason=f"{row.agent} asked for it: {row.request}",
        actor=by,
        request=row.request,
    )
    more = written(terms["measure"], terms["amount"])
    text = f"{terms['budget']} has {more} more in {terms['period']} {_plain(terms['period_key'])}"
    done(tx, row, by=f"budget/{terms['budget']}", text=text, budget=terms["budget"])


def _plain(period_key: str) -> str:
    """Return a period's name without its zone."""
    return period_key.partition("@")[0]


fulfil_by("top_up", _top_up)
