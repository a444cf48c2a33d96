"""What clients learn of the authorization server: its metadata, and the keys of its tokens."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from watchkeeper.api.oauth import ANTHROPIC_PATH, MCP_PATH, MODEL_PATH
from watchkeeper.api.table import Call, Operation
from watchkeeper.identity import signing
from watchkeeper.identity.details import DETAIL_TYPE
from watchkeeper.wire.oauth import CLIENT_CREDENTIALS, TOKEN_EXCHANGE

_PROTECTED = "/.well-known/oauth-protected-resource"


async def server_metadata(call: Call) -> Response:
    """Describe the authorization server (RFC 8414)."""
    http = call.rooms.http
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    return JSONResponse(
        {
            "issuer": http,
            "token_endpoint": f"{http}/oauth/token",
            "introspection_endpoint": f"{http}/oauth/introspect",
            "revocation_endpoint": f"{http}/oauth/revoke",
            "jwks_uri": f"{http}/.well-known/jwks.json",
            "response_types_supported": [],
            "grant_types_supported": [CLIENT_CREDENTIALS, TOKEN_EXCHANGE],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256"],
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_methods_supported": methods,
            "authorization_details_types_supported": [DETAIL_TYPE],
            "scopes_supported": ["class:read", "class:write"],
            "service_documentation": f"{http}/v1/openapi.json",
        }
    )


async def resource_metadata(call: Call) -> Response:
    """Describe a protected resource and who issues its tokens (RFC 9728)."""
    http = call.rooms.http
    path = call.request.url.path.removeprefix("/.well-known/oauth-protected-resource")
    shown: dict[str, Any] = {
        "resource": f"{http}{path}",
        "authorization_servers": [http],
        "jwks_uri": f"{http}/.well-known/jwks.json",
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["class:read", "class:write"],
        "authorization_details_types_supported": [DETAIL_TYPE],
        "resource_name": "Watchkeeper",
    }
    return JSONResponse(shown)


async def key_set(call: Call) -> Response:
    """Publish the keys that the plane's tokens are verified with (RFC 7517)."""
    await call.rooms.tokens.signing.ready()
    found = await call.rooms.store.read(signing.jwks)
    headers = {"cache-control": "public, max-age=300"}
    return JSONResponse(found, headers=headers, media_type="application/jwk-set+json")


OPERATIONS = (
    Operation(
        "GET",
        "/.well-known/oauth-authorization-server",
        "anyone",
        server_metadata,
        "The authorization server's metadata (RFC 8414).",
        tags=("oauth",),
    ),
    *(
        Operation(
            "GET",
            f"{_PROTECTED}{path}",
            "anyone",
            resource_metadata,
            "A protected resource's metadata (RFC 9728).",
            tags=("oauth",),
        )
        for path in ("", MCP_PATH, MODEL_PATH, ANTHROPIC_PATH)
    ),
    *(
        Operation(
            "GET",
            path,
            "anyone",
            key_set,
            "The keys that the plane's tokens are verified with (RFC 7517).",
            tags=("oauth",),
        )
        for path in ("/.well-known/jwks.json", "/oauth/jwks")
    ),
)
