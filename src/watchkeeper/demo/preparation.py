"""What an operator does before a fleet can work: apply its contracts and enrol its agents."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from watchkeeper.client.address import Address
from watchkeeper.client.api import PlaneClient
from watchkeeper.core.errors import Unavailable
from watchkeeper.demo.credentials import FOLDER, credential_path
from watchkeeper.demo.sample import fleet_files
from watchkeeper.demo.settings import FleetSettings
from watchkeeper.wire.agents import Enrol
from watchkeeper.wire.plane import Apply, File

PORTS = {"models": 8760, "payments": 8761, "tickets": 8762, "cloud": 8763, "catalogue": 8764}
"""The addresses that the sample documents name; a fleet puts the real ones in their place."""
STDIO_COMMAND = "[python3, -m, watchkeeper.demo, documents, demo]"
ENROLMENT_SECONDS = 3600
LEAST_SECONDS = {"sla": 5, "after": 1, "remind": 1, "hold": 1, "cool": 10}
POLL_SECONDS = 0.05

_DELAY = re.compile(
    r"\b((sla|hold|after)_seconds|(remind)_every_seconds|(cool)_down_seconds): ([1-9]\d*)"
)
_SLA = re.compile(r'@sla\("(\d+)s"\)')


def documents(settings: FleetSettings, ports: Mapping[str, int]) -> tuple[File, ...]:
    """Return the fleet's documents with this fleet's addresses, credentials and delays."""
    command = [sys.executable, "-P", "-m", "watchkeeper.demo", "documents", settings.directory]
    places = {
        f"127.0.0.1:{port}/": f"127.0.0.1:{ports.get(name, port)}/" for name, port in PORTS.items()
    }
    for name in (*PORTS, "documents"):
        place = credential_path(settings.path, name)
        places[f'"file:demo/{FOLDER}/{name}"'] = f'"file:{place}"'
    places[STDIO_COMMAND] = "[" + ", ".join(f'"{part}"' for part in command) + "]"
    return tuple(
        File(path=path, text=_hurry(_put(text, places), settings.hurry))
        for path, text in fleet_files()
    )


async def wait_for_plane(client: PlaneClient, seconds: float) -> None:
    """Return once the plane can decide; raise `Unavailable` after `seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        try:
            if await client.ready():
                return
        except Unavailable:
            if loop.time() > end:
                raise
        if loop.time() > end:
            raise Unavailable("the plane answers but is not ready")
        await asyncio.sleep(POLL_SECONDS)


async def prepare(
    settings: FleetSettings,
    ports: Mapping[str, int] | None,
    agents: Sequence[str],
    *,
    wait_seconds: float = 30,
) -> dict[str, str]:
    """Apply the documents (unless `ports` is None) and return a one-time secret per agent.

    Raises the plane's error if it refuses, `Unavailable` if it does not answer in time.
    """
    async with PlaneClient(Address(socket=Path(settings.socket))) as client:
        await wait_for_plane(client, wait_seconds)
        if ports is not None:
            await client.apply(Apply(files=documents(settings, ports)))
        secrets = {}
        for agent in agents:
            enrolment = await client.enrol(Enrol(agent=agent, ttl_seconds=ENROLMENT_SECONDS))
            secrets[agent] = enrolment.secret
        return secrets


def _put(text: str, places: Mapping[str, str]) -> str:
    pattern = "|".join(re.escape(place) for place in places)
    return re.sub(pattern, lambda found: places[found[0]], text)


def _hurry(text: str, factor: float) -> str:
    if factor == 1:
        return text

    def shorten(seconds: str, kind: str) -> int:
        return max(LEAST_SECONDS[kind], round(int(seconds) / factor))

    def delay(found: re.Match[str]) -> str:
        kind = found[2] or found[3] or found[4]
        return f"{found[1]}: {shorten(found[5], kind)}"

    text = _DELAY.sub(delay, text)
    return _SLA.sub(lambda found: f'@sla("{shorten(found[1], "sla")}s")', text)
