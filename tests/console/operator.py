"""An operator at work: real keys on the real screen, over lists in memory and driven time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from tests.console.memory import MemoryConsole, MemoryPlane, items, memory_console
from tests.rig.deadline import eventually_async


class Operator:
    """Presses keys and reads the screen."""

    def __init__(self, console: MemoryConsole, pilot: Pilot[int]) -> None:
        self.console = console
        self.pilot = pilot

    @property
    def plane(self) -> MemoryPlane:
        return self.console.plane

    @property
    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self.console.stage.text_lines())

    @property
    def current(self) -> str | None:
        return self.console.pane.window.current_id

    @property
    def foot(self) -> str:
        return self.console.stage.text_lines()[-2]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.press(*("space" if letter == " " else letter for letter in text))

    async def pass_time(self, seconds: float) -> None:
        """Let the clock go on in quarter seconds, as the console's timer would."""
        for _ in range(max(1, round(seconds * 4))):
            self.console.steady.now += 0.25
            self.console.pulse.tick()
            await self.pilot.pause()

    async def see(self, *texts: str) -> str:
        async def look() -> str | None:
            self.console.steady.now += 0.25
            self.console.pulse.tick()
            await self.pilot.pause()
            screen = self.screen
            return screen if all(text in screen for text in texts) else None

        try:
            return await eventually_async(look, f"screen shows {texts!r}")
        except AssertionError:
            raise AssertionError(f"never shown: {texts!r}; it shows:\n{self.screen}") from None

    async def until(self, condition: Callable[[], object]) -> None:
        async def look() -> bool:
            self.console.steady.now += 0.25
            self.console.pulse.tick()
            await self.pilot.pause()
            return bool(condition())

        await eventually_async(look, "the condition holds")


@asynccontextmanager
async def at_work(
    tmp_path: Path, rows: int = 60, size: tuple[int, int] = (80, 24), **named: object
) -> AsyncIterator[Operator]:
    console = memory_console(items(rows), tmp_path, **named)  # type: ignore[arg-type]
    async with console.run_test(size=size, notifications=True) as pilot:
        operator = Operator(console, pilot)
        if rows:
            await operator.see(f"1/{rows:,}")
        yield operator
