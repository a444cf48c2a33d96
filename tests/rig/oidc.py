"""An OpenID provider for tests: a real process with keys of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.rig.oidc_server import CLIENT
from tests.rig.process import Child, clean_environment


class Oidc:
    """One provider; the test says how it behaves and reads what it was asked."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        ready = directory / "oidc.json"
        self._child = Child.python(
            "-m",
            "tests.rig.oidc_server",
            *("--directory", str(directory)),
            *("--ready", str(ready)),
            log=directory / "oidc.out",
            env=clean_environment(directory),
        )
        self.url = str(self._child.wait_for_file(ready)["url"])

    def document(self, name: str = "corp", **more: Any) -> str:
        """The `issuer` document that trusts it about people."""
        document = {
            "name": name,
            "issuer": self.url,
            "audience": CLIENT,
            "of": "people",
            "jwks_url": f"{self.url}/jwks",
            "client_id": CLIENT,
            "device_authorization_url": f"{self.url}/device_authorization",
            "token_url": f"{self.url}/token",
            **more,
        }
        return json.dumps({"issuer": document})

    def wish(self, **wishes: Any) -> None:
        """Set how it answers from now on; without arguments, that nobody has confirmed yet."""
        fresh = self.directory / "wishes.json.new"
        fresh.write_text(json.dumps(wishes), encoding="utf-8")
        fresh.replace(self.directory / "wishes.json")

    def confirm(self, **wishes: Any) -> None:
        """Let the person have confirmed; `claims` adds to the ID token's or replaces them."""
        self.wish(error="", **wishes)

    def asked(self, path: str) -> list[dict[str, Any]]:
        """Every question of one kind (`device`, `token`, `jwks`), in order."""
        log = self.directory / "requests.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [entry for line in lines if (entry := json.loads(line))["path"] == path]

    def stop(self) -> None:
        """End the process."""
        self._child.kill()
