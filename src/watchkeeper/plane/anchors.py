"""The anchors that the settings name, with their way out."""

from __future__ import annotations

import asyncio
from pathlib import Path

from watchkeeper.core.addresses import place_of
from watchkeeper.core.errors import Unavailable
from watchkeeper.ledger.anchors.files import FileAnchor
from watchkeeper.ledger.anchors.git import GitAnchor
from watchkeeper.ledger.anchors.model import Anchor, Answer
from watchkeeper.ledger.anchors.timestamps import TimestampAnchor, read_certificates
from watchkeeper.ledger.anchors.witnesses import WitnessAnchor
from watchkeeper.ledger.notes import read_key
from watchkeeper.plane.settings import Settings
from watchkeeper.tools.upstreams.egress import Egress, read_bounded
from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure

_CONNECTIONS = 4
_SECONDS = 20
_LARGEST = 256 * 1024


class WayOut:
    """Sends what anchors are given, to the places that the settings name and nowhere else."""

    def __init__(self, *urls: str) -> None:
        places = frozenset(place_of(url).origin for url in urls if url)
        self._egress = Egress(_CONNECTIONS, declares=places.__contains__)

    async def send(self, method: str, url: str, type_: str, body: bytes | None) -> Answer:
        """Send one request; raise `Unavailable` if nothing comes back."""
        headers = {"content-type": type_} if body is not None else {}
        # a witness is likely to be inside: the settings name it, and only it
        exchange = self._egress.request(
            method, url, headers, Sending(), body=body, allow_private=True
        )
        try:
            async with asyncio.timeout(_SECONDS), exchange as response:
                return Answer(response.status, await read_bounded(response, _LARGEST))
        except UpstreamFailure as error:
            raise Unavailable(error.message, where=place_of(url).origin) from None
        except TimeoutError:
            late = f"it did not answer in {_SECONDS} s"
            raise Unavailable(late, where=place_of(url).origin) from None

    async def close(self) -> None:
        """Close every connection."""
        await self._egress.close()


def anchors_of(settings: Settings, out: WayOut, state: Path) -> list[Anchor]:
    """Return the anchors that are set; raise `Invalid` for one that cannot be used."""
    found: list[Anchor] = []
    if settings.anchor_file:
        found.append(FileAnchor(Path(settings.anchor_file).expanduser()))
    if settings.anchor_git:
        found.append(GitAnchor(settings.anchor_git, state / "log-anchor.git"))
    if settings.anchor_witness:
        key = read_key(settings.anchor_witness_key)
        found.append(WitnessAnchor(settings.anchor_witness, key, out.send))
    if settings.anchor_tsa:
        certificates = read_certificates(Path(settings.anchor_tsa_certificate).expanduser())
        found.append(TimestampAnchor(settings.anchor_tsa, certificates, out.send))
    return found
