"""What attackers send instead of a JWT is refused, each for its own reason."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.identity.oauth import public, sign, unsigned
from watchkeeper.core.errors import Invalid, Unauthenticated
from watchkeeper.identity.jwt import LONGEST_TOKEN, Claims, UnknownKey, read_keys, verify

NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://issuer.example", "https://plane.example"
ED, OTHER = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
EC, RSA = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
JWKS = {
    "keys": [
        {**public(ED), "kid": "ed"},
        {**public(EC), "kid": "ec"},
        {**public(RSA), "kid": "rsa"},
        {**public(OTHER), "kid": "enc", "use": "enc"},
        {"kty": "XYZ", "kid": "strange"},
    ]
}


def claims(**changes: Any) -> dict[str, Any]:
    found = {"iss": ISSUER, "sub": "job", "aud": AUDIENCE, "exp": NOW + 60, "iat": NOW} | changes
    return {name: value for name, value in found.items() if value is not None}


def check(token: str, **changes: Any) -> Claims:
    options: dict[str, Any] = {
        "algorithms": ("EdDSA", "ES256", "RS256"),
        "issuer": ISSUER,
        "audiences": (AUDIENCE,),
        "now": NOW * 1_000_000,
    }
    return verify(token, read_keys(JWKS), **(options | changes))


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(ED, "EdDSA", "ed"), (ED, "Ed25519", "ed"), (EC, "ES256", "ec"), (RSA, "RS256", "rsa"),
     (EC, "ES256", None)],
)  # fmt: skip
def test_a_token_of_the_issuer_is_taken(key: Any, algorithm: str, kid: str | None) -> None:
    header = {} if kid is None else {"kid": kid}
    found = check(sign(key, claims(jti="one"), algorithm, **header))
    assert (found.subject, found.jti, found.expires_at) == ("job", "one", (NOW + 60) * 1_000_000)


def hs256_with_the_public_key() -> str:
    signed = unsigned({"alg": "HS256", "kid": "ec"}, claims()).rpartition(".")[0]
    return attach(signed, hmac.digest(EC.as_pem(private=False), signed.encode(), "sha256"))


def attach(signed: str, signature: bytes) -> str:
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def tampered() -> str:
    head, _, tail = sign(ED, claims(), kid="ed").split(".")
    body = unsigned({}, claims(sub="root")).split(".")[1]
    return f"{head}.{body}.{tail}"


@pytest.mark.parametrize(
    "token",
    [
        unsigned({"alg": "none"}, claims()),
        unsigned({"alg": "none", "kid": "ed"}, claims(), b"x"),
        unsigned({"alg": "None", "kid": "ed"}, claims(), b"x"),
        unsigned({"alg": "EdDSA", "kid": "ed"}, claims(), b"\0" * 64),
        unsigned({"kid": "ed"}, claims(), b"x"),
        unsigned({"alg": ["EdDSA"], "kid": "ed"}, claims(), b"x"),
        hs256_with_the_public_key(),
        tampered(),
        sign(ED, claims(), kid="ed") + "=",
        sign(ED, claims(), kid="ed").replace(".", "..", 1),
        sign(ED, claims(), kid="ed").rpartition(".")[0],
        sign(ED, claims(), kid="ed").rpartition(".")[0] + ".",
        sign(OTHER, claims(), kid="ed"),
        sign(ED, claims(), kid="rsa"),
        sign(EC, claims(), "ES256", kid="ed"),
        sign(RSA, claims(), "PS256", kid="rsa"),
        sign(ED, claims(exp=NOW - 31), kid="ed"),
        sign(ED, claims(exp=None), kid="ed"),
        sign(ED, claims(exp=True), kid="ed"),
        sign(ED, claims(exp=1e300), kid="ed"),
        sign(ED, claims(nbf=NOW + 31), kid="ed"),
        sign(ED, claims(iat=NOW + 31), kid="ed"),
        sign(ED, claims(aud="https://elsewhere.example"), kid="ed"),
        sign(ED, claims(aud=None), kid="ed"),
        sign(ED, claims(aud=[]), kid="ed"),
        sign(ED, claims(aud={"x": AUDIENCE}), kid="ed"),
        sign(ED, claims(iss=ISSUER + "/"), kid="ed"),
        sign(ED, claims(sub=None), kid="ed"),
        sign(ED, claims(sub="x" * 501), kid="ed"),
        sign(ED, claims(jti=7), kid="ed"),
        unsigned({"alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": False}, claims(), b"x"),
        "a" * (LONGEST_TOKEN + 1),
        "ä.b.c",
        "",
        "..",
        "e30.e30.e30.e30.e30",
        unsigned({"alg": "EdDSA", "kid": "ed"}, claims()).replace("e", "\n", 1),
    ],
    ids=lambda token: token[:20] or "empty",
)
def test_what_is_not_as_it_must_be_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        check(token)
    assert "eyJ" not in caught.value.message, "nothing of a token is repeated"


def test_duplicate_claims_are_no_json() -> None:
    head, _, tail = sign(ED, claims(), kid="ed").split(".")
    body = base64.urlsafe_b64encode(b'{"sub":"a","sub":"b"}').rstrip(b"=").decode()
    with pytest.raises(Unauthenticated):
        check(f"{head}.{body}.{tail}")


def test_a_token_says_nothing_of_where_keys_are() -> None:
    """An attacker's key in the header, or a URL to it, is not looked at."""
    for header in (
        {"jwk": public(OTHER)},
        {"jku": "http://attacker.example/jwks"},
        {"x5u": "http://attacker.example/cert"},
        {"kid": "../../../dev/null"},
        {"kid": "' OR 1=1"},
    ):
        part = {"alg": "EdDSA", "kid": "ed"} | header
        signed = unsigned(part, claims()).rpartition(".")[0]
        raw = OTHER.private_key.sign(signed.encode())  # type: ignore[union-attr]
        with pytest.raises(Unauthenticated):
            check(attach(signed, raw))


