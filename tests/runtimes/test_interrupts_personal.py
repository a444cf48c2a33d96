"""People whom a runtime's interrupts tell of: where they stand, and nowhere once erased."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from tests.decide.erasing.test_erasing import erasing
from tests.invariants.test_canaries import Planted, leaks
from tests.runtimes.test_interrupts import asked, question, vote
from tests.runtimes.watched import AGENTS, watching
from watchkeeper.identity.runs import close_run
from watchkeeper.store.metadata import metadata
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.inspection.rules import personal_in

MAY_STAND = {"behalf", "argument", "description", "free question"}
"""On whose behalf is known, and what people decide on is real."""


def tables(tx: Transaction) -> dict[str, str]:
    return {
        table.name: "\n".join(map(str, tx.connection.execute(select(table))))
        for table in metadata.sorted_tables
        if table.name != "data_subjects"
    }


@pytest.mark.parametrize("level", ["off", "strict"])
async def test_people_in_interrupts(database_url: str, tmp_path: Path, level: str) -> None:
    planted = Planted()
    person = planted.person
    async with watching(database_url) as ground:
        ground.store.vault.find = personal_in
        logging = f"\n  logging: {{pii_redaction: {level}}}\n---\nagent: {{name: reader"
        await ground.apply(AGENTS.replace("\n---\nagent: {name: reader", logging))
        ours = await ground.open(on_behalf_of=f"user/{person('behalf')}")
        run = ground.server.begin(ours=ours, kwargs={"input": person("input")})
        about = ground.server.threads[ground.server.thread_of(run)]
        about["metadata"] = {"user": person("metadata"), person("metadata key"): 1}
        action = {
            "name": "stripe.refund",
            "args": {"amount_usd": 4, "to": person("argument")},
            "description": f"refund {person('description')}",
        }
        ground.server.ask(run, question(action))
        await ground.poll(seconds=10)
        (request,) = await asked(ground)
        other = ground.server.begin(ours=ours)
        ground.server.ask(other, f"may I write to {person('free question')}?", "ask-2")
        await ground.poll(seconds=10)

        found = leaks(planted.people, await ground.store.read(tables))
        assert not [one for one in found if one.endswith((" in events", " in vault_values"))]
        standing = {one.partition(" is in ")[0] for one in found}
        assert standing >= MAY_STAND, found
        if level == "strict":
            assert standing == MAY_STAND, found

        for row in await asked(ground):
            if row.state == "pending":
                await vote(ground, row.request, "reject")
        assert request.request
        ground.server.end(run)
        ground.server.end(other)
        await ground.poll(seconds=10)
        await ground.store.write(lambda tx: close_run(tx, "clerk", ours, "failed", None))
        first, *also = planted.people.values()
        await erasing(ground.store, tmp_path).erase(
            [first, *also], reason="asked", despite=(), actor="person/ada"
        )
        assert leaks(planted.people, await ground.store.read(tables)) == []
