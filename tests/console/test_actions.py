"""One registry: what is listed is what works, and nothing else."""

from __future__ import annotations

import pytest

from watchkeeper.console.actions import Action, Registry, key_label
from watchkeeper.core.errors import Invalid


def nothing() -> None:
    """Do nothing."""


def action(name: str, *keys: str, pane: str | None = None, **named: object) -> Action:
    return Action(name, name.rpartition(".")[2], nothing, keys, pane=pane, **named)  # type: ignore[arg-type]


def test_a_key_means_what_the_pane_says() -> None:
    registry = Registry()
    registry.add([action("a.go", "g", pane="a"), action("b.go", "g", pane="b")])
    found = registry.for_key("g", "b", "list")
    assert found is not None
    assert found.id == "b.go"
    assert registry.for_key("g", "c", "list") is None


def test_two_actions_that_meet_cannot_share_a_key() -> None:
    registry = Registry()
    with pytest.raises(Invalid, match="asked for by"):
        registry.add([action("a.go", "g", pane="a"), action("all.go", "g")])


def test_layers_keep_keys_apart() -> None:
    registry = Registry()
    registry.add(
        [action("x.list", "q", layers=("list",)), action("x.detail", "q", layers=("detail",))]
    )
    found = registry.for_key("q", "any", "detail")
    assert found is not None
    assert found.id == "x.detail"


def test_a_person_may_choose_other_keys() -> None:
    registry = Registry({"a.go": ("/", "ctrl+g")})
    registry.add([action("a.go", "g")])
    registry.check_keymap()
    assert registry.for_key("slash", "p", "list") is not None
    assert registry.for_key("g", "p", "list") is None


def test_a_key_map_that_clashes_or_names_nothing_is_an_error() -> None:
    registry = Registry({"a.go": ("k",)})
    with pytest.raises(Invalid, match="the key k"):
        registry.add([action("a.go", "g"), action("a.up", "k")])
    registry = Registry({"a.og": ("x",)})
    registry.add([action("a.go", "g")])
    with pytest.raises(Invalid) as raised:
        registry.check_keymap()
    assert raised.value.remedy == "did you mean a.go?"


def test_commands_are_found_by_id_by_last_part_and_by_beginning() -> None:
    registry = Registry()
    registry.add([action("pane.fleet"), action("pane.budgets"), action("list.filter", "slash")])
    for words in ("pane.fleet", "fleet", "fl", " FLEET "):
        assert registry.for_command(words, "p", "list").id == "pane.fleet"
    with pytest.raises(Invalid) as raised:
        registry.for_command("budgest", "p", "list")
    assert raised.value.remedy == "did you mean budgets?"
    with pytest.raises(Invalid):
        registry.for_command("", "p", "list")


def test_a_taken_id_is_an_error() -> None:
    registry = Registry()
    with pytest.raises(Invalid):
        registry.add([action("a.go"), action("a.go")])


def test_the_key_line_has_its_own_order() -> None:
    registry = Registry()
    registry.add(
        [action("a.two", "b", footer=2), action("a.one", "a", footer=1), action("a.no", "c")]
    )
    assert [found.id for found in registry.footer("p", "list")] == ["a.one", "a.two"]


def test_keys_read_as_people_write_them() -> None:
    labels = [key_label(key) for key in ("ctrl+x", "slash", "question_mark", "pagedown", "a")]
    assert labels == ["^x", "/", "?", "pgdn", "a"]
