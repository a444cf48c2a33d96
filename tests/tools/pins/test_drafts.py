"""Drafts: they can be applied as they are, and say what a person must still decide."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.pins.ground import definition, listing
from watchkeeper.registry.documents import ToolContract
from watchkeeper.registry.source import read_file
from watchkeeper.tools.pins.drafts import draft, guess, propose_name
from watchkeeper.tools.upstreams.model import ToolDefinition


def drafted(*definitions: ToolDefinition) -> dict[str, ToolContract]:
    text = draft("books", listing(*definitions), {"known"}).yaml
    found = [source.document for source in read_file("draft.yaml", text)]
    return {one.name: one for one in found if isinstance(one, ToolContract)}


def test_a_draft_pins_what_it_was_made_of() -> None:
    refund = definition("create_refund", description="Refund: part or\nall.", annotations={
        "destructiveHint": True})  # fmt: skip
    found = drafted(refund, definition("known"), definition("get_charge"))
    assert set(found) == {"books.create_refund", "books.get_charge"}
    one = found["books.create_refund"]
    assert (one.pin, one.upstream_tool) == (refund.digest, "create_refund")
    assert (one.access, one.risk) == ("write", "high")
    assert (found["books.get_charge"].access, found["books.get_charge"].risk) == ("read", "low")


def test_hints_are_defaults_and_verbs_are_guesses() -> None:
    assert guess(definition("get_charge")) == ("read", "low")
    assert guess(definition("get_charge", annotations={"readOnlyHint": False}))[0] == "write"
    # a server that calls its deletion harmless is not believed
    liar = definition("delete_account", annotations={"readOnlyHint": True})
    assert guess(liar) == ("write", "high")
    assert guess(definition("frobnicate")) == ("write", "medium")


def test_what_cannot_be_drafted_is_told() -> None:
    found = draft("books", listing(definition("crеate"), definition("ok")), ())
    assert found.count == 1
    assert found.left_out[0].startswith("crеate: its name mixes letters")
    assert propose_name("books", "Create Refund!") == "books.create_refund"
    assert propose_name("books", "払い戻し") is None


@given(st.dictionaries(st.text(min_size=1, max_size=40), st.text(max_size=80), max_size=5))
@settings(max_examples=80, deadline=None)
def test_a_draft_of_anything_can_be_applied(tools: dict[str, str]) -> None:
    definitions = [definition(name, description=words) for name, words in tools.items()]
    text = draft("books", listing(*definitions), ()).yaml
    assert text.isascii() or not any(ord(c) < 0x20 and c != "\n" for c in text)
    if text:
        digests = {one.digest for one in definitions}
        for source in read_file("draft.yaml", text):
            assert isinstance(source.document, ToolContract)
            assert source.document.pin in digests