def test_an_unknown_key_is_told_apart() -> None:
    with pytest.raises(UnknownKey):
        check(sign(ED, claims(), kid="rotated"))
    with pytest.raises(UnknownKey):
        check(sign(OTHER, claims(), kid="enc"))


def test_times_may_be_off_a_little() -> None:
    check(sign(ED, claims(exp=NOW - 29), kid="ed"))
    check(sign(ED, claims(nbf=NOW + 29, iat=NOW + 29), kid="ed"))
    long_lived = sign(ED, claims(exp=NOW + 331), kid="ed")
    check(long_lived)
    with pytest.raises(Unauthenticated):
        check(long_lived, longest_seconds=300)


def test_only_allowed_algorithms_count() -> None:
    with pytest.raises(Unauthenticated):
        check(sign(RSA, claims(), "RS256", kid="rsa"), algorithms=("EdDSA",))


@pytest.mark.parametrize(
    "jwks",
    [
        None,
        [],
        {},
        {"keys": "x"},
        {"keys": [1]},
        {"keys": [{**public(ED), "d": "secret"}]},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
        {"keys": [public(ED)] * 65},
    ],
)
def test_what_is_no_set_of_public_keys_is_refused(jwks: Any) -> None:
    with pytest.raises(Invalid):
        read_keys(jwks)


def test_a_weak_or_malformed_key_verifies_nothing() -> None:
    modulus = base64.urlsafe_b64encode(b"\xff" * 128).decode()
    for jwk in (
        {"kty": "RSA", "n": modulus, "e": "AQAB", "kid": "k"},
        {"kty": "RSA", "n": "AA", "e": "AQAB", "kid": "k"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "k"},
    ):
        algorithm = "RS256" if jwk["kty"] == "RSA" else "EdDSA"
        token = unsigned({"alg": algorithm, "kid": "k"}, claims(), b"x" * 64)
        with pytest.raises(Unauthenticated):
            verify(
                token,
                read_keys(json.loads(json.dumps({"keys": [jwk]}))),
                algorithms=("RS256", "EdDSA"),
                issuer=ISSUER,
                audiences=(AUDIENCE,),
                now=NOW * 1_000_000,
            )


@pytest.mark.parametrize("declared", [[], {}, 1, "none", "HS256", ""])
def test_a_key_for_no_algorithm_of_ours_is_passed_over(declared: Any) -> None:
    """Whatever an issuer writes there, it is not an error of the plane."""
    assert read_keys({"keys": [{**public(ED), "alg": declared}]}) == ()
