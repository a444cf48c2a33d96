"""What a field is called says what it holds, where the value alone would not."""

from __future__ import annotations

from functools import lru_cache

from watchkeeper.tools.inspection.secrets import looks_random
from watchkeeper.wire.data import DataClass

_CLASSES: dict[str, DataClass] = {
    **dict.fromkeys(
        ("password", "passwd", "passphrase", "api_key", "apikey", "secret_key", "client_secret",
         "private_key", "access_token", "refresh_token", "aws_secret_access_key",
         "secret_access_key", "auth_token", "bearer_token"),
        "secret",
    ),
    **dict.fromkeys(
        ("ssn", "social_security_number", "national_id", "tax_id", "steuer_id", "nino", "dni"),
        "national-id",
    ),
    **dict.fromkeys(
        ("phone", "phone_number", "telephone", "mobile", "mobile_number", "mobile_phone"), "phone"
    ),
}  # fmt: skip
_PHONE_SIGNS = frozenset("0123456789 +-().,/x")
_LONGEST = 200


@lru_cache(4096)
def class_of(name: str) -> DataClass | None:
    """Return the class that a field of this name holds, if its name tells."""
    return _CLASSES.get(name.lower().replace("-", "_").replace(" ", "_"))


def is_one(value: str, data_class: DataClass) -> bool:
    """Whether a value may be what its field's name says, and no note, marker or placeholder."""
    if data_class == "secret":
        return (
            6 <= len(value) <= 10_000 and not any(map(str.isspace, value)) and looks_random(value)
        )
    digits = sum(map(str.isdigit, value))
    if data_class == "phone":
        return 7 <= digits <= 15 and _PHONE_SIGNS.issuperset(value)
    return 7 <= digits <= 15 and len(value) <= 20


def may_be_named(name: str) -> bool:
    """Whether a field's name is short enough to be looked up."""
    return len(name) <= _LONGEST
