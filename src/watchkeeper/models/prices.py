"""What tokens cost: integer micro-dollars per million, rounded up once for a whole call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from watchkeeper.wire.decisions import Usage

_PER = 1_000_000
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class Rates:
    """Micro-dollars per million tokens of each kind."""

    input: int
    output: int
    cache_read: int | None = None
    """None: input from the provider's cache costs what other input costs."""
    cache_write: int | None = None
    """None: input that the provider keeps costs what other input costs."""
    cache_write_long: int | None = None
    """For what is kept longer than usual (an hour); None: as `cache_write`."""

    @property
    def read(self) -> int:
        """What input costs that comes from the cache."""
        return self.input if self.cache_read is None else self.cache_read

    @property
    def written(self) -> int:
        """What input costs that is kept."""
        return self.input if self.cache_write is None else self.cache_write

    @property
    def written_long(self) -> int:
        """What input costs that is kept for long."""
        return self.written if self.cache_write_long is None else self.cache_write_long

    def most(self, input_tokens: int, output_tokens: int, *, writes_cache: bool) -> int:
        """Return what so much costs at most, in micro-dollars, whatever comes from the cache, and
        with `writes_cache` whatever is kept there.
        """
        dearest = max(self.input, self.read)
        if writes_cache:
            dearest = max(dearest, self.written, self.written_long)
        return -(-(input_tokens * dearest + output_tokens * self.output) // _PER)


@dataclass(frozen=True, slots=True)
class Tier:
    """Other rates for calls of a longer input, for all their tokens."""

    above_input_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Price:
    """What a provider's model costs, as it was known at one time."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    """In rising order of the input above which each counts."""
    batch_discount_percent: int = 0
    source: str = "document"
    """`document`, or the price data that it was found in."""
    version: str = ""

    def rates_for(self, input_tokens: int) -> Rates:
        """Return the rates of a call with so many tokens of input."""
        found = self.rates
        for tier in self.tiers:
            if input_tokens <= tier.above_input_tokens:
                break
            found = tier.rates
        return found

    def cost(self, usage: Usage, *, batch: bool = False) -> int:
        """Return what a call costs that used so much, in micro-dollars."""
        rates = self.rates_for(usage.input_tokens)
        # a provider that reports more cached input than input is not given credit for it
        read = min(usage.cache_read_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - read)
        long = min(usage.cache_write_long_tokens, written)
        exact = (
            (usage.input_tokens - read - written) * rates.input
            + read * rates.read
            + (written - long) * rates.written
            + long * rates.written_long
            + usage.output_tokens * rates.output
        )
        if batch:
            return -(-exact * (_WHOLE - self.batch_discount_percent) // (_PER * _WHOLE))
        return -(-exact // _PER)

    def dearest(self, input_tokens: int, output_tokens: int, *, writes_cache: bool = True) -> int:
        """Return what a call costs at most that uses no more than so much, in micro-dollars;
        without `writes_cache`, one of which the provider keeps nothing for later calls.
        """
        if not self.tiers:
            return self.rates.most(input_tokens, output_tokens, writes_cache=writes_cache)
        return max(
            rates.most(reached, output_tokens, writes_cache=writes_cache)
            for reached, rates in self._reached(input_tokens)
        )

    def _reached(self, input_tokens: int) -> Iterator[tuple[int, Rates]]:
        """Yield the rates that may count for so much input or less, with the most at each."""
        rates = self.rates
        for tier in self.tiers:
            if input_tokens <= tier.above_input_tokens:
                break
            yield tier.above_input_tokens, rates
            rates = tier.rates
        yield input_tokens, rates
