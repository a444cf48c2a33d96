"""An OAuth client of the plane, and JWTs that others sign."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.rig.plane import Plane

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Key = OKPKey | ECKey | RSAKey


def sign(key: Key, claims: dict[str, Any], algorithm: str = "EdDSA", **header: Any) -> str:
    """Sign claims as an issuer or workload would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.encode({"alg": algorithm, **header}, claims, key, algorithms=[algorithm])


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A JWT put together by hand."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def seconds(plane: Plane) -> int:
    """The plane's clock, in seconds."""
    return int(plane.operator.get("/v1/status")["now"] // 1_000_000)


def ask(plane: Plane, auth: tuple[str, str] | None = None, **form: Any) -> httpx.Response:
    """Send one form to the token endpoint."""
    data = {k: v for k, v in form.items() if v is not None}
    http = plane.caller().http
    return http.post("/oauth/token", data=data, auth=httpx.BasicAuth(*auth) if auth else None)  # type: ignore[arg-type]


def exchange(plane: Plane, subject: str, kind: str = ACCESS, **form: Any) -> httpx.Response:
    """Exchange a subject token."""
    details = form.pop("details", None)
    if details is not None:
        form["authorization_details"] = json.dumps(details)
    return ask(plane, grant_type=EXCHANGE, subject_token=subject, subject_token_type=kind, **form)


def given(answer: httpx.Response) -> dict[str, Any]:
    """The token answer; the plane must have given one."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def refused(answer: httpx.Response, error: str, status: int = 400) -> dict[str, Any]:
    """The refusal, in OAuth's shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    assert found["error"] == error, found
    assert '"' not in found["error_description"]
    return found


def public(key: Key) -> dict[str, Any]:
    """The public half, as a workload sends it."""
    return dict(key.as_dict(private=False))
