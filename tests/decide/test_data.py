"""Data classes in what agents ask for: refused where not contracted, never kept where secret."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.decide.still import POLICY, WORLD, StillFacts, a_run, catalogue
from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.held.previews import compare
from watchkeeper.decide.model import Action, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.recorded import Wanted, list_decisions
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.registry.documents import Preview, PreviewChange
from watchkeeper.registry.source import read_file
from watchkeeper.store.statement import Statement
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Ask, Outcome

AGENT = "refund-assistant"
SECRET = "ghp_" + "aB3" * 12
MAIL = "ada@example.com"
LOOKUP = "tool:\n  name: stripe.lookup_charge\n"


HELD = "tool: {name: cloud.delete, does: Deletes a cluster, risk: critical"
OF_MAIL = "display: 'Delete for {mail}', business_object: {kind: customer, id: mail}"


def world(data: str, level: str = "standard") -> str:
    """The small world with data classes on its reading tool, and a redaction level."""
    contracted = WORLD.replace(LOOKUP, f"{LOOKUP}  data: {data}\n")
    contracted = contracted.replace(HELD, f"{HELD}, {OF_MAIL}")
    return contracted.replace(
        "approvals: {escalation: finance}",
        f"approvals: {{escalation: finance}}\n  logging: {{pii_redaction: {level}}}",
        1,
    )


def ruled(data: str, arguments: dict[str, Any]) -> Ruling:
    facts = StillFacts(catalogue(world(data)), a_run())
    return decide(Action("tool", "stripe.lookup_charge", arguments), facts)[0]


def test_a_secret_goes_to_no_tool_that_does_not_say_so() -> None:
    refused = ruled("{}", {"note": f"use {SECRET}"})
    assert (refused.verdict, refused.rule) == ("deny", "tool/stripe.lookup_charge/data-in")
    assert refused.reason.startswith("arguments.note holds data of class secret")
    assert SECRET not in refused.reason
    assert ruled("{}", {"note": MAIL}).verdict == "permit"
    assert ruled("{in: [secret]}", {"note": SECRET}).verdict == "permit"


def test_a_contract_that_names_classes_lets_in_no_other() -> None:
    refused = ruled("{in: [email]}", {"to": {"mail": MAIL, "card": 4111111111111111}})
    assert refused.rule == "tool/stripe.lookup_charge/data-in"
    assert "arguments.to.card holds data of class card" in refused.reason
    assert refused.allowed_instead == "the same call without it; classes it takes: email"
    assert ruled("{in: []}", {"to": MAIL}).verdict == "deny"
    assert ruled("{in: [email]}", {"to": MAIL}).verdict == "permit"


def test_what_is_too_large_to_inspect_is_refused_unless_everything_may_pass() -> None:
    flood = {"note": "a@b.cd " * 60_000}
    refused = ruled("{}", flood)
    assert "too large to inspect" in refused.reason
    everything = "{in: [secret, card, iban, national-id, email, phone]}"
    assert ruled(everything, flood).verdict == "permit"


def test_an_unknown_class_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Invalid, match=r"data\.in\.0: should be 'secret', 'card', 'iban'"):
        read_file("w.yaml", world("{in: [passport]}"))


def test_a_schema_problem_quotes_no_value() -> None:
    facts = StillFacts(catalogue(), a_run())
    arguments = {"charge_id": 4, "amount_usd": SECRET, MAIL: 1}
    refused = decide(Action("tool", "stripe.create_refund", arguments), facts)[0]
    assert refused.rule == "tool/stripe.create_refund/schema"
    assert "amount_usd: the value is not of type" in refused.reason
    assert SECRET not in refused.reason
    assert MAIL not in refused.reason


def test_a_preview_shows_people_and_no_secret() -> None:
    preview = Preview(tool="a", arguments={}, changes=(PreviewChange(field="key", after="key"),))
    (line, context) = compare(preview, {"key": SECRET, "owner": MAIL}, {"key": f"x {SECRET}"})
    assert (line.before, line.after) == ("[secret redacted]", "x [secret redacted]")
    assert context.before == MAIL


@dataclass
class Ground:
    store: Store
    decider: Decider
    envelopes: Envelopes
    credential: str

    async def token(self) -> str:
        new = NewRun(f"help {MAIL} with {SECRET}", "person/customer", "ticket", SECRET)
        return (await self.envelopes.open(self.credential, new))[1].token

    async def everything(self) -> str:
        """Return every row of every table as text."""
        tables = Statement(text("select name from sqlite_master where type = 'table'"))
        names = await self.store.read(lambda tx: [row[0] for row in tables.all(tx)])
        rows = []
        for name in names:
            query = Statement(text(f"select * from {name}"))
            rows += await self.store.read(lambda tx, query=query: query.all(tx))  # type: ignore[misc]
        return repr([tuple(row) for row in rows])


async def opened(tmp_path: Path, level: str) -> AsyncIterator[Ground]:
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        view = CatalogueView(build_catalogue({}))
        files = [("w.yaml", world("{in: [secret, email]}", level)), ("p.cedar", POLICY)]
        await Applying(store, view).apply(files, prune=False, actor="person/a")
        decider = Decider(store, view)
        made = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
        credential = await store.write(lambda tx: redeem_enrolment(tx, made.secret))
        yield Ground(store, decider, Envelopes(decider), credential.secret)


@pytest.fixture
async def standard(tmp_path: Path) -> AsyncIterator[Ground]:
    async for ground in opened(tmp_path, "standard"):
        yield ground


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Ground]:
    async for ground in opened(tmp_path, "strict"):
        yield ground


ASK = Ask(
    name="stripe.lookup_charge",
    arguments={"to": MAIL, "key": SECRET},
    idempotency_key="k",
    explanation=f"because of {SECRET}",
)


async def work(ground: Ground) -> None:
    token = await ground.token()
    permitted = await ground.decider.decide(token, ASK)
    assert permitted.verdict == "permit"
    again = await ground.decider.decide(token, ASK)
    assert again.replay is not None, "a redacted record is known as the same call"
    ended = Outcome(status="failed", error=f"no {SECRET} for {MAIL}", result_digest=SECRET)
    await ground.decider.settle(permitted.decision, ended)
    held = Ask(name="cloud.delete", arguments={"cluster": "a", "mail": MAIL}, explanation=SECRET)
    assert (await ground.decider.decide(token, held)).verdict == "hold"
    denied = Ask(name="cloud.delete", arguments={"cluster": SECRET})
    assert (await ground.decider.decide(token, denied)).verdict == "deny"
    await ground.envelopes.close(
        token, (await ground.decider.identify(token)).run, "failed", SECRET
    )


async def test_a_secret_is_in_no_row_of_any_table(standard: Ground) -> None:
    await work(standard)
    rows = await standard.everything()
    assert SECRET not in rows
    assert MAIL in rows


async def test_strict_records_hold_no_personal_data_but_what_people_decide_on(
    strict: Ground,
) -> None:
    await work(strict)
    rows, _ = await strict.store.read(list_decisions)
    kept = Statement(text("select arguments, reason, error, question from decisions"))
    goals = Statement(text("select goal, summary from runs"))
    events = Statement(text("select body from events"))
    for query in (kept, goals, events):
        said = repr(await strict.store.read(lambda tx, query=query: query.all(tx)))  # type: ignore[misc]
        assert SECRET not in said
        assert MAIL not in said
    asked = Statement(text("select arguments, asks from requests"))
    (request,) = await strict.store.read(asked.all)
    assert json.loads(request.arguments)["mail"] == MAIL
    assert request.asks == f"Delete for {MAIL}"
    assert {row.classes_in for row in rows} == {("secret", "email"), ("email",), ("secret",)}
    emails, _ = await strict.store.read(lambda tx: list_decisions(tx, Wanted(data="email")))
    assert {row.name for row in emails} == {"stripe.lookup_charge", "cloud.delete"}


@pytest.mark.parametrize("field", ["idempotency_key", "name"])
async def test_a_name_may_not_be_a_secret(standard: Ground, field: str) -> None:
    token = await standard.token()
    named = {"name": "stripe.lookup_charge", field: "xoxb-123456789012-abcdefghijkl"}
    with pytest.raises(Invalid, match="secret"):
        await standard.decider.decide(token, Ask(**named))
