"""Somebody planted in every way into a plane: where they stand under each contract, and after."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg

from tests.invariants.test_canaries import NAMES, Planted, files, leaks, tools
from tests.invariants.ways_in import CODING, WAYS, Ground
from tests.rig.deadline import eventually_async
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world

CONTRACTS: dict[str, dict[str, Any]] = {
    "open": {"pii_redaction": "off"},
    "strict": {"pii_redaction": "strict"},
    "digests": {"pii_redaction": "strict", "trace_level": "metadata"},
    "silent": {"pii_redaction": "strict", "trace_level": "off"},
    "zero": {"pii_redaction": "strict", "zero_retention": True},
}
TYPED = {"comment 0", "comment 1", "vote 0", "vote 1", "lock", "lift", "note", "closing"}
"""What people wrote themselves."""
MAY_STAND = {
    "runs": {"behalf"},
    "decisions": {"behalf"},
    "requests": {
        "behalf",
        "explanation",
        "held argument",
        "called back why",
        "called back argument",
    },
    "spans": {"behalf"},
    "span_words": {"behalf"},
}
"""Under strict redaction: on whose behalf is known, and what people decide on is real."""
NEVER = ("events", "vault_values")
LEFT_OUT = frozenset({"data_subjects"})
"""By these names the vault finds whose its values are."""


def contract(name: str) -> str:
    coding = "".join(f", {{name: {tool}}}" for tool in CODING)
    allowed = agent_document(name, tools=NAMES).replace(
        "{name: books.echo}", f"{{name: books.echo}}{coding}"
    )
    allowed = allowed.replace("hold_seconds: 0}", "hold_seconds: 0, callbacks: [ops]}")
    return f"{allowed}  logging: {json.dumps(CONTRACTS[name])}\n"


async def tables(plane: Plane, database: str) -> dict[str, str]:
    """Every row of every table, by table."""
    if database.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(plane.state / "plane.sqlite3")) as opened:
            listed = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {
                name: "\n".join(map(str, opened.execute(f'SELECT * FROM "{name}"')))
                for (name,) in listed.fetchall()
            }
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        named = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        return {
            name: "\n".join(map(str, await connection.fetch(f'SELECT * FROM "{name}"')))
            for (name,) in named
        }
    finally:
        await connection.close()


def standing(people: Mapping[str, str], dump: Mapping[str, str]) -> dict[str, set[str]]:
    """Which of them stand in which tables, as they were written or as they are searched."""
    found: dict[str, set[str]] = {}
    for name, said in dump.items():
        table = name.split("_index")[0]
        for place, one in people.items():
            if one in said or one.replace("@", " ").replace(".", " ") in said:
                found.setdefault(table, set()).add(place)
    return found


async def test_people_stand_where_a_contract_lets_them_and_nowhere_once_erased(
    make_plane: Callable[..., Plane], upstream: Upstream, provider: Provider, database_url: str
) -> None:
    plane = make_plane(database=None if database_url.startswith("sqlite") else database_url)
    documents = [
        one.replace("base_url:", "terms: {retention: zero}\n  base_url:")
        for one in world(
            upstream=upstream_document(url=upstream.url),
            agent=contract("open"),
            provider_url=provider.url,
        )
    ]
    coding = (
        f"tool: {{name: {tool}, does: Runs., access: write, risk: low, data: {{in: [email]}}}}"
        for tool in CODING
    )
    contracts = (contract(name) for name in CONTRACTS if name != "open")
    hook = {"name": "ops", "url": "http://127.0.0.1:9/hook", "signing": "ed25519"}
    documents.append(json.dumps({"webhook": hook}))
    plane.apply(*documents, *contracts, *coding, tools(), policy__cedar=POLICY)
    everybody: dict[str, Planted] = {}
    for name in CONTRACTS:
        planted = everybody[name] = Planted()
        run = plane.enrol(name).open_run(
            f"write to {planted.person('goal')}",
            **({"on_behalf_of": f"user/{planted.person('behalf')}"} if name != "open" else {}),
            business_object={"kind": "customer", "id": planted.person("object")},
        )
        for way in WAYS:
            await way(Ground(plane, provider, run, planted))

    async def told() -> dict[str, str] | None:
        plane.operator.get("/v1/spans", agent="open", limit=1)
        dump = await tables(plane, database_url)
        there = standing(everybody["open"].people, dump)
        wanted = {"trace_contents": "provider error", "spans": "log session"}
        return dump if all(one in there.get(name, ()) for name, one in wanted.items()) else None

    dump = await eventually_async(told, "what passed is kept")
    for name, planted in everybody.items():
        for table, found in standing(planted.people, dump).items():
            if table in LEFT_OUT:
                continue
            assert table not in NEVER, f"{found} of {name} in {table}"
            if name != "open":
                more = found - MAY_STAND.get(table, set()) - TYPED
                assert not more, f"of {name} in {table}: {more}"
    outside = {path: data for path, data in files(plane).items() if "sqlite3" not in path}
    for planted in everybody.values():
        assert leaks(planted.people, outside) == []

    held = plane.operator.get("/v1/requests", agent="open", state="all")["rows"]
    told_of = {
        f"{name} {row['request']}": digest
        for row in held
        for name, digest in plane.operator.get(f"/v1/requests/{row['request']}").items()
        if "digest" in name and digest
    }
    assert told_of
    strict = everybody["strict"].people
    erased = {**everybody["open"].people}
    erased |= {f"strict {place}": strict[place] for place in (*MAY_STAND["requests"], *TYPED)}
    first, *also = erased.values()
    wanted = {"subject": first, "also": also, "reason": "asked to be forgotten"}
    plane.operator.post("/v1/audit/erasures", wanted)
    assert standing(erased, await tables(plane, database_url)) == {}
    for table, said in (await tables(plane, database_url)).items():
        assert not [name for name, digest in told_of.items() if digest in said], table
    stored = files(plane)
    assert leaks(erased, stored) == []
    verified = plane.operator.get("/v1/audit/verification")
    assert verified["ok"], verified
