"""The console: one screen over a plane, driven by keys, fed by the plane's ledger."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from textual import events
from textual.app import App
from textual.binding import BindingType
from textual.screen import Screen

from watchkeeper.client.api import PlaneClient
from watchkeeper.console import frame
from watchkeeper.console.actions import Action, Layer, Registry
from watchkeeper.console.configuration import Configuration
from watchkeeper.console.crash import record_crash
from watchkeeper.console.desk import Body, Desk, Question, Reply
from watchkeeper.console.dialog import Dialog
from watchkeeper.console.editor import History
from watchkeeper.console.hands import Hands
from watchkeeper.console.journey import Journey
from watchkeeper.console.link import FollowFeed, Heard, Link, follow_feed
from watchkeeper.console.moment import Moment
from watchkeeper.console.outside import Outside
from watchkeeper.console.overlay import Overlay, TextView
from watchkeeper.console.painting import Span, Token
from watchkeeper.console.pane import Pane
from watchkeeper.console.place import Place, write_place
from watchkeeper.console.prompt import Prompt
from watchkeeper.console.pulse import TICK_SECONDS, Pulse
from watchkeeper.console.refresh import Refresh
from watchkeeper.console.screen import STYLES, MainScreen
from watchkeeper.console.shell import shell_actions
from watchkeeper.console.terminal import ConsoleDriver
from watchkeeper.console.theme import PLAIN_THEME, Theme, plain_palette
from watchkeeper.console.waiting import Waiting, WaitingRoom
from watchkeeper.core.clock import Clock, SystemClock, utc_text
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.places import state_directory
from watchkeeper.wire.plane import Status

PaneMaker = Callable[[Desk], Sequence[Pane[Any]]]
ActionMaker = Callable[[Desk], Sequence[Action]]


class Console(App[int], inherit_bindings=False):
    """The application. `Journey` holds what its actions do; here is what keeps it going."""

    TITLE = "Watchkeeper"
    BINDINGS: ClassVar[list[BindingType]] = []
    ENABLE_COMMAND_PALETTE = False
    CSS = STYLES

    def __init__(
        self,
        client: PlaneClient,
        panes: PaneMaker,
        *,
        theme: Theme | None,
        configuration: Configuration | None = None,
        actions: ActionMaker = lambda desk: (),
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        follow: FollowFeed = follow_feed,
        state: Path | None = None,
        place: Place | None = None,
        opening: tuple[str, Token] | None = None,
    ) -> None:
        super().__init__(driver_class=ConsoleDriver, ansi_color=True if theme is None else None)
        self.configuration = configuration or Configuration()
        self.client = client
        self.clock = clock or SystemClock()
        self.monotonic = monotonic
        self.state_directory = state or state_directory()
        self.colours = theme
        if theme is not None:
            self.register_theme(theme.for_textual())
        self.theme = PLAIN_THEME if theme is None else theme.name
        self.animation_level = "none"
        self.pulse = Pulse(self)
        self.refresh_plan = Refresh(self.pulse.behind)
        pulse = self.pulse
        heard = Heard(pulse.on_events, pulse.on_everything, pulse.on_lost, pulse.on_found)
        self.link = Link(client, self.clock, self.refresh_plan, heard, follow)
        self.panes: list[Pane[Any]] = list(panes(self))
        self.journey = Journey(self)
        self.outside = Outside(self)
        self.registry = self._build_registry([*actions(self)])
        self.pane: Pane[Any] = self.panes[0]
        self.layer: Layer = "list"
        self.prompt: Prompt | None = None
        self.message: Span | None = None
        self.absolute = False
        self.ready = False
        self.waiting = WaitingRoom()
        self.reasons = History(20)
        """What was said of decisions here, offered again."""
        self.main: MainScreen | None = None
        self.message_until = 0.0
        self._hands = Hands()
        if opening is not None:
            self.say(*opening, seconds=12)
        if place is not None:
            self._restore(place)

    def _build_registry(self, more: Iterable[Action]) -> Registry:
        found = [*(action for pane in self.panes for action in pane.actions()), *more]
        found += shell_actions(self.journey)
        if self.configuration.read_only:
            found = [action for action in found if not action.sends]
        registry = Registry(self.configuration.keymap)
        registry.add(found)
        registry.check_keymap()
        return registry

    # Textual's side

    def get_default_screen(self) -> Screen[None]:
        """Return the one screen."""
        self.main = MainScreen(self, self.palette)
        return self.main

    @property
    def palette(self) -> Any:
        """The colours in use."""
        plain = self.configuration.ascii
        if self.colours is None:
            return plain_palette(ascii=plain)
        return self.colours.palette(ascii=plain)

    def begin(self) -> None:
        """Begin to follow the plane; the screen is there."""
        self.ready = True
        self.outside.watch_signals()
        self.stage.place_widgets()
        self.set_interval(TICK_SECONDS, self.pulse.tick)
        self.run_worker(self.pulse.begin(), name="feed", exit_on_error=True)

    def on_app_blur(self) -> None:
        """Slow down while nobody looks."""
        self.refresh_plan.focused = False

    def on_app_focus(self) -> None:
        """Catch up at once."""
        self.refresh_plan.focused = True
        self.pulse.tick()

    async def on_event(self, event: events.Event) -> None:
        """Take keys and pasted text before the toolkit does; it knows none of our keys."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self.app_focus = True
            self._hands.press(event.key, event.time)
            self.take_key(event.key, event.character)
        elif isinstance(event, events.Paste) and not event.is_forwarded:
            self.take_paste(event.text)
        else:
            await super().on_event(event)

    def _fatal_error(self) -> None:
        self._crash(self._exception)

    def panic(self, *renderables: Any) -> None:
        """End with a short message; nothing of the failure reaches the screen."""
        self._crash(self._exception)

    def _crash(self, error: BaseException | None) -> None:
        self._return_code = 1
        words = record_crash(error, self.state_directory, self.clock)
        self._exit_renderables[:] = [words]
        self._close_messages_no_wait()

    # The desk

    @property
    def status(self) -> Status | None:
        """What the plane last said of itself."""
        return self.link.status

    @property
    def offline(self) -> str | None:
        """Why nothing can be sent, in words."""
        return self.link.offline

    @property
    def unsent(self) -> Collection[str]:
        """What waits to be sent."""
        return self.waiting.keys

    @property
    def beside(self) -> bool:
        """Whether the detail stands beside the list."""
        return self.layer == "list" and self.main is not None and self.main.wide

    @property
    def stage(self) -> MainScreen:
        """The screen."""
        return cast(MainScreen, self.main)

    def moment(self) -> Moment:
        """Return now by the plane's clock."""
        return Moment(self.link.now(), self.configuration.zone, self.absolute)

    def clock_text(self) -> str:
        """Write the time for the header, in the person's zone."""
        moment = self.moment()
        shown = moment.time(moment.now).text if self.configuration.time_zone != "UTC" else ""
        text = shown or utc_text(moment.now)[11:]
        return text if self.configuration.clock_seconds else text[:5] + text[8:]

    def say(self, text: object, token: Token = "text", *, seconds: float = 6.0) -> None:
        """Show one line for a while; an empty one takes the last away."""
        self.message = frame.loud(text, token) if text else None
        self.message_until = self.monotonic() + seconds
        if self.ready:
            self.stage.paint_foot()

    async def ask(self, question: Question) -> Reply:
        """Open a dialog and wait for its answer."""
        offered = (*reversed(self.reasons.lines), *self.configuration.reasons)
        reply: Reply = await self.over(Dialog(question, self.monotonic(), offered))
        if reply.confirmed and reply.reason:
            self.reasons.add(reply.reason)
        return reply

    async def view(self, title: str, body: Body) -> None:
        """Show a text over everything."""
        await self.over(TextView(title, body))

    async def over(self, overlay: Overlay[Any]) -> Any:
        """Show an overlay and wait for its result; the list holds still meanwhile."""
        self.pane.window.hold(True)
        await self.stage.open_overlay(overlay)
        try:
            return await overlay.result
        finally:
            await self.stage.close_overlay(overlay)
            if not self.stage.overlays and self.prompt is None:
                self.release()

    def show(
        self,
        pane: str,
        identity: str | None = None,
        *,
        detail: bool = False,
        filter: str | None = None,
    ) -> None:
        """Go to a pane and one of its rows."""
        self.journey.go(pane, identity, detail=detail, filter=filter)

    def mark_dirty(self, pane: str | None = None) -> None:
        """Have a pane, or all, read again."""
        for held in self.panes:
            if pane is None or held.key == pane:
                held.dirty = True

    def later(
        self, seconds: float, key: str, words: str, run: Callable[[], Awaitable[None]]
    ) -> None:
        """Run something unless it is taken back in time."""
        waiting = Waiting(key, words, self.monotonic() + seconds, run)
        if seconds <= 0:
            self.send(waiting)
        else:
            self.waiting.add(waiting)
            self.stage.paint_foot()

    def send(self, waiting: Waiting) -> None:
        """Send what waited."""
        self.run_worker(self.guard(waiting.run()), exit_on_error=True)

    async def guard(self, work: Awaitable[None]) -> None:
        """Do something and show the plane's objection if it has one."""
        try:
            await work
        except WatchkeeperError as error:
            self.say(error, "critical", seconds=12)
        self.mark_dirty(self.pane.key)

    # Keys and actions

    def perform(self, action: Action) -> None:
        """Do an action, or say why not."""
        why = self.why_not(action)
        if why is None and action.sends:
            why = self._why_not_now()
        if why is not None:
            self.say(f"{action.title}: {why}", "warning")
            return
        result = action.run()
        if inspect.isawaitable(result):
            self.run_worker(self.guard(result), exit_on_error=True)

    def _why_not_now(self) -> str | None:
        """Say why a decision cannot be what the person meant at this instant."""
        if self.pulse.just_moved:
            return "another row came here just now; press again"
        return self._hands.why_not()

    def why_not(self, action: Action) -> str | None:
        """Say why an action is not possible now; None if it is."""
        return (
            self._not_permitted(action)
            or action.why_not()
            or (self.offline if action.sends else None)
        )

    def _not_permitted(self, action: Action) -> str | None:
        """Say what the person lacks; the plane checks it again, and for which team."""
        me = self.status.me if self.status is not None else None
        if action.needs is None or me is None or action.needs in me.permissions:
            return None
        return f"this needs {action.needs}; {me.person} is {me.permission or 'without a role'}"

    def take_key(self, key: str, character: str | None) -> None:
        """Give a key to what is on top: an overlay, the line being typed, or an action."""
        if self.stage.overlays:
            overlay = self.stage.overlays[-1][0]
            writing = overlay.reason_in_focus if isinstance(overlay, Dialog) else None
            if key == "ctrl+o" and writing is not None:
                written = self.outside.edit(writing.text)
                writing.set(writing.text if written is None else written)
            else:
                overlay.take_key(key, character, self.monotonic())
            self.stage.paint_overlays()
        elif self.prompt is not None:
            prompt = self.prompt
            prompt.take_key(key, character)
            if prompt.outcome == "open":
                self.stage.paint_foot()
            else:
                self.journey.prompt_ended(prompt)
        else:
            action = self.registry.for_key(key, self.pane.key, self.layer)
            if action is not None:
                self.perform(action)

    def take_paste(self, text: str) -> None:
        """Give pasted text to what takes text; it never presses keys."""
        if self.stage.overlays:
            self.stage.overlays[-1][0].take_paste(text, self.monotonic())
            self.stage.paint_overlays()
        elif self.prompt is not None:
            self.prompt.take_paste(text)
            self.stage.paint_foot()

    def release(self) -> None:
        """Let the list show what waited while it was held still; in a detail it stays held."""
        if self.layer == "list":
            self.pane.window.hold(False)
            self.pulse.told_of_loss(self.pane)
        self.stage.paint()

    def send_waiting(self) -> None:
        """Send at once what waits."""
        for waiting in self.waiting.flush():
            self.send(waiting)

    def edit(self, text: str) -> str | None:
        """Have a text written in the person's editor."""
        return self.outside.edit(text, lines=True)

    def copy(self, text: str) -> None:
        """Put text on the clipboard."""
        self.run_worker(self.outside.copy(text), exit_on_error=True)

    def recolour(self, theme: Theme) -> None:
        """Take the colours of another theme; a console without colours stays so."""
        if self.colours is None:
            self.say("colours are off: NO_COLOR is set", "warning")
            return
        self.colours = theme
        self.register_theme(theme.for_textual())
        self.theme = theme.name
        self.stage.recolour(self.palette)

    def leave(self, code: int) -> None:
        """End; the plane and the agents go on."""
        self.remember()
        self.exit(code, return_code=code)

    def _restore(self, place: Place) -> None:
        for pane in self.panes:
            if pane.key == place.pane:
                self.pane = pane
                pane.window.narrow(place.filter)
                if place.row:
                    pane.window.expect(place.row)

    def remember(self) -> None:
        """Keep where the person is for the next start."""
        window = self.pane.window
        write_place(
            self.state_directory, Place(self.pane.key, window.filter, window.current_id or "")
        )
