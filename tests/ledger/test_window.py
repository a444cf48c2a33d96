"""How long an entry may be without an anchor: a minute at most with a witness, by a driven clock.

The plane looks once a second whether to sign and whether to anchor; so it is done here.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.ledger.ground import note, only
from watchkeeper.api.ledger_needs import needs_of_ledger
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Unavailable
from watchkeeper.ledger.anchors.model import Answer, Held, Publishing
from watchkeeper.ledger.anchors.witnesses import WitnessAnchor
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.ledger.witness import Witness

SECOND = 1_000_000
WINDOW = 60 * SECOND


class Near:
    """A real witness without a network between, which can be down."""

    def __init__(self, log: Log, directory: Path) -> None:
        self.down = False
        self._here = Witness("w.example/1", Ed25519PrivateKey.generate(), [log.key], directory)
        self.anchor = WitnessAnchor("https://w.example", self._here.key, self._post)

    async def _post(self, method: str, url: str, kind: str, body: bytes | None) -> Answer:
        if self.down:
            raise Unavailable("it does not answer")
        reply = self._here.add(body or b"", 1_790_000_000)
        return Answer(reply.status, reply.body.encode())


class Stuck:
    """An anchor that takes what it is given and never answers."""

    kind, place, every_seconds = "tsa", "https://tsa.example", 3600

    async def publish(self, one: Publishing) -> str:
        await asyncio.Event().wait()
        return ""

    async def held(self, keys: object, receipts: object) -> list[Held]:
        return []


class Watched:
    """A log and its witness, with the times of the entries that no anchor has yet."""

    def __init__(self, log: Log, audit: LedgerAudit) -> None:
        assert isinstance(log.store.clock, RehearsalClock)
        self.log, self.audit, self.clock = log, audit, log.store.clock
        self._loose = deque([(log.store.head, self.clock.now())])

    async def second(self, entries: int) -> int:
        """Let a second pass in which so many are recorded; return the age of the oldest loose."""
        if entries:
            await note(self.log, entries)
            self._loose.append((self.log.store.head, self.clock.now()))
        self.clock.advance(1)
        await self.log.advance()
        await self.audit.anchoring.run_due()
        while self._loose and self._loose[0][0] <= only(self.audit.anchoring).size:
            self._loose.popleft()
        return self.clock.now() - self._loose[0][1] if self._loose else 0

    def needs(self) -> list[str]:
        """What people are told of it."""
        found = needs_of_ledger(self.audit, self.clock.now(), mine=True)
        return [need.text.rpartition(": ")[2] for need in found]


@pytest.mark.parametrize("seed", range(3))
async def test_no_entry_is_without_an_anchor_for_a_minute(
    log: Log, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    watched = Watched(log, LedgerAudit(log, [Near(log, tmp_path / "w").anchor]))
    oldest = 0
    for _ in range(240):
        entries = chance.choices((0, 1, 40, 300), (85, 10, 4, 1))[0]
        oldest = max(oldest, await watched.second(entries))
        assert watched.needs() == []
    assert 5 * SECOND < oldest <= WINDOW / 2


async def test_a_witness_that_was_away_is_found_again_within_a_minute(
    log: Log, tmp_path: Path
) -> None:
    near = Near(log, tmp_path / "w")
    watched = Watched(log, LedgerAudit(log, [near.anchor]))
    for _ in range(30):
        await watched.second(1)
    near.down = True
    for second in range(900):
        age = await watched.second(int(second % 30 == 0))
        assert (watched.needs() != []) == (age >= WINDOW + 11 * SECOND), age
        if watched.needs():
            break
    for _ in range(900):
        await watched.second(0)
    near.down, passed = False, 0
    while await watched.second(0) and passed < 100:
        passed += 1
    assert passed <= 60
    assert watched.needs() == []


async def test_an_anchor_that_never_answers_delays_no_other_and_is_told_of(
    log: Log, tmp_path: Path
) -> None:
    audit = LedgerAudit(log, [Near(log, tmp_path / "w").anchor, Stuck()])
    quick, slow = audit.anchoring.standings
    clock = log.store.clock
    assert isinstance(clock, RehearsalClock)
    await log.advance(now=True)
    hanging = asyncio.create_task(audit.anchoring.run(slow))
    for _ in range(3):
        await note(log, 300)
        clock.advance(10)
        await log.advance()
        await audit.anchoring.run(quick)
    assert quick.size == log.store.head
    assert needs_of_ledger(audit, clock.now(), mine=True) == []
    clock.advance(2 * 3600)
    (need,) = needs_of_ledger(audit, clock.now(), mine=True)
    assert need.text.endswith("tsa https://tsa.example: it has not taken yet what was signed")
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
