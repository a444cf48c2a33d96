"""Who holds roles: members, whoever is on call, a person's own; overrides as a transaction sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from tests.rig.deadline import eventually_async
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Invalid
from watchkeeper.core.wall import read_moment, wall_clock
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.people.overriding import Overriding
from watchkeeper.decide.people.rota import Rota, compile_rota, compile_schedule
from watchkeeper.oncall import service
from watchkeeper.oncall.schedules import Override
from watchkeeper.registry.documents import Role
from watchkeeper.registry.source import read_file
from watchkeeper.registry.watch import Schedule
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

BERLIN = wall_clock("Europe/Berlin")
WEEK = Schedule.model_validate(
    {
        "name": "week",
        "zone": "Europe/Berlin",
        "layers": [{"name": "turns", "people": ["ada", "bob"], "starts": "2026-11-16T09:00"}],
    }
)
NIGHT = Schedule.model_validate(
    {
        "name": "night",
        "zone": "Europe/Berlin",
        "layers": [
            {
                "name": "nights",
                "people": ["owner"],
                "rotation": "daily",
                "starts": "2026-11-16T09:00",
                "restrictions": [{"days": ["sat", "sun"], "from": "22:00", "to": "06:00"}],
            }
        ],
        "shifts": [{"person": "eve", "from": "2026-12-24T18:00", "to": "2026-12-25T08:00"}],
    }
)
ROLES = [
    Role(name="ops", members=("cay", "owner")),
    Role(name="all", members=("*",)),
    Role(name="desk", schedules=("week", "night", "gone")),
]


def rota(*standing: Override) -> Rota:
    found = compile_rota({one.name: one for one in ROLES}, {"week": WEEK, "night": NIGHT})
    return found.overridden(standing)


def at(text: str) -> int:
    return read_moment(text, BERLIN)


NOON = at("2026-11-18T12:00")
NIGHT_TIME = at("2026-11-22T02:00")


def test_roles_by_membership_by_schedule_and_for_the_owner() -> None:
    known = rota()
    assert known.roles_of("ada", owner=False, at=NOON) == {"all", "desk", "person/ada"}
    assert known.roles_of("bob", owner=False, at=NOON) == {"all", "person/bob"}
    assert known.roles_of("bob", owner=False, at=NOON + 7 * 86_400_000_000) >= {"desk"}
    root = known.roles_of("root", owner=True, at=NOON)
    assert root == {"all", "ops", "person/root", "person/owner"}
    assert known.roles_of("root", owner=True, at=NIGHT_TIME) == root | {"desk"}
    assert known.roles_of("owner", owner=False, at=NOON) >= {"ops"}


def test_holders_are_the_same_from_the_other_side() -> None:
    known = rota()
    assert known.holders("desk", NOON) == {"ada"}
    assert known.holders("desk", NIGHT_TIME) == {"ada", "owner"}
    assert known.holders("ops", NOON) == {"cay", "owner"}
    assert known.holders("person/eve", NOON) == {"eve"}
    assert known.holders("owner", NOON) == {"owner"}
    assert known.holders("nothing", NOON) == frozenset()
    assert known.people_of("desk") == {"ada", "bob", "owner", "eve"}


def test_overrides_count_in_their_time_only() -> None:
    known = rota(Override("ovr_1", "week", "replace", "dan", "ada", NOON, NOON + 3_600_000_000))
    assert known.holders("desk", NOON) == {"dan"}
    assert known.holders("desk", NOON + 3_600_000_000) == {"ada"}
    assert "desk" not in known.roles_of("ada", owner=False, at=NOON)
    assert known.next_change(NOON) == NOON + 3_600_000_000


def test_restrictions_over_midnight_and_fixed_shifts() -> None:
    night = rota().of_schedule("night")
    assert not night.at(at("2026-11-21T21:59"))[0]
    assert night.at(at("2026-11-21T22:00"))[0] == (("owner", "nights"),)
    assert night.at(at("2026-11-23T05:59"))[0] == (("owner", "nights"),)
    assert not night.at(at("2026-11-23T06:00"))[0]
    assert night.at(at("2026-12-24T18:00"))[0] == (("eve", "shift"),)


def test_times_of_day_that_yaml_takes_for_numbers_are_refused() -> None:
    text = """
schedule:
  name: desk
  layers:
    - name: days
      people: [ada]
      starts: 2026-11-16T09:00
      restrictions: [{from: "09:00", to: 00:30}]
"""
    (sourced,) = read_file("desk.yaml", text)
    assert isinstance(sourced.document, Schedule)
    (found,) = sourced.document.layers[0].restrictions
    assert (found.start, found.end) == ("09:00", "00:30")
    for wrong in ("15:00", "900", "yes", '"24:30"', '"9:00"'):
        with pytest.raises(Invalid):
            read_file("desk.yaml", text.replace('"09:00"', wrong))


def test_layers_and_shifts_that_end_before_they_start_are_refused() -> None:
    layer = {"name": "days", "people": ["ada"], "starts": "2026-11-16T09:00"}
    shift = {"person": "ada", "from": "2026-12-24T18:00", "to": "2026-12-24T18:00"}
    for wrong in (
        {"layers": [{**layer, "ends": "2026-11-16T09:00"}]},
        {"layers": [{**layer, "starts": "0999-11-16T09:00"}]},
        {"layers": [{**layer, "zone": "Mars/Olympus"}]},
        {"layers": [layer, layer]},
        {"layers": [{**layer, "people": []}]},
        {"shifts": [shift]},
        {},
    ):
        with pytest.raises(ValidationError):
            Schedule.model_validate({"name": "desk", **wrong})


def test_too_many_fixed_shifts_at_once_are_refused() -> None:
    shift = {"from": "2026-12-24T18:00", "to": "2026-12-25T08:00"}
    many = [{"person": f"p{number}", **shift} for number in range(51)]
    compile_schedule(Schedule.model_validate({"name": "many", "shifts": many[:50]}))
    with pytest.raises(Invalid, match="more than 50 overlap"):
        compile_schedule(Schedule.model_validate({"name": "many", "shifts": many}))


def week(known: Rota, moment: int) -> list[str]:
    return [person for person, _ in known.of_schedule("week").at(moment)[0]]


async def test_what_another_plane_overrides_counts_in_the_transaction_that_decides(
    store: Store, clock: RehearsalClock
) -> None:
    view = CatalogueView(replace(build_catalogue({}), rota=rota()))
    clock.advance((at("2030-01-02T12:00") - clock.now()) / 1_000_000)
    now = clock.now()
    (before,) = week(view.now.rota, now)

    def away(tx: Transaction) -> None:
        service.add(
            tx,
            "week",
            "remove",
            add=None,
            remove=before,
            start=None,
            end=now + 3_600_000_000,
            reason="ill",
            by="person/cay",
        )

    await store.write(away)
    assert week(view.now.rota, now) == [before]  # this plane has not heard of it
    assert await store.read(lambda tx: week(view.now.rota.now(tx), now)) == []
    overriding = Overriding(store, view)
    overriding.follow()

    async def follows() -> bool:
        return week(view.now.rota, now) == []

    await eventually_async(follows, "the view follows")
    same = view.now.rota
    assert await store.read(same.now) is same  # nothing is built again
    await overriding.stop()
    clock.advance(3600)
    assert await store.read(lambda tx: week(same.now(tx), tx.now)) == [before]
