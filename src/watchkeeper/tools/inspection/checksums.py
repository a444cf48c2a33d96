"""Check digits: what tells a number that means something from one that only looks like it."""

from __future__ import annotations

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_ODD = {
    **dict(zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True)),
    **dict(
        zip(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25,
             24, 23),
            strict=True,
        )
    ),
}  # fmt: skip


def luhn(digits: str) -> bool:
    """Payment cards (ISO/IEC 7812-1, annex B)."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if index % 2 else int(digit)
    return total % 10 == 0


def mod_97(account: str) -> bool:
    """IBANs (ISO 13616): letters count from 10, the first four characters go last."""
    turned = account[4:] + account[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def steuer_id(digits: str) -> bool:
    """German tax ids: ISO 7064 MOD 11,10, and one digit of the first ten occurs 2 or 3 times."""
    if digits[0] == "0":
        return False
    counts = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    if counts[-1] not in (2, 3) or counts[-2:].count(counts[-1]) > 1 or counts[-2] > 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def dni(number: str, letter: str) -> bool:
    """Spanish identity numbers, and those of foreigners once their letter is a digit."""
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == letter


def nir(number: str, key: str) -> bool:
    """French social security numbers; the departments of Corsica count as 19 and 18."""
    plain = number.replace("2A", "19").replace("2B", "18")
    return 97 - int(plain) % 97 == int(key)


def codice_fiscale(code: str) -> bool:
    """Italian tax codes: odd places by a table, even ones by value."""
    total = 0
    for index, letter in enumerate(code[:15]):
        total += _ODD[letter] if index % 2 == 0 else int(letter, 36) - (10 * letter.isalpha())
    return chr(ord("A") + total % 26) == code[15]


def ean_13(digits: str) -> bool:
    """Swiss social security numbers end in the check digit of EAN-13."""
    total = sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(digits))
    return total % 10 == 0


def cpf(digits: str) -> bool:
    """Brazilian taxpayer numbers: two check digits modulo 11."""
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(
            int(digit) * (length + 1 - index) for index, digit in enumerate(digits[:length])
        )
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return True
