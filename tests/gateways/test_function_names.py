"""Tools are listed under names that every model provider takes, and known by contracts' own."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.gateways.ground import Edge
from tests.rig.world import agent_document
from watchkeeper.traces.telemetry.naming import is_same_tool
from watchkeeper.wire.base import NAME
from watchkeeper.wire.function_names import name_functions, with_digest, without_dots

TAKEN = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ALIKE = st.from_regex(r"[ab][ab._]{0,4}", fullmatch=True)
"""So few signs that many of them read the same."""
ANY = st.from_regex(NAME, fullmatch=True)
NAMES = st.sets(ALIKE | ANY, max_size=20)
CLASHING = """
tool:
  name: books_lookup.charge
  upstream: books
  upstream_tool: echo
  does: Repeats.
  access: read
  risk: low
"""


@given(NAMES)
def test_no_two_share_a_name_and_every_name_is_taken(names: set[str]) -> None:
    functions = name_functions(names)
    offered = list(functions.offered.values())
    assert set(functions.offered) == names
    assert len(set(offered)) == len(offered)
    assert all(TAKEN.fullmatch(one) for one in offered)


@given(NAMES)
def test_each_is_understood_under_what_it_is_offered_as_and_its_own_name(names: set[str]) -> None:
    functions = name_functions(names)
    for name in names:
        assert functions.tool(functions.offered[name]) == name
        assert functions.tool(with_digest(name)) == name
        assert functions.tool(name) == name
    assert functions.tool("nobody.knows") == "nobody.knows"


@given(NAMES, NAMES)
def test_a_name_stays_unless_another_comes_that_reads_alike(
    names: set[str], more: set[str]
) -> None:
    before, after = name_functions(names), name_functions(names | more)
    new = {without_dots(one) for one in more - names}
    for name, offered in before.offered.items():
        if without_dots(name) not in new:
            assert after.offered[name] == offered
        # and it never comes to mean another, but one that is spelled so
        assert after.tool(offered) in (name, offered)


@given(NAMES)
def test_what_agents_report_is_found_again(names: set[str]) -> None:
    for name, offered in name_functions(names).offered.items():
        assert is_same_tool(f"mcp__watchkeeper__{offered}", name)


async def test_names_that_read_the_same_are_told_apart(edge: Edge) -> None:
    both = "books.lookup_charge", "books_lookup.charge"
    allowed = ", ".join(f"{{name: {one}}}" for one in both)
    agent = agent_document(tools=["lookup_charge"])
    await edge.apply(agent.replace("{name: books.lookup_charge}", allowed), CLASHING)
    token = await edge.open_run()
    async with edge.mcp(token) as client:
        listed = {one.title: one.name for one in (await client.list_tools()).tools}
        assert listed == {one: with_digest(one) for one in both}
        charge = {"charge_id": "ch_1"}
        for name in (listed[both[0]], both[0]):
            assert (await client.call_tool(name, charge)).structured_content
        assert not (await client.call_tool(listed[both[1]], {"text": "a"})).is_error
        assert (await client.call_tool("books_lookup_charge", charge)).is_error
    permitted = await edge.events("decision.permitted")
    assert {one["name"] for one in permitted} == set(both)
    assert [one["name"] for one in await edge.events("decision.denied")] == ["books_lookup_charge"]


async def test_refusals_are_of_the_contract_s_name(edge: Edge) -> None:
    token = await edge.open_run()
    async with edge.mcp(token) as client:
        assert (await client.call_tool("books_close_account", {})).is_error
    (denied,) = await edge.events("decision.denied")
    assert (denied["name"], denied["rule"]) == ("books.close_account", "contract/clerk/tools")
