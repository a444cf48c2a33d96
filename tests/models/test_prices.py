"""What tokens cost, and that no call passes the bound that is held for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.models.prices import Price, Rates, Tier
from watchkeeper.wire.decisions import Usage

MILLION = 1_000_000


def test_a_call_costs_what_its_tokens_do_rounded_up() -> None:
    price = Price(Rates(150_000, 600_000))
    assert price.cost(Usage(input_tokens=1, output_tokens=0)) == 1
    assert price.cost(Usage(input_tokens=1000, output_tokens=500)) == 450
    assert price.cost(Usage()) == 0


def test_cached_input_has_its_own_prices() -> None:
    price = Price(Rates(3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000))
    used = Usage(
        input_tokens=MILLION,
        cache_read_tokens=600_000,
        cache_write_tokens=300_000,
        cache_write_long_tokens=100_000,
    )
    assert price.cost(used) == 300_000 + 180_000 + 750_000 + 600_000


def test_a_longer_input_has_other_rates_for_all_tokens() -> None:
    price = Price(Rates(1_000_000, 10_000_000), (Tier(200_000, Rates(2_000_000, 15_000_000)),))
    assert price.cost(Usage(input_tokens=200_000, output_tokens=1000)) == 200_000 + 10_000
    assert price.cost(Usage(input_tokens=200_001, output_tokens=1000)) == 400_002 + 15_000


def test_a_batch_has_its_discount() -> None:
    price = Price(Rates(1_000_000, 1_000_000), batch_discount_percent=50)
    used = Usage(input_tokens=3)
    assert price.cost(used) == 3
    assert price.cost(used, batch=True) == 2


def test_the_bound_knows_that_less_input_may_cost_more() -> None:
    price = Price(Rates(3_000_000, 0), (Tier(1000, Rates(1_000_000, 0)),))
    assert price.dearest(1500, 0) == 3000
    assert price.dearest(1000, 0) == 3000
    assert price.dearest(6000, 0) == 6000


micros = st.integers(0, 100_000_000)
rates = st.builds(Rates, micros, micros, st.none() | micros, st.none() | micros, st.none() | micros)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    bounds = sorted(draw(st.sets(st.integers(1, 2_000_000), max_size=4)))
    tiers = tuple(Tier(bound, draw(rates)) for bound in bounds)
    return Price(draw(rates), tiers, draw(st.integers(0, 100)))


@given(prices(), st.booleans(), st.data())
def test_no_call_costs_more_than_the_bound_for_it(
    price: Price, writes: bool, data: st.DataObject
) -> None:
    most_in = data.draw(st.integers(0, 3_000_000))
    most_out = data.draw(st.integers(0, 200_000))
    tokens = st.integers(0, most_in)
    used = Usage(
        input_tokens=data.draw(tokens),
        output_tokens=data.draw(st.integers(0, most_out)),
        cache_read_tokens=data.draw(tokens),
        cache_write_tokens=data.draw(tokens) if writes else 0,
        cache_write_long_tokens=data.draw(tokens) if writes else 0,
    )
    cost = price.cost(used)
    bound = price.dearest(most_in, most_out, writes_cache=writes)
    assert 0 <= price.cost(used, batch=True) <= cost <= bound
    assert bound <= price.dearest(most_in, most_out)


@given(prices(), st.booleans(), st.integers(0, 3_000_000), st.integers(0, 200_000))
def test_some_call_costs_the_bound(price: Price, writes: bool, most_in: int, most_out: int) -> None:
    inputs = [one.above_input_tokens for one in price.tiers if one.above_input_tokens <= most_in]
    costs = []
    for used_in in (*inputs, most_in):
        kept: list[dict[str, int]] = [{}, {"cache_read_tokens": used_in}]
        if writes:
            kept += [
                {"cache_write_tokens": used_in},
                {"cache_write_tokens": used_in, "cache_write_long_tokens": used_in},
            ]
        for one in kept:
            used = Usage(input_tokens=used_in, output_tokens=most_out, **one)
            costs.append(price.cost(used))
    assert max(costs) == price.dearest(most_in, most_out, writes_cache=writes)


def test_what_keeps_nothing_is_not_bound_by_what_keeping_costs() -> None:
    price = Price(Rates(3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000))
    assert price.dearest(1_000_000, 0) == 6_000_000
    assert price.dearest(1_000_000, 0, writes_cache=False) == 3_000_000
