"""What the screens look like: plain text, kept beside the tests and read in review.

`WATCHKEEPER_KEEP_SCREENS=1` writes them anew; look at the difference before keeping it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.desk_world import DeskWorld
from tests.console.session import Session, session
from tests.rig.deadline import eventually_async
from tests.rig.plane import Plane
from watchkeeper.client.address import Address
from watchkeeper.core.clock import RehearsalClock

KEPT = Path(__file__).parent / "screens"
SIZES = ((80, 24), (60, 20), (160, 48))
DAY = 86_400

# keys that lead to a screen from any list, and what is on it when it is complete
SCREENS: dict[str, tuple[tuple[str, ...], str]] = {
    "watch": (("1", "g"), "close account"),
    "fleet": (("2", "g"), "‖ paused"),
    "approvals": (("3", "g"), "close account"),
    "runs": (("4", "g"), "open"),
    "trace": (("4", "G", "enter"), "◐ held"),
    "budgets": (("5", "g"), "exhausted"),
    "tools": (("6", "g"), "unseen"),
    "policy": (("7", "g"), "enforce"),
    "oncall": (("8", "g"), "finance-ops"),
    "locks": (("0", "g"), "agent buyer"),
    "models": (("colon", *"models", "enter"), "small-fast"),
    "ledger": (("9", "slash", *"type", "colon", *"decision", "full_stop", "enter"), "denied"),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskWorld]:
    """A plane where it is always noon."""
    plane = Plane(tmp_path_factory.mktemp("noon"), clock="frozen").start()
    now = plane.operator.get("/v1/status")["now"] // 1_000_000
    plane.advance(DAY - now % DAY + DAY // 2)
    desk = DeskWorld(plane)
    desk.fill()
    target = {"kind": "agent", "name": "buyer"}
    lock = {"target": target, "mode": "pause", "reason": "it buys twice"}
    plane.caller(grace(desk).token).post("/v1/locks", lock)
    yield desk
    plane.close()


def grace(desk: DeskWorld) -> Address:
    """The plane as one approver sees it from elsewhere; her name is the same everywhere."""
    asked = {"person": "grace", "permission": "admin"}
    token = desk.plane.operator.post("/v1/persons/tokens", asked)["token"]
    return Address(url=desk.plane.url, token=token)


def still() -> RehearsalClock:
    """A clock for the console that stands as the plane's does."""
    return RehearsalClock(frozen=True)


def steady(screen: str) -> str:
    """Write what differs from run to run as a mark of the same width."""

    def cross(match: re.Match[str]) -> str:
        return "x" * len(match[0])

    screen = re.sub(r"(?<=_)[0-9a-hjkmnp-tv-z]{26}", cross, screen)
    screen = re.sub(r"(?<=  )(nothing is signed yet|signed .*)", "signed …", screen)
    screen = re.sub(r"(?<=_…)[0-9a-hjkmnp-tv-z]{1,6}|(?<=run…)[0-9a-hjkmnp-tv-z]{6}", cross, screen)
    screen = re.sub(r"(?<=sha256:)[0-9a-f]+|(?<![0-9a-z])[0-9a-f]{12,}", cross, screen)
    return re.sub(r"\d{4}-\d\d-\d\dT", "0000-00-00T", screen)


def check(name: str, size: tuple[int, int], screen: str) -> None:
    """Compare a screen with the one that is kept."""
    place = KEPT / f"{name}-{size[0]}x{size[1]}.txt"
    shown = steady(screen) + "\n"
    if os.environ.get("WATCHKEEPER_KEEP_SCREENS"):
        KEPT.mkdir(exist_ok=True)
        place.write_text(shown, encoding="utf-8")
    assert place.read_text(encoding="utf-8").splitlines() == shown.splitlines(), place.name


async def settle(console: Session, *, detail: bool = False) -> str:
    """Return the screen once two looks at it are the same, and the detail is read if wanted."""
    before = ""

    async def look() -> bool:
        nonlocal before
        await console.pilot.pause()
        earlier, before = before, console.screen
        return before == earlier and (console.console.pane.detail_known or not detail)

    await eventually_async(look, "the screen settles", every=0.05)
    return before


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_pane_looks_as_kept(desk: DeskWorld, size: tuple[int, int]) -> None:
    """Lists at three sizes; with the detail beside them where there is room."""
    async with session(desk.plane, size=size, address=grace(desk), clock=still()) as console:
        await console.see("■ down: books")
        for name, (keys, mark) in SCREENS.items():
            await console.press(*keys)
            await console.see(mark)
            if name in ("ledger", "trace") and size[0] >= 120:
                continue  # numbers of entries depend on when an upstream was found down
            check(name, size, await settle(console, detail=size[0] >= 120))


@pytest.mark.parametrize("size", [(80, 24), (60, 20)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_dialogs_look_as_kept(desk: DeskWorld, size: tuple[int, int]) -> None:
    """The detail of a request, and the dialogs before anything dangerous."""
    async with session(desk.plane, size=size, address=grace(desk), clock=still()) as console:
        await console.see("close account")
        await console.press("3", "g")
        await console.see("create ref")
        await console.press("j", "j", "enter")
        await console.see("Who asks", "high risk")
        check("request", size, await settle(console, detail=True))
        await console.press("a")
        await console.see_dialog("Approve this?")
        check("approve", size, await settle(console))
        await console.press("escape")
        await console.see_no_more("Approve this?")
        await console.press("escape", "2", "g", "j", "ctrl+x")
        await console.see_dialog("Kill agent clerk?")
        check("kill", size, await settle(console))
        await console.press("escape")


async def test_a_tiny_terminal_says_so(desk: DeskWorld) -> None:
    """Under 40 columns there is a message, not a traceback."""
    async with session(desk.plane, size=(38, 9), address=grace(desk), clock=still()) as console:
        await console.see("This screen is 38")
