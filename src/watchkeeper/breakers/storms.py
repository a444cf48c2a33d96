"""Too many of the newest calls fail."""

from __future__ import annotations

import math

import msgspec

from watchkeeper.breakers.model import Result, Storm


class Storms(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the newest calls ended, as text of `0` (well) and `1` (failed), the newest last."""

    ended: str = ""

    @property
    def failed(self) -> int:
        """How many failed."""
        return self.ended.count("1")


def step(storms: Storms, result: Result, storm: Storm) -> tuple[Storms, bool]:
    """Count in how a call ended; say whether too many fail.

    What nobody knows the end of says nothing. Calls that have not been made yet count as if
    they went well: half of twenty are ten failures, from the first call on.
    """
    if result == "unknown":
        return storms, False
    ended = (storms.ended + ("1" if result == "failed" else "0"))[-storm.calls :]
    now = Storms(ended)
    return now, result == "failed" and now.failed >= math.ceil(storm.share * storm.calls)
