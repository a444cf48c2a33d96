"""Made-up people and secrets, from a seed: every one is what its class says, none is anybody's."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from watchkeeper.tools.inspection import checksums
from watchkeeper.wire.data import DataClass

_UPPER_DIGITS = string.ascii_uppercase + string.digits
_BASE64URL = string.ascii_letters + string.digits + "-_"


def made(seed: int, count: int) -> list[tuple[DataClass, str]]:
    """Return values with their classes, `count` of each maker."""
    chance = random.Random(seed)
    return [
        (data_class, maker(chance))
        for data_class, makers in MAKERS.items()
        for maker in makers
        for _ in range(count)
    ]


def _digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(string.digits, k=count))


def _some(chance: random.Random, letters: str, count: int) -> str:
    return "".join(chance.choices(letters, k=count))


def card(chance: random.Random) -> str:
    prefix, length = chance.choice((("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16)))
    stem = prefix + _digits(chance, length - len(prefix) - 1)
    whole = next(stem + last for last in string.digits if checksums.luhn(stem + last))
    if length == 15:
        return chance.choice((whole, f"{whole[:4]} {whole[4:10]} {whole[10:]}"))
    groups = [whole[at : at + 4] for at in range(0, 16, 4)]
    return chance.choice(("", " ", "-")).join(groups)


def iban(chance: random.Random) -> str:
    country, length = chance.choice((("DE", 22), ("FR", 27), ("ES", 24), ("CH", 21)))
    stem = _digits(chance, length - 4)
    number = int("".join(str(int(letter, 36)) for letter in stem + country + "00"))
    whole = f"{country}{98 - number % 97:02d}{stem}"
    return chance.choice((whole, " ".join(whole[at : at + 4] for at in range(0, length, 4))))


def ssn(chance: random.Random) -> str:
    return f"{chance.randint(1, 665):03d}-{chance.randint(1, 99):02d}-{chance.randint(1, 9999):04d}"


def steuer_id(chance: random.Random) -> str:
    while True:
        stem = _digits(chance, 10)
        for last in string.digits:
            if checksums.steuer_id(stem + last):
                return stem + last


def dni(chance: random.Random) -> str:
    number = _digits(chance, 8)
    return number + "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]


def nir(chance: random.Random) -> str:
    department = f"{chance.randint(1, 95):02d}"
    stem = (
        f"{chance.randint(1, 2)}{_digits(chance, 2)}{chance.randint(1, 12):02d}{department}"
        f"{_digits(chance, 6)}"
    )
    return f"{stem}{97 - int(stem) % 97:02d}"


def nino(chance: random.Random) -> str:
    return f"{chance.choice(('AB', 'CE', 'JG'))}{_digits(chance, 6)}{chance.choice('ABCD')}"


def email(chance: random.Random) -> str:
    name = _some(chance, string.ascii_lowercase, 6)
    tag = chance.choice(("", "+shop", ".b", "_x"))
    return f"{name}{tag}@{chance.choice(('example.com', 'mail.example.org', 'example.co.uk'))}"


def phone(chance: random.Random) -> str:
    return chance.choice(
        (
            f"+49 30 {_digits(chance, 6)}",
            f"+4420{_digits(chance, 8)}",
            f"+1 (415) 555-{_digits(chance, 4)}",
            f"(212) 555-{_digits(chance, 4)}",
            f"212-555-{_digits(chance, 4)}",
        )
    )


def token(chance: random.Random) -> str:
    letters = string.ascii_letters + string.digits
    return chance.choice(
        (
            f"wkr_{_some(chance, _BASE64URL, 42)}A",
            f"AKIA{_some(chance, string.ascii_uppercase + '234567', 16)}",
            f"ghp_{_some(chance, letters, 36)}",
            f"glpat-{_some(chance, letters, 20)}",
            f"xoxb-{_digits(chance, 12)}-{_some(chance, letters, 24)}",
            f"sk_live_{_some(chance, letters, 24)}",
            f"sk-proj-{_some(chance, letters, 30)}A1",
            f"AIza{_some(chance, letters, 35)}",
            f"npm_{_some(chance, letters, 36)}",
            f"hvs.{_some(chance, letters, 24)}",
            f"eyJ{_some(chance, letters, 20)}.eyJ{_some(chance, letters, 40)}."
            f"{_some(chance, letters, 43)}",
            f"postgres://app:{_some(chance, letters, 12)}@db.internal/app",
            f"password: {_some(chance, letters, 10)}a1",
            f"Authorization: Bearer {_some(chance, letters, 30)}1",
            f"-----BEGIN PRIVATE KEY-----\n{_some(chance, letters, 64)}\n-----END PRIVATE KEY-----",
        )
    )


MAKERS: dict[DataClass, tuple[Callable[[random.Random], str], ...]] = {
    "secret": (token,),
    "card": (card,),
    "iban": (iban,),
    "national-id": (ssn, steuer_id, dni, nir, nino),
    "email": (email,),
    "phone": (phone,),
}
PROSE = """
The customer wrote on Tuesday 2026-11-17 at 14:56:52 that order 88123-4471 never arrived, and asks
for $1,250.00 back on invoice INV-2026-000417 (charge ch_3Nx8Yz2eZvKYlo2C, request
req_01jd3kq8w2m4v9x7c5b1n6t0ra). See RFC 8693, section 2.1, ISO 13616, ticket #4411 and
https://example.com/a/b?c=1&page=2. Version 1.25.0-rc.1 on 10.0.0.12:8443 took 0.4539578763621486 s
for 1,234,567 rows; commit 8ec1f0a2b3c4d5e6f708192a3b4c5d6e7f809010, digest
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, UUID
550e8400-e29b-41d4-a716-446655440000, at 1763736628000000 (1763736628). Call it a day: the password
is kept in the vault, tokens are never logged, and the secret of it is that there is none. Bearer
tokens expire. ETA 12:30-14:00, size 1920x1080, coordinates 52.5200, 13.4050, SKU 0012-3456-78,
tracking 1Z999AA10123456784, ISBN 978-3-16-148410-0, git@ and @mention and a @ b, 3/4 cups,
2026-11-21T14:56:52.123456Z, +02:00, pages 100-200, room 404, iso-8859-1, utf-8, GB 12 and DE 20.
api_key: env:PAYMENTS_TOKEN, token: string, password: required, secret: sealed:payments
"""
