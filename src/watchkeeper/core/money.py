"""Money: integer micro-dollars (1 USD = 1,000,000)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from watchkeeper.core.errors import Invalid

MICROS = 1_000_000
LARGEST_MICROS = 10**15  # a billion dollars; far below what a 64-bit column holds
_DECIMALS = 6
_LONGEST = 60
_AMOUNT = re.compile(
    r"(?P<sign>[+-]?)\$?(?P<whole>[0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.(?P<decimals>[0-9]*))?"
)


def micros_from_text(text: str) -> int:
    """Read dollars such as ``"0.75"``, ``"$1,200"`` or ``"-3"`` as micro-dollars.

    Raises :class:`Invalid` if it is no plain decimal number, is finer than a
    micro-dollar, or is beyond a billion dollars.
    """
    parts = _AMOUNT.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if parts is None:
        raise Invalid(f"not an amount of dollars: {text!r:.60}", remedy='write it as "0.75"')
    decimals = (parts["decimals"] or "").rstrip("0")
    if len(decimals) > _DECIMALS:
        raise Invalid(f"finer than a micro-dollar: {text!r:.60}", remedy="use six decimals or less")
    micros = int(parts["whole"].replace(",", "")) * MICROS + int(decimals.ljust(_DECIMALS, "0"))
    if micros > LARGEST_MICROS:
        raise Invalid(f"amount beyond a billion dollars: {text!r:.60}")
    return -micros if parts["sign"] == "-" else micros


def micros_from_number(value: Any) -> int:
    """Read a number of dollars from JSON or YAML (int, float or text) as micro-dollars.

    A float counts as the decimal that it is written as (``0.1`` is ten cents), rounded
    up to a micro-dollar so that an amount is never taken for less than it is.
    Raises :class:`Invalid` for anything else, booleans included.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Invalid(f"not an amount of dollars: {value!r:.60}")
    if isinstance(value, float):
        amount = Decimal(repr(value))
        if not amount.is_finite() or abs(amount) > LARGEST_MICROS // MICROS:
            raise Invalid(f"not an amount of dollars: {value!r:.60}")
        return int((amount * MICROS).to_integral_value(rounding="ROUND_CEILING"))
    if isinstance(value, int):
        if abs(value) > LARGEST_MICROS // MICROS:
            raise Invalid("amount beyond a billion dollars")
        return value * MICROS
    return micros_from_text(value)


def dollars(micros: int) -> str:
    """Write micro-dollars as ``$0.75``: two decimals, more only if they are not zero."""
    whole, rest = divmod(abs(micros), MICROS)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}${whole:,}.{decimals}"
