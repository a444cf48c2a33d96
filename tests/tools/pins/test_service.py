"""Pins on record: on both engines, with their events, one verdict on exactly one digest."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tests.tools.pins.ground import definition, listing
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.tools.sightings import Sightings
from watchkeeper.registry.rules import InForce, document_digest
from watchkeeper.registry.source import read_file
from watchkeeper.store.statement import Statement
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.pins import service
from watchkeeper.tools.pins.model import Distrusted, Pin, Pins

WORLD = """
upstream: {name: books, transport: http, url: "http://127.0.0.1:9/mcp"}
---
tool: {name: books.refund, upstream: books, upstream_tool: create_refund, does: Refunds.}
"""
REFUND, LURE = definition(), definition(description="Does it, and more.")
_EVENTS = Statement(text("select type, body from events order by sequence"))


class Plane:
    """A deciding view over a store, as one plane has it."""

    def __init__(self, store: Store) -> None:
        sources = read_file("w.yaml", WORLD)
        standing = {
            (s.kind, s.name): InForce(
                s.kind, s.name, 1, document_digest(s.kind, s.document), s.path, s.text, s.document
            )
            for s in sources
        }
        self.store = store
        self.view = CatalogueView(build_catalogue(standing))
        self.sightings = Sightings(store, self.view)

    def refuses(self) -> bool:
        catalogue = self.view.now
        return isinstance(catalogue.trust(catalogue.tools["books.refund"].contract), Distrusted)

    async def hear(self, *definitions: Any) -> None:
        await self.sightings.listed("books", listing(*definitions))

    async def judge(self, verdict: str, digest: str) -> None:
        await getattr(self.sightings, verdict)(
            "books", "create_refund", digest=digest, person="person/ada", reason="looked at"
        )


@pytest.fixture
def plane(store: Store) -> Plane:
    return Plane(store)


async def on_record(store: Store) -> dict[str, Pin]:
    found: Pins = await store.read(service.read_pins)
    return found.of("books")


async def events(store: Store) -> list[tuple[str, dict[str, Any]]]:
    rows = await store.read(_EVENTS.all)
    return [(row[0], parse(row[1])) for row in rows]


async def test_what_is_on_record_is_what_another_plane_reads(plane: Plane) -> None:
    await plane.hear(REFUND, definition("other"))
    await plane.hear(LURE, definition("other"), definition("cre\u0430te_refund"))
    other = Plane(plane.store)
    assert not other.refuses()
    await other.sightings.load()
    assert other.refuses()
    assert await on_record(plane.store) == plane.view.now.pins.of("books")
    assert other.view.now.pins.by_tool == plane.view.now.pins.by_tool
    assert other.view.now.pins.seen == {"books"}


async def test_each_change_has_its_event(plane: Plane) -> None:
    await plane.hear(REFUND, definition("other"))
    await plane.hear(LURE)
    await plane.hear(REFUND, definition("other"))
    told = [(type_, body.get("tool")) for type_, body in await events(plane.store)]
    assert told == [
        ("tool.pinned", "create_refund"),
        ("upstream.first_listed", None),
        ("tool.quarantined", "create_refund"),
        ("tool.gone", "other"),
        ("tool.restored", "create_refund"),
        ("tool.restored", "other"),
    ]
    diff = (await events(plane.store))[2][1]["diff"]
    assert diff == ["- description: Does it.", "+ description: Does it, and more."]


async def test_exactly_what_was_looked_at_is_accepted_once(plane: Plane) -> None:
    await plane.hear(REFUND)
    with pytest.raises(Conflict, match="nothing to accept"):
        await plane.judge("accept", REFUND.digest)
    await plane.hear(LURE)
    with pytest.raises(Conflict, match="meanwhile"):
        await plane.judge("accept", REFUND.digest)
    assert plane.refuses()
    await plane.judge("accept", LURE.digest)
    assert not plane.refuses()
    with pytest.raises(Conflict, match="nothing to accept"):
        await plane.judge("accept", LURE.digest)
    pin = (await on_record(plane.store))["create_refund"]
    assert (pin.pinned, pin.pinned_by, pin.pinned_how) == (LURE, "person/ada", "accepted")
    await plane.hear(REFUND)
    assert plane.refuses(), "what was pinned before is a change now"


async def test_what_is_rejected_stays_so_until_it_changes(plane: Plane) -> None:
    await plane.hear(REFUND)
    await plane.hear(LURE)
    await plane.judge("reject", LURE.digest)
    assert plane.refuses()
    assert (await on_record(plane.store))["create_refund"].is_rejected
    await plane.hear(definition(description="A third."))
    assert not (await on_record(plane.store))["create_refund"].is_rejected
    await plane.hear(LURE)
    assert (await on_record(plane.store))["create_refund"].is_rejected
    await plane.hear(REFUND)
    assert (await on_record(plane.store))["create_refund"].rejected is None


async def test_nobody_judges_what_is_not_known(plane: Plane) -> None:
    for verdict in ("accept", "reject"):
        with pytest.raises(NotFound):
            await plane.judge(verdict, REFUND.digest)


async def test_two_planes_that_hear_the_same_write_it_once(
    store: Store, clock: RehearsalClock
) -> None:
    one, two = Plane(store), Plane(store)
    await one.hear(REFUND)
    await two.hear(REFUND, definition("late"))
    assert (await on_record(store))["late"].state == "new", "one plane's first sight is all's"
    await two.hear(REFUND)
    await one.sightings.load()
    await one.hear(LURE)
    await two.sightings.load()
    await two.hear(LURE)
    types = [type_ for type_, _ in await events(store)]
    assert types == [
        "tool.pinned", "upstream.first_listed", "tool.quarantined", "tool.gone", "tool.quarantined",
    ]  # fmt: skip
    assert one.refuses()
    assert two.refuses()


async def test_a_long_first_list_is_kept_whole_and_told_in_few_words(plane: Plane) -> None:
    many = [definition(f"tool_{number}") for number in range(300)]
    await plane.hear(REFUND, *many)
    assert {pin.state for pin in (await on_record(plane.store)).values()} == {"pinned"}
    assert len(await on_record(plane.store)) == len(many) + 1
    told = await events(plane.store)
    assert [type_ for type_, _ in told] == ["tool.pinned", "upstream.first_listed"]
    assert told[1][1]["pinned"] == len(many) + 1


async def test_a_plane_that_is_behind_undoes_nothing(store: Store) -> None:
    one, two = Plane(store), Plane(store)
    await one.hear(REFUND)
    await one.hear(LURE)
    await two.sightings.load()
    await one.judge("accept", LURE.digest)
    await two.hear(REFUND)
    pin = (await on_record(store))["create_refund"]
    assert (pin.state, pin.pinned) == ("pinned", LURE)
    await two.sightings.load()
    assert two.refuses()


async def test_an_empty_list_is_no_first_sight(plane: Plane) -> None:
    await plane.hear()
    assert plane.refuses()
    await plane.hear(REFUND)
    assert not plane.refuses()
    await plane.hear()
    await plane.hear(REFUND, definition("other"))
    assert (await on_record(plane.store))["other"].state == "new"


async def test_a_first_sight_that_was_cut_off_goes_on_as_one(plane: Plane) -> None:
    def cut(tx: Transaction) -> None:
        tx.silent("the plane was killed before it wrote that the upstream was listed")
        tx.connection.execute(text("delete from listed_upstreams"))

    await plane.hear(REFUND)
    await plane.store.write(cut)
    other = Plane(plane.store)
    await other.sightings.load()
    await other.hear(REFUND, definition("other"))
    assert {pin.state for pin in (await on_record(plane.store)).values()} == {"pinned"}
    # but what was pinned already is not pinned again as something else
    await plane.store.write(cut)
    third = Plane(plane.store)
    await third.sightings.load()
    await third.hear(LURE)
    assert third.refuses()


async def test_hostile_text_is_kept_as_it_came(plane: Plane) -> None:
    hostile = definition(description="\x00\x1b[2J\u202e\u200b", title="'; drop table events; --")
    await plane.hear(hostile)
    assert (await on_record(plane.store))["create_refund"].pinned == hostile
