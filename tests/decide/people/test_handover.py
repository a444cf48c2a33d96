"""What a hand-over says, on both stores; and that nothing which others wrote is markup in it."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from tests.approvals.ground import open_one, pass_time, vote
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.decide.catalogue import build_catalogue
from watchkeeper.decide.people.handover.draft import draft, text_digest
from watchkeeper.decide.people.handover.text import plain, write_text
from watchkeeper.outbox.model import Attempt, NewDelivery
from watchkeeper.outbox.service import claim, enqueue, settle
from watchkeeper.registry.service import apply, read_standing
from watchkeeper.registry.source import read_file
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.handover import GiveHandover, HandoverDraft, HandoverItem, HandoverSection

ROLES = "role: {name: ops, members: [ada, bob]}\n---\nrole: {name: lead, members: [carol]}\n"


async def draft_of(store: Store, role: str = "ops", person: str = "ada") -> HandoverDraft:
    documents = read_file("roles.yaml", ROLES)
    await store.write(lambda tx: apply(tx, documents, actor="person/ada"))
    catalogue = await store.read(lambda tx: build_catalogue(read_standing(tx)))
    return await store.scan(
        lambda tx: draft(
            tx,
            catalogue,
            person=person,
            names=frozenset({person}),
            owner=False,
            role=role,
            schedule=None,
            caps=(),
            sequence=store.head,
        )
    )


def part(found: HandoverDraft, name: str) -> HandoverSection:
    return next(one for one in found.sections if one.part == name)


async def test_it_counts_what_happened_in_the_period(store: Store, clock: RehearsalClock) -> None:
    old = await open_one(store, run="run_0")
    await vote(store, old, "person/ada", verdict="reject")
    clock.advance(13 * 3600)
    refused = [await open_one(store, run=f"run_{n}") for n in range(1, 4)]
    for request in refused:
        await vote(store, request, "person/ada", verdict="reject")
    approved = await open_one(store, run="run_4")
    await vote(store, approved, "person/bob")
    expired = await open_one(store, run="run_5")
    clock.advance(201)
    await pass_time(store)
    waits = await open_one(store, run="run_6")
    clock.advance(61)
    await pass_time(store)

    found = await draft_of(store)
    assert found.until - found.since == 12 * 3600 * MICROSECONDS
    assert [item.id for item in part(found, "open").items] == [waits]
    assert part(found, "open").items[0].pressing
    decided = part(found, "decided")
    assert decided.total == 4
    assert {item.id for item in decided.items} == {*refused, approved}
    assert "3 rejected, 1 approved; by ada 3, bob 1" in decided.summary
    assert expired in {item.id for item in part(found, "ended").items}
    told = [item.text for item in part(found, "watch-out").items]
    assert any("people refused refund-assistant 3 times" in text for text in told)
    assert any("asked for stripe.create_refund 6 times" in text for text in told)
    assert found.digest == text_digest(found.text + "\n")
    assert old not in found.text
    # asked of lead too since its level came
    lead = await draft_of(store, "lead", "carol")
    assert {waits, expired} >= {item.id for item in part(lead, "open").items} == {waits}


async def test_the_longest_queue_is_cut_and_counted(store: Store) -> None:
    requests = [await open_one(store, run=f"run_{n}") for n in range(20)]
    found = part(await draft_of(store), "open")
    assert found.total == len(requests)
    assert len(found.items) == 15
    assert "- and 5 more" in (await draft_of(store)).text


async def test_what_was_given_up_is_counted_by_target(store: Store) -> None:
    gone = Attempt("refused", 410, "it answered 410: gone")

    def unit(tx: Transaction) -> None:
        for target in ("books", "books", "pager"):
            enqueue(tx, NewDelivery(kind="webhook", target=target, payload="{}"))
        for one in claim(tx, room=9, room_per_target=9, kinds=["webhook"]):
            settle(tx, one, gone, fraction=0.0)

    await store.write(unit)
    found = part(await draft_of(store), "deliveries")
    assert found.total == 3
    assert [(item.id, item.text[:12]) for item in found.items] == [
        ("books", "2 to webhook"),
        ("pager", "1 to webhook"),
    ]


@given(st.text(max_size=300))
@example("see https://evil.example/?q=a*b or `www.evil.example` and ops@evil.example|")
@example("\\http://a.b\\ [x](HTTPS://a.b) <ftp://a.b>")
def test_what_others_wrote_is_one_line_of_words(text: str) -> None:
    shown = plain(text)
    assert shown.splitlines() in ([], [shown])
    link = r"(?:(?:https?|ftp)://|www\.|[\w.+-]+@)"
    bare = re.sub(rf"(?i)`{link}[^`]*`", "", shown)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*\[\]<>|#~]", bare)
    assert not re.search(r"(?i)(?:https?|ftp)://\w|www\.\w", bare)
    assert len(shown) <= 240
    assert all(character.isprintable() for character in shown)


@given(st.text(max_size=150))
def test_a_name_stays_between_its_backticks(name: str) -> None:
    item = HandoverItem(text="it", kind="tool", id=name)
    section = HandoverSection(part="tools", title="Tools", summary="One.", items=(item,), total=1)
    text = write_text(
        "ops", by="ada", since=0, until=1, due_at=2, next_people=(), sections=(section,)
    )
    (line,) = [line for line in text.split("\n") if line.startswith("- ")]
    assert line.count("`") == 2
    assert line.endswith("`")


def test_however_much_there_is_it_can_be_given_as_it_was_generated() -> None:
    item = HandoverItem(text=plain("*" * 900) * 3, kind="tool", id="|" * 200)
    section = HandoverSection(
        part="open", title="Open", summary="Much.", items=(item,) * 15, total=99
    )
    text = write_text(
        "ops", by="ada", since=0, until=1, due_at=2, next_people=(), sections=(section,) * 10
    )
    assert GiveHandover(role="ops", text=text).text == text.strip()
    more = [int(number) for number in re.findall(r"- and (\d+) more", text)]
    assert sum(more) + text.count("`|") == 99 * 10
    assert more[0] == 99 - 15
    assert more[-1] == 99
