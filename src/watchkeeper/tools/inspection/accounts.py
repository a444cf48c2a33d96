"""Names of people and accounts that have letters: bank accounts, tax codes, mail addresses."""

from __future__ import annotations

import re

from watchkeeper.tools.inspection import checksums
from watchkeeper.tools.inspection.model import Finding, Spans, TooLarge

# the second character is looked back from: a class at the front is what makes a search fast
_HEAD = re.compile(r"[A-Z](?<!\w.)[A-Z](?:[0-9]{2}(?= ?[A-Z0-9])|[A-Z]{4}[0-9A-Z]{2}[A-EHLMPRST])")
_TAX_CODE = re.compile(
    r"[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z](?!\w)"
)
_LENGTHS = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20
EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30
KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24
PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SD18 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29
VA22 VG24 XK20
"""
_IBAN_LENGTHS = {pair[:2]: int(pair[2:]) for pair in _LENGTHS.split()}
"""Length by country (the SWIFT registry of ISO 13616)."""

_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}")
_DOMAIN = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_TOP_LEVEL = re.compile(r"(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})\Z", re.IGNORECASE)
_LONGEST_LOCAL = 64
_MOST_HEADS = 100_000
"""Beginnings of accounts looked at in one text; more are nobody's."""


def find_accounts(text: str) -> Spans:
    """Find IBANs and Italian tax codes."""
    found: Spans = []
    for number, head in enumerate(_HEAD.finditer(text)):
        if number > _MOST_HEADS:
            raise TooLarge("too many beginnings of accounts")
        start = head.start()
        end = _iban_end(text, start)
        if end:
            found.append(Finding("iban", start, end, "mod97"))
            continue
        code = _TAX_CODE.match(text, start)
        if code and checksums.codice_fiscale(code[0]):
            found.append(Finding("national-id", start, code.end(), "it-codice-fiscale"))
    return found


def _iban_end(text: str, start: int) -> int | None:
    """Return where the IBAN that starts here ends, in groups or in one."""
    length = _IBAN_LENGTHS.get(text[start : start + 2])
    if length is None:
        return None
    letters: list[str] = []
    at = start
    while len(letters) < length:
        letter = text[at : at + 1]
        if letter.isascii() and (letter.isdigit() or letter.isupper()):
            letters.append(letter)
        elif letter != " " or text[at - 1] == " ":
            return None
        at += 1
    if text[at : at + 1].isalnum() or not checksums.mod_97("".join(letters)):
        return None
    return at


def find_addresses(text: str) -> Spans:
    """Find e-mail addresses."""
    found: Spans = []
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.match(text[max(0, at - _LONGEST_LOCAL) : at][::-1])
        domain = _DOMAIN.match(text, at + 1) if local else None
        if local and domain:
            end = domain.end()
            name = domain[0]
            # what follows a full stop without a space is not always a top-level domain
            while "." in name and not _TOP_LEVEL.search(name.rpartition(".")[2].rstrip("-_")):
                name = name.rpartition(".")[0]
            name = name.rstrip("-_")
            end = at + 1 + len(name)
            if "." in name:
                found.append(Finding("email", at - len(local[0]), end, "address"))
        at = text.find("@", at + 1)
    return found
