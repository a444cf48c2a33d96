"""SPIFFE ids of whoever acts (SPIFFE-ID specification, sections 2 and 3): pure text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from watchkeeper.core.errors import Invalid

Kind = Literal["agent", "run", "person", "workflow"]

LONGEST_ID = 2048
TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
SCHEME = "spiffe://"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts, in one trust domain; `version` only of an agent."""

    trust_domain: str
    kind: Kind
    name: str
    version: int | None = None

    def __str__(self) -> str:
        """Return the SPIFFE id."""
        text = f"{SCHEME}{self.trust_domain}/{self.kind}/{self.name}"
        return text if self.version is None else f"{text}/version/{self.version}"


def spiffe_id(trust_domain: str, kind: Kind, name: str, version: int | None = None) -> str:
    """Return the SPIFFE id of a principal; raise `Invalid` for a name that none can bear."""
    text = str(Principal(trust_domain, kind, name, version))
    split_spiffe_id(text)
    return text


def can_bear(name: str) -> bool:
    """Tell whether a name can stand in a SPIFFE id as it is."""
    return len(name) <= 200 and _SEGMENT.fullmatch(name) is not None and name not in (".", "..")


def split_spiffe_id(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the trust domain and the path's segments of any SPIFFE id.

    Nothing is decoded or normalised: what is not written as the specification has it is
    refused with `Invalid`.
    """
    if len(text) > LONGEST_ID:
        raise _wrong(f"it is longer than {LONGEST_ID} characters")
    if not text.startswith(SCHEME):
        raise _wrong("it does not begin with spiffe://")
    domain, slash, path = text[len(SCHEME) :].partition("/")
    if TRUST_DOMAIN.fullmatch(domain) is None:
        raise _wrong("its trust domain is not of a-z, 0-9, dot, dash and underscore")
    segments = tuple(path.split("/")) if slash else ()
    for segment in segments:
        if _SEGMENT.fullmatch(segment) is None or segment in (".", ".."):
            raise _wrong("a segment of its path is empty, relative or has other characters")
    return domain, segments


def read_principal(text: str, trust_domain: str) -> Principal:
    """Return the principal of this trust domain that an id names; raise `Invalid` otherwise."""
    domain, segments = split_spiffe_id(text)
    if domain != trust_domain:
        raise _wrong(f"its trust domain is not {trust_domain}")
    match segments:
        case ("agent" | "run" | "person" | "workflow" as kind, name):
            return Principal(domain, kind, name)
        case ("agent", name, "version", number) if number.isascii() and number.isdigit():
            if number.startswith("0") or len(number) > 18:
                raise _wrong("its version is not a whole number")
            return Principal(domain, "agent", name, int(number))
    raise _wrong("it names no agent, run, person or workflow")


def _wrong(why: str) -> Invalid:
    return Invalid(
        f"not a SPIFFE id: {why}",
        rule="identity/spiffe-id",
        remedy="write it as spiffe://TRUST-DOMAIN/agent/NAME",
    )
