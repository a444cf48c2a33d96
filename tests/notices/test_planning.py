"""Whom an event concerns: by role and by channel, without those it must not or need not reach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest

from tests.approvals.ground import open_one, vote
from tests.rig.sweeping import sweep
from watchkeeper.approvals.delegations import delegate
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.catalogue import Catalogue, CatalogueView, build_catalogue
from watchkeeper.decide.notices.concerned import EVENTS, Notices, read_notice
from watchkeeper.decide.notices.telling import without_secrets
from watchkeeper.decide.people.coverage import RolesInForce
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.decide.policies.applying import read_files
from watchkeeper.ledger.reading import read_events
from watchkeeper.notices.model import Notice
from watchkeeper.oncall.handovers.model import NewHandover
from watchkeeper.oncall.handovers.service import HANDLERS, give
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.registry.rules import InForce
from watchkeeper.store.store import Store

PAGER = {"contacts": [{"channel": "pager"}]}
CHANNELS = ({"channel": {"name": "pager", "url": "env:PAGER"}},)


def catalogue_of(*documents: Mapping[str, Any]) -> Catalogue:
    files = [(f"{n}.yaml", json.dumps(one)) for n, one in enumerate(documents)]
    return build_catalogue(
        {
            (one.kind, one.name): InForce(
                one.kind, one.name, 1, "sha256:0", one.path, one.text, one.document
            )
            for one in read_files(files)
        }
    )


def person(name: str, **more: Any) -> dict[str, Any]:
    return {"person": {"name": name, **PAGER, **more}}


def role(name: str, *members: str) -> dict[str, Any]:
    return {"role": {"name": name, "members": members}}


async def plan(
    store: Store, catalogue: Catalogue, request: str, owner: str = "root"
) -> list[NewDelivery]:
    notices = Notices(RolesInForce(CatalogueView(catalogue)), owner)

    def query(tx: Any) -> list[NewDelivery]:
        found = read_events(tx, request=request)
        return [
            one
            for event in found
            if event.type in EVENTS
            for one in notices.plan(tx, event, catalogue)
        ]

    return await store.read(query)


def people(found: list[NewDelivery]) -> list[str | None]:
    return [one.recipient for one in found]


async def test_members_are_told_but_not_on_whose_behalf_it_is(store: Store) -> None:
    catalogue = catalogue_of(
        *CHANNELS, role("ops", "ada", "carol", "grace"), role("lead", "edsger"),
        *(person(name) for name in ("ada", "carol", "edsger")),
    )  # fmt: skip
    request = await open_one(store)
    assert people(await plan(store, catalogue, request)) == ["ada"], (
        "carol may not decide it, grace has no document, edsger is not asked yet"
    )


async def test_another_name_of_who_asks_is_not_told_either(store: Store) -> None:
    catalogue = catalogue_of(
        *CHANNELS, role("ops", "ada", "caroline"), person("ada"),
        person("caroline", aliases=["carol"]),
    )  # fmt: skip
    assert people(await plan(store, catalogue, await open_one(store))) == ["ada"]


async def test_who_voted_is_not_told_again(store: Store) -> None:
    catalogue = catalogue_of(
        *CHANNELS, role("ops", "ada", "grace"), person("ada"), person("grace", aliases=["g.h"])
    )
    request = await open_one(store, quorum=2)
    await vote(store, request, "person/g.h")
    assert people(await plan(store, catalogue, request)) == ["ada"]


async def test_nothing_more_is_said_than_the_ledger_says(store: Store) -> None:
    catalogue = catalogue_of(*CHANNELS, role("ops", "ada"), person("ada"))
    request = await open_one(store, asks="mail planted-canary", told="mail [personal data]")
    (one,) = await plan(store, catalogue, request)
    assert read_notice(one.payload).asks == "mail [personal data]"
    assert "planted-canary" not in one.payload


async def test_whoever_may_vote_for_one_who_is_asked_is_told_too(store: Store) -> None:
    catalogue = catalogue_of(
        *CHANNELS, role("ops", "ada"), role("lead", "edsger"),
        *(person(name) for name in ("ada", "grace", "barbara")),
    )  # fmt: skip

    def unit(tx: Any) -> None:
        known = PeopleInForce(tx, catalogue)
        later = tx.now + 3_600_000_000
        delegate(tx, "ada", "grace", known, ends_at=later)
        delegate(tx, "ada", "barbara", known, roles=["lead"], ends_at=later)

    await store.write(unit)
    request = await open_one(store)
    assert people(await plan(store, catalogue, request)) == ["ada", "grace"]


async def test_what_is_critical_is_urgent(store: Store) -> None:
    catalogue = catalogue_of(*CHANNELS, role("ops", "ada"), person("ada"))
    for risk in ("high", "critical"):
        request = await open_one(store, risk=risk, run=f"run_{risk}")
        (one,) = await plan(store, catalogue, request)
        found: Notice = read_notice(one.payload)
        assert found.urgent == (risk == "critical")
        assert found.risk == risk


async def test_a_role_that_nobody_defined_is_the_owners(store: Store) -> None:
    catalogue = catalogue_of(*CHANNELS, person("ada", accounts=["svc"]), person("root"))
    request = await open_one(store)
    assert people(await plan(store, catalogue, request, owner="svc")) == ["ada"]
    assert people(await plan(store, catalogue, request, owner="root")) == ["root"]


async def test_each_contact_has_its_time(store: Store) -> None:
    contacts = [{"channel": "pager"}, {"channel": "mail", "after_seconds": 90}, {"channel": "gone"}]
    catalogue = catalogue_of(
        *CHANNELS, {"channel": {"name": "mail", "url": "env:MAIL"}}, role("ops", "ada"),
        person("ada", contacts=contacts),
    )  # fmt: skip
    found = await plan(store, catalogue, await open_one(store))
    assert [one.target for one in found] == ["pager", "mail"]
    first, second = (one.not_before for one in found)
    assert first is not None
    assert second == first + 90_000_000


async def test_without_channels_nothing_is_planned(store: Store) -> None:
    catalogue = catalogue_of(role("ops", "ada"), person("ada"))
    assert not await plan(store, catalogue, await open_one(store))


async def say(store: Store, request: str, type_: str, actor: str = "plane", **body: Any) -> None:
    await store.write(
        lambda tx: tx.record(
            type_, actor=actor, subject=f"request/{request}", request=request, body=body
        )
    )


EVERYBODY = (
    *CHANNELS, {"channel": {"name": "room", "url": "env:ROOM"}},
    role("ops", "ada", "grace"), role("lead", "edsger"),
    *(person(name) for name in ("ada", "grace", "edsger", "root")),
)  # fmt: skip


async def told_of(store: Store, type_: str, **body: Any) -> list[tuple[str | None, str]]:
    catalogue = catalogue_of(*EVERYBODY)
    request = await open_one(store)
    before = len(await plan(store, catalogue, request))
    await say(store, request, type_, **body)
    found = (await plan(store, catalogue, request))[before:]
    return [(one.recipient, one.target) for one in found]


async def test_a_level_tells_its_role_and_its_channels(store: Store) -> None:
    assert await told_of(store, "request.escalated", role="lead", channels=["room", "gone"]) == [
        (None, "room"),
        ("edsger", "pager"),
    ]


async def test_who_escalated_it_is_not_told(store: Store) -> None:
    found = await told_of(store, "request.escalated", role="lead", actor="person/edsger")
    assert found == []


async def test_without_coverage_the_owner_and_every_channel_are_told(store: Store) -> None:
    found = await told_of(store, "request.no_coverage", roles=["ops"], channels=["room"])
    assert found == [(None, "room"), ("root", "pager")]


async def test_who_comes_on_call_is_told_and_nobody_else(store: Store) -> None:
    assert await told_of(store, "request.rerouted", role="ops", people=["grace"]) == [
        ("grace", "pager")
    ]


async def test_breaking_the_glass_tells_all_who_could_have_decided(store: Store) -> None:
    assert await told_of(store, "request.break_glass", actor="person/ada", reason="fire") == [
        ("edsger", "pager"),
        ("grace", "pager"),
    ]


async def test_reminders_go_to_the_role_that_is_asked_now(store: Store) -> None:
    assert await told_of(store, "request.reminded", role="lead") == [("edsger", "pager")]


async def test_who_takes_a_watch_over_is_told_once_it_is_given_and_once_it_is_late(
    store: Store, clock: RehearsalClock
) -> None:
    catalogue = catalogue_of(
        *CHANNELS, role("ops", "ada", "bob"), person("ada"), person("bob"), person("carol"),
        person("dan", accounts=["root"]),
    )  # fmt: skip
    notices = Notices(RolesInForce(CatalogueView(catalogue)), "root")
    due_at = clock.now() + 60_000_000
    new = NewHandover(
        role="ops", schedule=None, by="ada", to=None, next=("bob", "owner"), since=0,
        due_at=due_at, sequence=0, text="quiet", edited=True, sections="[]",
    )  # fmt: skip
    await store.write(lambda tx: give(tx, new))
    clock.advance(60)
    await sweep(store, HANDLERS)

    def query(tx: Any) -> list[list[str | None]]:
        found = [event for event in read_events(tx) if event.type in EVENTS]
        return [people(list(notices.plan(tx, event, catalogue))) for event in found]

    assert await store.read(query) == [["bob", "dan"], ["bob", "dan"]]


async def test_roles_without_a_contact_are_named(store: Store) -> None:
    catalogue = catalogue_of(*CHANNELS, role("ops", "ada"), role("lead", "grace"), person("ada"))
    notices = Notices(RolesInForce(CatalogueView(catalogue)), "root")
    assert await store.read(lambda tx: notices.unreachable(tx, catalogue)) == ["lead"]


@pytest.mark.parametrize("written", ["planted-canary", "pl%40nted-canary", "planted%20canary"])
def test_no_words_of_a_service_repeat_what_its_url_holds(written: str) -> None:
    url = f"mailtos://watch:{written}@mail.example?from=watch@mail.example"
    said = f"535 no login of watch with {unquote(written)} at mail.example"
    assert without_secrets(url, said) == "535 no login of … with … at mail.example"


@pytest.mark.parametrize("type_", ["budget.warned", "budget.exhausted", "budget.paused"])
async def test_owners_of_agent_and_budget_are_told_of_its_levels(store: Store, type_: str) -> None:
    catalogue = catalogue_of(
        *CHANNELS,
        role("ops", "ada"),
        role("legal", "lex"),
        role("others", "zoe"),
        *(person(name) for name in ("ada", "lex", "zoe")),
        person("root", accounts=["root"]),
        {"agent": {"name": "bot", "owner": "ops", "mission": "help"}},
    )
    body = {"budget": "team/legal/day/spend", "text": "budget team/legal/day/spend is 80 % used"}

    def unit(tx: Any) -> None:
        tx.record(type_, actor="plane", subject="budget/x", agent="bot", run="run_1", body=body)

    await store.write(unit)
    notices = Notices(RolesInForce(CatalogueView(catalogue)), "root")

    def query(tx: Any) -> list[NewDelivery]:
        return [
            one
            for event in read_events(tx)
            if event.type == type_
            for one in notices.plan(tx, event, catalogue)
        ]

    found = await store.read(query)
    assert people(found) == ["ada", "lex", "root"]
    notice = read_notice(found[0].payload)
    assert (notice.why, notice.asks, notice.request) == ("budget", body["text"], None)


@pytest.mark.parametrize(
    "type_", ["telemetry.bypassed", "telemetry.agent_unknown", "telemetry.unmetered"]
)
async def test_the_team_of_an_agent_is_told_what_its_telemetry_gave_away(
    store: Store, type_: str
) -> None:
    catalogue = catalogue_of(
        *CHANNELS,
        role("ops", "ada"),
        *(person(name) for name in ("ada", "zoe")),
        person("root", accounts=["root"]),
        {"agent": {"name": "bot", "owner": "ops", "mission": "help"}},
    )
    body = {"text": "bot reports a call of shell that no gateway saw"}
    await store.write(
        lambda tx: tx.record(type_, actor="plane", subject="agent/bot", agent="bot", body=body)
    )
    notices = Notices(RolesInForce(CatalogueView(catalogue)), "root")

    def query(tx: Any) -> list[NewDelivery]:
        (event,) = (event for event in read_events(tx) if event.type == type_)
        return list(notices.plan(tx, event, catalogue))

    found = await store.read(query)
    assert people(found) == ["ada"]
    notice = read_notice(found[0].payload)
    assert (notice.why, notice.asks) == ("telemetry", body["text"])
