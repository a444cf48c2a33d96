"""`providers` and `models` against a plane."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.command import on
from tests.rig.plane import Plane
from watchkeeper.cli import exits

DOCUMENTS = """
provider:
  name: main
  base_url: https://api.openai.com/v1
  region: us
  models: [{name: gpt-5}, {name: of-our-own}]
---
model: {name: large, provider: main, provider_model: gpt-5}
---
model:
  name: small
  targets: [{provider: main, model: of-our-own}, {provider: main, model: gpt-5}]
  strategy: cheapest
  escalates_to: large
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("models")).start()
    try:
        running.apply(DOCUMENTS)
        yield running
    finally:
        running.close()


def test_providers_show_what_their_models_cost(plane: Plane) -> None:
    listed = on(plane, "providers").out
    assert "main      unknown" in listed
    assert "openai protocol, region us, retention unknown" in listed
    assert "gpt-5: $1.25 in, $10.00 out per million (genai-prices" in listed
    assert "of-our-own: price unknown" in listed
    (row,) = on(plane, "providers", "--json").json()["rows"]
    assert [one["input_micros"] for one in row["models"]] == [1_250_000, None]


def test_models_are_listed_and_shown(plane: Plane) -> None:
    listed = on(plane, "models", "list").out
    assert "small  main/of-our-own +1" in listed
    shown = on(plane, "models", "show", "small").out
    assert "cheapest" in shown
    assert "leads to  large" in shown
    assert on(plane, "models", "show", "small", "--json").json()["leads_to"] == ["large"]
    missing = on(plane, "models", "show", "huge")
    assert missing.code == exits.NOT_FOUND
    assert "watchkeeper models list" in missing.err


def test_a_plan_warns_of_what_nobody_knows(plane: Plane) -> None:
    warnings = plane.apply(DOCUMENTS)["warnings"]
    assert any("nobody knows what 'of-our-own' of provider 'main' costs" in w for w in warnings)


def test_known_prices_are_found_by_words(plane: Plane) -> None:
    found = on(plane, "models", "prices", "anthropic:", "sonnet-4-5")
    assert "anthropic:claude-sonnet-4-5  $3.00  $15.00  $0.30       $3.75" in found.out
    assert "from 200,000: $6.00 / $22.50" in found.out
    assert "Dollars per million tokens" in found.err
    assert "No price is known" in on(plane, "models", "prices", "no-such-model").out


@pytest.mark.parametrize("command", ["decisions", "spending"])
@pytest.mark.parametrize("dimension", ["model", "provider", "object"])
def test_what_any_one_did_is_picked(plane: Plane, command: str, dimension: str) -> None:
    picked = on(plane, command, "--of", f"{dimension}=small")
    assert picked.code == exits.OK, picked.err


@pytest.mark.parametrize("name", ["nope", "/", "a/b/c"])
def test_what_names_no_breaker_is_said(plane: Plane, name: str) -> None:
    shown = on(plane, "breakers", "show", name)
    assert shown.code == exits.NOT_FOUND
    assert "DOCUMENT/AGENT" in shown.err
