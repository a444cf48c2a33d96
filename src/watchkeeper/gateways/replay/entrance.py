"""Where a replay's token leads: to what plays its recording, at the addresses of the gateways."""

from __future__ import annotations

from typing import Any

from watchkeeper.gateways.http import AsgiApp
from watchkeeper.gateways.replay.playbacks import PREFIX

_MARK = f"{PREFIX}_".encode()
_TOKENS = frozenset({b"authorization", b"x-api-key"})


def by_token(real: AsgiApp, played: AsgiApp) -> AsgiApp:
    """Return an app that has calls with a replay's token answered by `played`.

    A token that is none, sent there, opens nothing; neither does one of a replay sent elsewhere.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        plays = any(_MARK in value for name, value in scope["headers"] if name in _TOKENS)
        await (played if plays else real)(scope, receive, send)

    return app
