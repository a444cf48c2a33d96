"""A small OpenID provider for tests: device logins (RFC 8628), real keys, real HTTP.

What it does next is in a control file that the test writes; every question is a line in a log.
"""

from __future__ import annotations

import argparse
import json
import socket
import time
from pathlib import Path
from typing import Any

CLIENT = "watchkeeper-plane"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Issuer:
    """The provider's keys, and the test's wishes."""

    def __init__(self, directory: Path) -> None:
        from joserfc.jwk import OKPKey, RSAKey

        self.directory = directory
        self.url = ""
        self.keys: dict[str, Any] = {
            "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"}),
            "RS256": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}),
        }
        self.stranger = OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"})
        self.codes = 0

    def wishes(self) -> dict[str, Any]:
        """What the test wants now."""
        try:
            found: dict[str, Any] = json.loads((self.directory / "wishes.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def log(self, entry: dict[str, Any]) -> None:
        """Write one question down."""
        with (self.directory / "requests.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def jwks(self) -> dict[str, Any]:
        """The public keys."""
        return {"keys": [key.as_dict(private=False) for key in self.keys.values()]}

    def id_token(self, wishes: dict[str, Any]) -> str:
        """Sign the claims that the test wants."""
        import warnings

        from joserfc import jwt

        algorithm = wishes.get("alg", "EdDSA")
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "subject-of-grace",
            "iat": now,
            "exp": now + 86_400,  # planes of tests run ahead
            **wishes.get("claims", {}),
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        key: Any = self.stranger if wishes.get("stranger") else self.keys[algorithm]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = {"alg": algorithm, "kid": key.kid}
            return jwt.encode(header, claims, key, algorithms=[algorithm])


def build_app(issuer: Issuer) -> Any:
    """Return the ASGI app."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def keys(request: Request) -> Response:
        issuer.log({"path": "jwks"})
        return JSONResponse(issuer.jwks())

    async def device(request: Request) -> Response:
        form = dict(await request.form())
        issuer.log({"path": "device", **form})
        wishes = issuer.wishes()
        if "device" in wishes:
            return JSONResponse(wishes["device"], wishes.get("device_status", 200))
        issuer.codes += 1
        return JSONResponse(
            {
                "device_code": f"secret-device-code-{issuer.codes}",
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{issuer.url}/device",
                "verification_uri_complete": f"{issuer.url}/device?user_code=WDJB-MJHT",
                "expires_in": 600,
                "interval": wishes.get("interval", 5),
            }
        )

    async def token(request: Request) -> Response:
        form = dict(await request.form())
        issuer.log({"path": "token", **form})
        wishes = issuer.wishes()
        if form.get("grant_type") != GRANT or form.get("client_id") != CLIENT:
            return JSONResponse({"error": "invalid_request"}, 400)
        error = wishes.get("error", "authorization_pending" if not wishes else None)
        if error:
            return JSONResponse({"error": error}, 400)
        answer: dict[str, Any] = {"access_token": "unused", "token_type": "Bearer"}
        if not wishes.get("no_id_token"):
            answer["id_token"] = issuer.id_token(wishes)
        return JSONResponse(answer)

    return Starlette(
        routes=[
            Route("/jwks", keys),
            Route("/device_authorization", device, methods=["POST"]),
            Route("/token", token, methods=["POST"]),
        ]
    )


def main() -> None:
    """Serve until killed; says where in a file."""
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--ready", type=Path, required=True)
    options = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", 0))
    issuer = Issuer(options.directory)
    issuer.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(build_app(issuer), log_level="warning", lifespan="off"))
    options.ready.write_text(json.dumps({"url": issuer.url}))
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
