"""JSON Web Tokens that others signed (RFC 7519, 7515, best practice RFC 8725).

Of a header only `alg`, `kid` and `typ` are read. A key is chosen among those that the issuer
declared, for an algorithm that was allowed before the token was seen; nothing in a token says
where keys are found (`jku`, `jwk`, `x5u`, `x5c` are passed over).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchkeeper.core import base64url
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid, Unauthenticated

if TYPE_CHECKING:
    from joserfc.jwk import Key

LONGEST_TOKEN = 16 * 1024
LONGEST_CLAIM = 500
LEEWAY_SECONDS = 30
MOST_KEYS = 64
_KEY_TYPES = {
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
}
_RSA_BITS = (2048, 8192)
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. Times in microseconds."""

    issuer: str
    subject: str
    expires_at: int
    jti: str | None
    all: Mapping[str, Any]
    key: str | None = None
    """The id of the key that signed it, where that has one."""


class UnknownKey(Unauthenticated):
    """No declared key fits the token; the issuer may have rotated its keys."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A declared key and what it may verify."""

    kid: str | None
    algorithms: tuple[str, ...]
    jwk: Mapping[str, Any]


def read_unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return header and claims as they are written, to find whose keys to verify them with.

    Raises `Unauthenticated` for what is no compact JWS of JSON objects.
    """
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise refused("it is too long, or not of ASCII")
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        raise refused("it has not three parts")
    header, claims = (_read_part(part) for part in parts[:2])
    if "crit" in header or "b64" in header:
        raise refused("its header demands extensions")
    return header, claims


def read_keys(jwks: Any) -> tuple[PublicKey, ...]:
    """Read a JWK set (RFC 7517); keys of other uses and kinds are passed over.

    Raises `Invalid` for what is no key set, or one that gives a private or shared key.
    """
    listed = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise Invalid(f"a JWK set is an object with at most {MOST_KEYS} keys")
    found = []
    for jwk in listed:
        if not isinstance(jwk, dict):
            raise Invalid("a key of the JWK set is no object")
        if jwk.get("use", "sig") == "sig" and (key := read_key(jwk)) is not None:
            found.append(key)
    return tuple(found)


def read_key(jwk: Mapping[str, Any]) -> PublicKey | None:
    """Read one public key; None if none of our algorithms is for it.

    Raises `Invalid` if it holds private or shared key material.
    """
    if _PRIVATE & jwk.keys():
        raise Invalid("the key holds a secret part: give the public half only")
    kid, declared = jwk.get("kid"), jwk.get("alg")
    if kid is not None and (not isinstance(kid, str) or len(kid) > LONGEST_CLAIM):
        return None
    algorithms = tuple(
        name
        for name, (kind, curve) in _KEY_TYPES.items()
        if jwk.get("kty") == kind and (curve is None or jwk.get("crv") == curve)
    )
    if declared is not None:
        if not isinstance(declared, str):
            return None
        same = {"EdDSA", "Ed25519"} if declared in ("EdDSA", "Ed25519") else {declared}
        algorithms = tuple(name for name in algorithms if name in same)
    return PublicKey(kid, algorithms, dict(jwk)) if algorithms else None


def verify(
    token: str,
    keys: Sequence[PublicKey],
    *,
    algorithms: Collection[str],
    issuer: str,
    audiences: Collection[str],
    now: int,
    longest_seconds: int | None = None,
) -> Claims:
    """Return the claims of a token that `issuer` signed for one of `audiences`.

    Times may be off by `LEEWAY_SECONDS`. Raises `UnknownKey` if no declared key fits, and
    `Unauthenticated` for anything else that is not as it must be.
    """
    header, claims = read_unverified(token)
    key = _choose(header, keys, algorithms)
    _check_signature(token, key, str(header["alg"]))
    return _check_claims(claims, key.kid, issuer, audiences, now, longest_seconds)


def refused(why: str) -> Unauthenticated:
    """Return the refusal of a token, with why."""
    return Unauthenticated(f"the token is refused: {why}", rule="identity/assertion")


def import_public(key: PublicKey) -> Key:
    """Return a key ready to verify with; raise `Invalid` for one that is malformed or weak."""
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    try:
        imported = import_key({**key.jwk})
        raw: Any = imported.public_key if hasattr(imported, "public_key") else None
    except (JoseError, ValueError, TypeError, KeyError):
        raise Invalid("the key is malformed") from None
    bits = getattr(raw, "key_size", None)
    if key.jwk.get("kty") == "RSA" and (bits is None or not _RSA_BITS[0] <= bits <= _RSA_BITS[1]):
        raise Invalid(f"an RSA key must have {_RSA_BITS[0]} to {_RSA_BITS[1]} bits")
    return imported


def _choose(
    header: Mapping[str, Any], keys: Sequence[PublicKey], algorithms: Collection[str]
) -> PublicKey:
    algorithm, kid = header.get("alg"), header.get("kid")
    allowed = {*algorithms, *(("Ed25519",) if "EdDSA" in algorithms else ())}
    if not isinstance(algorithm, str) or algorithm not in allowed or algorithm not in _KEY_TYPES:
        raise refused("its algorithm is not among those allowed for its issuer")
    if kid is not None and (not isinstance(kid, str) or len(kid) > LONGEST_CLAIM):
        raise refused("its key id is no short text")
    fitting = [key for key in keys if algorithm in key.algorithms]
    if kid is not None:
        fitting = [key for key in fitting if key.kid == kid]
    if len(fitting) != 1:
        raise UnknownKey(
            "the token is refused: "
            + ("no declared key fits it" if not fitting else "several keys fit and it names none"),
            rule="identity/assertion",
        )
    return fitting[0]


def _check_signature(token: str, key: PublicKey, algorithm: str) -> None:
    from joserfc import jws
    from joserfc.errors import JoseError, SecurityWarning

    try:
        with warnings.catch_warnings():
            # RFC 9864 renames EdDSA; everybody still writes the old name
            warnings.simplefilter("ignore", SecurityWarning)
            imported = import_public(key)
            jws.deserialize_compact(token, imported, algorithms=[algorithm])
    except Invalid as error:
        raise refused(error.message) from None
    except (JoseError, ValueError, TypeError):
        raise refused("its signature does not verify") from None


def _check_claims(
    claims: Mapping[str, Any],
    key: str | None,
    issuer: str,
    audiences: Collection[str],
    now: int,
    longest_seconds: int | None,
) -> Claims:
    seconds = now / MICROSECONDS
    if claims.get("iss") != issuer:
        raise refused("it is of another issuer")
    subject, jti, audience = claims.get("sub"), claims.get("jti"), claims.get("aud")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_CLAIM:
        raise refused("its subject is no short text")
    if jti is not None and (not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_CLAIM):
        raise refused("its jti is no short text")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in audiences for one in named[:MOST_KEYS]):
        raise refused("it is for another audience")
    expires, begins, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None or seconds >= expires + LEEWAY_SECONDS:
        raise refused("it has expired" if expires is not None else "it never expires")
    if begins is not None and seconds + LEEWAY_SECONDS < begins:
        raise refused("it is not valid yet")
    if issued is not None and seconds + LEEWAY_SECONDS < issued:
        raise refused("it was issued in the future")
    if longest_seconds is not None and expires > seconds + longest_seconds + LEEWAY_SECONDS:
        raise refused(f"it is valid for longer than {longest_seconds} seconds")
    return Claims(issuer, subject, int(expires * MICROSECONDS), jti, claims, key)


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refused(f"its {name} is no number")
    if not 0 <= value < 1e11:
        raise refused(f"its {name} is out of bounds")
    return float(value)


def _read_part(part: str) -> Mapping[str, Any]:
    try:
        raw = base64url.decode(part)
        value = parse(raw)
    except (Invalid, ValueError):
        raise refused("a part of it is no JSON in base64url") from None
    if not isinstance(value, dict):
        raise refused("a part of it is no object")
    return value
