"""Which targets a call can go to: each requirement in a table, and all of them at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.decide.models.pricing import GovernedTarget
from watchkeeper.models.prices import Price, Rates
from watchkeeper.models.routing import LEAST_OUTPUT, Chosen, Excluded, Needs, choose
from watchkeeper.models.statistics import Standing
from watchkeeper.models.targets import name_of
from watchkeeper.registry.providers import Provider
from watchkeeper.wire.models import Strategy


def target(
    name: str,
    price: int | None = 1,
    *,
    window: int = 128_000,
    most: int | None = None,
    **provider: Any,
) -> GovernedTarget:
    """A target whose input costs so many micro-dollars a token, and its output twice that."""
    document = Provider.model_validate(
        {
            "name": name,
            "base_url": "https://models.example/v1",
            "models": [{"name": "m", "context_window": window, "max_output_tokens": most}],
            **provider,
        }
    )
    cost = None if price is None else Price(Rates(price * 1_000_000, price * 2_000_000))
    return GovernedTarget(document, document.models[0], cost)


def needs(input_tokens: int = 1000, output_tokens: int = 100, **more: Any) -> Needs:
    return Needs(input_tokens, output_tokens, more.pop("likely", input_tokens), **more)


def names(chosen: Chosen[GovernedTarget] | Excluded) -> list[str]:
    assert isinstance(chosen, Chosen), chosen
    return [one.provider.name for one in chosen.targets]


def pick(
    *targets: GovernedTarget,
    strategy: Strategy = "first",
    stands: Mapping[str, Standing] | None = None,
    objective: int | None = None,
    **wanted: Any,
) -> Chosen[GovernedTarget] | Excluded:
    stands = stands or {}
    return choose(
        targets,
        needs(**wanted),
        strategy=strategy,
        standings=lambda provider, model: stands.get(provider, Standing()),
        objective_ms=objective,
    )


@pytest.mark.parametrize(
    ("refused", "wanted", "requirement", "says"),
    [
        (
            target("far", region="us"),
            {"regions": ("eu",)},
            "regions",
            "far/m: it is in region 'us'",
        ),
        (
            target("far", region="eu", terms={"residency": ["eu", "us"]}),
            {"regions": ("eu",)},
            "regions",
            "it is in region 'us'",
        ),
        (
            target("far", terms={"retention": "limited"}),
            {"zero_retention": True},
            "retention",
            "its terms say retention: limited",
        ),
        (
            target("far", protocol="anthropic"),
            {"endpoint": "chat_completions"},
            "endpoint",
            "it does not serve chat_completions",
        ),
        (
            target("far", endpoints=["responses"]),
            {"endpoint": "chat_completions"},
            "endpoint",
            "it does not serve chat_completions",
        ),
        (
            target("far", window=1010),
            {},
            "context_window",
            "the call may hold 1,100 tokens, and the model's window holds 1,010",
        ),
        (target("far", None), {"priced": True}, "price", "nobody knows its price"),
        (target("far", None), {"most_micros": 5000}, "price", "nobody knows its price"),
        (
            target("far", 5),
            {"most_micros": 5000},
            "cost",
            "it may cost $0.00516, and one call may cost $0.005",
        ),
    ],
)
def test_what_fails_a_requirement_is_left_out_and_named(
    refused: GovernedTarget, wanted: dict[str, Any], requirement: str, says: str
) -> None:
    """Alone it refuses the call; beside one that qualifies the call goes there."""
    found = pick(refused, **wanted)
    assert isinstance(found, Excluded)
    assert found.requirement == requirement
    assert says in found.words
    assert found.remedy
    good = target("good", region="eu", terms={"retention": "zero", "residency": ["eu"]})
    both = pick(refused, good, **wanted)
    assert names(both) == ["good"]
    assert isinstance(both, Chosen)
    assert both.words.startswith("far/m passed over: ")


def test_targets_that_fail_for_different_reasons_are_all_named() -> None:
    found = pick(target("a", region="us"), target("b", window=10), regions=("eu",))
    assert isinstance(found, Excluded)
    assert found.requirement == "targets"
    assert "a/m: it is in region 'us'; b/m: the call may hold" in found.words
    assert isinstance(pick(), Excluded)


@pytest.mark.parametrize(
    ("only", "wanted", "output", "why"),
    [
        (target("a", window=1050), {}, 50, "context_window"),
        (target("a", most=64), {}, 64, "max_output_tokens"),
        (target("a"), {"most_micros": 1080}, 40, "cost"),
        (target("a", window=1015), {}, None, "context_window"),
        (target("a"), {"most_micros": 1031}, None, "cost"),
        (target("a", window=1004), {"output_tokens": 4}, 4, ""),
        (target("a"), {"output_tokens": 0}, 0, ""),
    ],
)
def test_as_much_output_as_has_room_is_let_pass(
    only: GovernedTarget, wanted: dict[str, Any], output: int | None, why: str
) -> None:
    found = pick(only, **wanted)
    if output is None:
        assert isinstance(found, Excluded)
        return
    assert isinstance(found, Chosen)
    assert (found.output_tokens, found.lowered_by) == (output, why)


def test_what_has_room_for_all_comes_before_what_would_cut_it_short() -> None:
    found = pick(target("short", most=50), target("long"))
    assert names(found) == ["long"]
    assert isinstance(found, Chosen)
    assert found.output_tokens == 100


def test_no_more_input_counts_than_the_window_holds() -> None:
    found = pick(target("a", window=2000), input_tokens=10**9, likely=100)
    assert isinstance(found, Chosen)
    assert found.cost_micros == 2000 + 200


@pytest.mark.parametrize(
    ("strategy", "objective", "order", "says"),
    [
        ("first", None, ["a", "b", "c", "down"], ""),
        ("cheapest", None, ["c", "b", "a", "down"], "c/m is the cheapest of 4: at most $0.0012"),
        ("cheapest", 500, ["b", "a", "c", "down"], "b/m is the cheapest of 4: at most $0.0024"),
        ("fastest", None, ["b", "a", "c", "down"], "b/m is the fastest of 4: p95 300 ms"),
        ("fastest", 100, ["b", "a", "c", "down"], "b/m is the fastest of 4"),
    ],
)
def test_strategies_order_what_qualifies(
    strategy: Strategy, objective: int | None, order: list[str], says: str
) -> None:
    stands = {
        "a": Standing(latency_p95=400),
        "b": Standing(latency_p95=300),
        "c": Standing(latency_p95=900),
        "down": Standing(down=True, latency_p95=1),
    }
    found = pick(
        target("down", 1),
        target("a", 3),
        target("b", 2),
        target("c", 1),
        strategy=strategy,
        stands=stands,
        objective=objective,
    )
    assert names(found) == order
    assert isinstance(found, Chosen)
    assert says in found.words
    assert "not well now: down/m" in found.words
    assert found.cost_micros == 3600


def test_what_was_not_measured_is_tried_and_an_unknown_price_comes_last() -> None:
    stands = {"a": Standing(latency_p95=1)}
    fastest = pick(target("a"), target("new"), strategy="fastest", stands=stands)
    assert names(fastest) == ["new", "a"]
    assert names(pick(target("x", None), target("a", 9), strategy="cheapest")) == ["a", "x"]


_REGIONS = ("eu", "us", "ap")
_targets = st.lists(
    st.builds(
        lambda n, price, window, most, region, residency, retention, protocol: target(
            f"p{n}",
            price,
            window=window,
            most=most,
            region=region,
            protocol=protocol,
            terms={"residency": residency, "retention": retention},
        ),
        st.integers(0, 999),
        st.none() | st.integers(1, 50),
        st.integers(1, 5000),
        st.none() | st.integers(1, 500),
        st.sampled_from(_REGIONS),
        st.lists(st.sampled_from(_REGIONS), max_size=2),
        st.sampled_from(["zero", "limited", "unknown"]),
        st.sampled_from(["openai", "anthropic"]),
    ),
    max_size=6,
    unique_by=lambda one: one.provider.name,
)
_needs = st.builds(
    Needs,
    st.integers(0, 4000),
    st.integers(0, 1000),
    st.integers(0, 4000),
    st.none() | st.sampled_from(["chat_completions", "messages"]),
    st.lists(st.sampled_from(_REGIONS), max_size=2).map(tuple),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 100_000),
)
_standings = st.dictionaries(
    st.integers(0, 999).map(lambda n: f"p{n}"),
    st.builds(Standing, st.booleans(), st.none() | st.integers(1, 9000)),
)


def meets(one: GovernedTarget, wanted: Needs, output: int) -> bool:
    """Say anew, as the documents do, what a target must be."""
    terms, region = one.provider.terms, one.provider.region
    cost = (
        one.price.dearest(min(wanted.input_tokens, one.model.context_window), output)
        if (one.price)
        else None
    )
    limit = wanted.most_micros
    return (
        (wanted.endpoint is None or one.serves(wanted.endpoint))
        and (not wanted.regions or {region, *terms.residency} <= set(wanted.regions))
        and (not wanted.zero_retention or terms.retention == "zero")
        and (not wanted.priced or cost is not None)
        and (limit is None or (cost is not None and cost <= limit))
        and wanted.likely_input_tokens + output <= one.model.context_window
        and output <= (one.model.max_output_tokens or output)
    )


@given(_targets, _needs, _standings, st.sampled_from(["first", "cheapest", "fastest"]))
def test_every_chosen_target_meets_every_requirement_and_none_is_refused_in_vain(
    targets: list[GovernedTarget],
    wanted: Needs,
    stands: dict[str, Standing],
    strategy: Strategy,
) -> None:
    found = choose(
        targets,
        wanted,
        strategy=strategy,
        standings=lambda provider, model: stands.get(provider, Standing()),
    )
    least = min(LEAST_OUTPUT, wanted.output_tokens)
    if isinstance(found, Excluded):
        assert not any(meets(one, wanted, least) for one in targets)
        return
    assert found.targets
    assert least <= found.output_tokens <= wanted.output_tokens
    assert all(meets(one, wanted, found.output_tokens) for one in found.targets)
    # no target could give more, and all that could give as much are there
    if found.output_tokens < wanted.output_tokens:
        assert found.lowered_by
        assert not any(meets(one, wanted, found.output_tokens + 1) for one in targets)
    as_much = [one for one in targets if meets(one, wanted, found.output_tokens)]
    assert sorted(map(name_of, found.targets)) == sorted(map(name_of, as_much))


@given(_targets, _needs)
def test_the_cheapest_is_minimal_and_the_estimate_covers_the_dearest(
    targets: list[GovernedTarget], wanted: Needs
) -> None:
    found = choose(targets, wanted, strategy="cheapest", standings=lambda *_: Standing())
    if isinstance(found, Excluded):
        return
    costs = [
        one.price.dearest(min(wanted.input_tokens, one.model.context_window), found.output_tokens)
        if one.price
        else None
        for one in found.targets
    ]
    known = [cost for cost in costs if cost is not None]
    assert costs == sorted(known) + [None] * (len(costs) - len(known))
    assert found.cost_micros == max(known, default=0)
