"""How the plane asks issuers: for their keys, and whether a person has confirmed a login."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchkeeper.core.clock import Clock
from watchkeeper.identity.devices import DeviceLogins
from watchkeeper.identity.issuers import Issuers
from watchkeeper.tools.upstreams.egress import Egress, ask_json, fetch_json


def open_issuers(egress: Egress, clock: Clock) -> Issuers:
    """Return the trusted issuers, whose keys come over the checked way out."""

    async def fetch(url: str, allow_private: bool) -> Any:
        return await fetch_json(egress, url, allow_private=allow_private)

    return Issuers(clock, fetch)


def open_device_logins(egress: Egress, clock: Clock, issuers: Issuers) -> DeviceLogins:
    """Return the logins by device, which ask issuers over the checked way out."""

    async def ask(url: str, form: Mapping[str, str], allow_private: bool) -> tuple[int, Any]:
        found = await ask_json(egress, url, method="POST", form=form, allow_private=allow_private)
        return found.status, found.value

    return DeviceLogins(clock, issuers, ask)
