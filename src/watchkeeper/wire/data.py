"""Classes of data that the plane tells apart in what passes its boundary."""

from __future__ import annotations

from typing import Literal, get_args

DataClass = Literal["secret", "card", "iban", "national-id", "email", "phone"]
DATA_CLASSES: tuple[DataClass, ...] = get_args(DataClass)
"""Every class, what harms most first."""

RedactionLevel = Literal["off", "standard", "strict"]
"""How much personal data is kept from an agent and from the record of its work."""
