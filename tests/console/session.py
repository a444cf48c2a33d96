"""A console on a real plane, driven by keys and read as text."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from textual.pilot import Pilot

from tests.rig.deadline import PATIENCE_SECONDS, eventually_async
from tests.rig.plane import Plane
from watchkeeper.client.address import Address
from watchkeeper.client.api import PlaneClient
from watchkeeper.console.app import Console
from watchkeeper.console.configuration import Configuration
from watchkeeper.console.dialog import GUARD_SECONDS, Dialog
from watchkeeper.console.panes import all_panes, console_actions
from watchkeeper.console.theme import load_theme


class Session:
    """One console at one size; its steady clock can be moved on by the test."""

    def __init__(self, console: Console, pilot: Pilot[Any], skipped: list[float]) -> None:
        self.console = console
        self.pilot = pilot
        self._skipped = skipped

    @property
    def lines(self) -> list[str]:
        """The screen's lines."""
        return [line.rstrip() for line in self.console.stage.text_lines()]

    @property
    def screen(self) -> str:
        """The screen as text."""
        return "\n".join(self.lines)

    def skip(self, seconds: float) -> None:
        """Let time pass for the console alone, not for the plane."""
        self._skipped[0] += seconds

    async def press(self, *keys: str) -> Self:
        """Press keys."""
        await self.pilot.press(*keys)
        return self

    async def type(self, text: str) -> Self:
        """Type text, a key for each letter."""
        names = {" ": "space", "_": "underscore", "/": "slash", ".": "full_stop", "-": "minus"}
        await self.pilot.press(*(names.get(letter, letter) for letter in text))
        return self

    async def see(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> Self:
        """Wait until the screen shows all of `texts` at once."""
        await self._until(
            lambda: all(text in self.screen for text in texts), f"{texts!r} on the screen", seconds
        )
        return self

    async def see_no_more(self, text: str, *, seconds: float = PATIENCE_SECONDS) -> Self:
        """Wait until the screen no longer shows `text`."""
        await self._until(
            lambda: text not in self.screen, f"{text!r} no longer on the screen", seconds
        )
        return self

    async def _until(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        async def look() -> bool:
            return holds()

        try:
            await eventually_async(look, what, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen}") from None

    async def see_dialog(self, title: str) -> Self:
        """Wait for a dialog, and until it takes keys."""
        await self.see(f"─ {title}")
        self.skip(GUARD_SECONDS + 0.1)
        return self

    @property
    def dialog(self) -> Dialog | None:
        """The dialog on top."""
        over = self.console.stage.overlays
        top = over[-1][0] if over else None
        return top if isinstance(top, Dialog) else None

    async def confirm(
        self, *, typed: str = "", reason: str = "", fields: dict[str, str] | None = None
    ) -> Self:
        """Answer the dialog on top: put in what it asks for and confirm."""
        dialog = self.dialog
        assert dialog is not None, "no dialog is open"
        wanted = {"name": typed, "reason": reason, **(fields or {})}
        for index, held in enumerate(dialog.inputs):
            if wanted.get(held.key):
                await self._focus(dialog, index)
                await self.press(*["backspace"] * len(held.editor.text))
                await self.type(wanted[held.key])
        await self._focus(dialog, len(dialog.inputs) + 1)
        return await self.press("enter")

    async def _focus(self, dialog: Dialog, index: int) -> None:
        for _ in range(10):
            if dialog.focus == index:
                return
            await self.press("down")
        raise AssertionError("the dialog's focus does not move")


@asynccontextmanager
async def session(
    plane: Plane,
    *,
    size: tuple[int, int] = (80, 24),
    address: Address | None = None,
    **options: Any,
) -> AsyncIterator[Session]:
    """Open a console on a plane, as its owner over the socket unless told otherwise."""
    skipped = [0.0]
    state: Path = plane.directory / "console"
    state.mkdir(exist_ok=True)
    async with PlaneClient(address or Address(socket=plane.socket)) as client:
        console = Console(
            client,
            all_panes,
            actions=console_actions,
            theme=load_theme("watch-dark")[0],
            configuration=options.pop("configuration", Configuration()),
            monotonic=lambda: time.monotonic() + skipped[0],
            state=state,
            **options,
        )
        async with console.run_test(size=size) as pilot:
            yield Session(console, pilot, skipped)
