"""What lists say a person may decide, what is counted, and what voting lets them: always one."""

from __future__ import annotations

from hypothesis.stateful import rule

from tests.approvals.crowd import NAMES
from tests.approvals.test_machine import ApprovalMachine
from tests.rig.machines import run_machine
from watchkeeper.approvals import service
from watchkeeper.approvals.delegations import voters_of
from watchkeeper.approvals.reading import count_pending, list_requests
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import RequestRow


class Undone(Exception):
    """Nothing of this unit is to stay."""


class AgreeingMachine(ApprovalMachine):
    """The machine of approvals, where somebody looks now and then."""

    @rule(person=NAMES)
    def look(self, person: str) -> None:
        """Compare the list, the count and what happens to a vote."""
        roles = self.people.roles(person)
        seen = self.run(
            self.store.read(
                lambda tx: list_requests(
                    tx, person=person, roles=roles, limit=500, people=self.people
                )
            )
        )
        counts = self.run(
            self.store.read(
                lambda tx: count_pending(tx, person=person, roles=roles, people=self.people)
            )
        )
        assert counts.pending == seen.total == len(seen.rows)
        assert counts.waiting == sum(row.mine for row in seen.rows)
        for row in seen.rows:
            assert self.may(person, row) == row.mine, (person, row)

    def may(self, person: str, row: RequestRow) -> bool:
        """Return whether a vote is taken in some way; none stays. One's own comes first."""
        roles = self.people.roles(person)

        def ways(tx: Transaction) -> list[str | None]:
            found = voters_of(tx, person, roles, self.people)
            return [one.acting_for.name if one.acting_for else None for one in found]

        for owed in self.run(self.store.read(ways)):

            def unit(tx: Transaction, owed: str | None = owed) -> None:
                service.cast_vote(
                    tx,
                    row.request,
                    person=person,
                    roles=roles,
                    verdict="approve",
                    digest=row.digest,
                    acting_for=owed,
                    people=self.people,
                )
                raise Undone

            try:
                self.run(self.store.write(unit))
            except Undone:
                assert row.acting_for == owed, (person, row)
                return True
            except (Conflict, Forbidden):
                continue
        return False


def test_list_count_and_vote_agree_whoever_is_who(database_url: str) -> None:
    run_machine(AgreeingMachine, database_url)
