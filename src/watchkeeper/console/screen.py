"""The one screen: header, panes, list, detail, keys; every widget repaints only what changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Offset
from textual.screen import Screen

from watchkeeper.console import frame
from watchkeeper.console.blocks import Row, lay_out_blocks
from watchkeeper.console.overlay import Overlay, Scroll
from watchkeeper.console.painted import Painted
from watchkeeper.console.painting import Palette, span
from watchkeeper.console.standing import fact_spans, place_words
from watchkeeper.console.table import WindowTable

if TYPE_CHECKING:
    from watchkeeper.console.app import Console
    from watchkeeper.console.pane import Pane

CLOCK_CELLS = 10
SLOW_DETAIL_SECONDS = 0.004
"""A detail that takes longer to lay out does not tick with the clock."""


STYLES = """
MainScreen { layers: base above; background: $background; overflow: hidden; }
#top, #tabs, #tab-rule, #foot, #keys, #caption, #heading { height: 1; }
#clock { width: 10; }
#body, #list { height: 1fr; }
#list { width: 1fr; }
#divider { width: 1; height: 1fr; }
#detail { width: 1fr; height: 1fr; }
.over { layer: above; position: absolute; }
#small { layer: above; position: absolute; width: 100%; height: 100%; display: none; }
"""


class MainScreen(Screen[None], inherit_bindings=False):
    """Lays the widgets out and fills them from the console's state."""

    def __init__(self, console: Console, palette: Palette) -> None:
        super().__init__()
        self.console = console
        self.header = Painted(palette, id="header")
        self.clock_cell = Painted(palette, id="clock")
        self.tabs = Painted(palette, id="tabs")
        self.tab_rule = Painted(palette, id="tab-rule")
        self.caption = Painted(palette, id="caption")
        self.heading = Painted(palette, id="heading")
        self.table = WindowTable(palette, id="table")
        self.divider = Painted(palette, id="divider")
        self.detail = Painted(palette, id="detail")
        self.foot = Painted(palette, id="foot")
        self.keys = Painted(palette, id="keys")
        self.small = Painted(palette, id="small")
        self.scroll = Scroll()
        self.overlays: list[tuple[Overlay[Any], Painted]] = []
        self._shown: tuple[Pane[Any], object] | None = None
        self._detail_rows: list[Row] = []
        self._detail_for: tuple[object, ...] = ()
        self._detail_cost = 0.0

    def compose(self) -> ComposeResult:
        """Place the widgets."""
        with Horizontal(id="top"):
            yield self.header
            yield self.clock_cell
        yield self.tabs
        yield self.tab_rule
        with Horizontal(id="body"):
            with Vertical(id="list"):
                yield self.caption
                yield self.heading
                yield self.table
            yield self.divider
            yield self.detail
        yield self.foot
        yield self.keys
        yield self.small

    def on_mount(self) -> None:
        """Tell the console that there is a screen."""
        self.console.begin()

    def on_resize(self) -> None:
        """Arrange the widgets for another size."""
        self.place_widgets()

    def on_window_table_picked(self, event: WindowTable.Picked) -> None:
        """Put the cursor on a clicked row."""
        if not self.overlays and event.index < len(self.console.pane.window):
            self.console.journey.move(event.index - self.console.pane.window.cursor)

    def on_window_table_wheeled(self, event: WindowTable.Wheeled) -> None:
        """Move with the wheel."""
        if not self.overlays:
            self.console.journey.move(event.step)

    # Size

    @property
    def wide(self) -> bool:
        """Whether the detail fits beside the list."""
        return self.size.width >= 120

    @property
    def detail_visible(self) -> bool:
        """Whether the detail of the current row is on the screen."""
        return self.wide or self.console.layer == "detail"

    def place_widgets(self) -> None:
        """Show what this size and layer have room for."""
        width, height = self.size
        detail = self.console.layer == "detail"
        self.query_one("#list").display = not detail
        self.divider.display = self.wide and not detail
        self.detail.display = self.wide or detail
        self.query_one("#list").styles.width = "56%" if self.wide and not detail else "1fr"
        narrow = width < frame.SMALLEST[0] or height < frame.SMALLEST[1]
        self.small.display = narrow
        if narrow:
            self.small.show(frame.too_small_rows(width, height))
        self.call_after_refresh(self.paint)

    @property
    def list_height(self) -> int:
        """Rows the list has room for."""
        return max(1, self.table.size.height)

    # Painting

    def recolour(self, palette: Palette) -> None:
        """Take other colours everywhere."""
        for widget in (*self.query(Painted), self.table):
            widget.repaint(palette)

    def paint(self) -> None:
        """Fill everything from the console's state; what did not change costs nothing."""
        if not self.is_mounted or not self.console.ready:
            return
        self.paint_frame()
        self.paint_list()
        self.paint_detail()
        self.paint_overlays()

    def paint_frame(self) -> None:
        """Fill the lines around the list."""
        console, width = self.console, self.size.width
        now = console.monotonic()
        state = frame.state_spans(console.refresh_plan, console.offline, now)
        self.header.show([frame.header_row(console.status, state, width - CLOCK_CELLS)])
        self.paint_clock()
        tabs = [frame.Tab(pane.title, pane.badge(), pane is console.pane) for pane in console.panes]
        production = frame.is_production(console.status)
        line, rule = frame.tab_rows(tabs, width, production=production)
        self.tabs.show([line])
        self.tab_rule.show([rule])
        self.paint_foot()

    def paint_clock(self) -> None:
        """Fill the clock alone."""
        self.clock_cell.show([(span(f"{self.console.clock_text():>9}", "quiet"),)])

    def paint_foot(self) -> None:
        """Fill the rule under the list, or the line being typed, and the keys."""
        console, width = self.console, self.size.width
        if console.prompt is not None:
            self.foot.show([console.prompt.row(width)])
            said = (
                "enter run  esc cancel" if console.prompt.sign == ":" else "enter keep  esc clear"
            )
            self.keys.show([(span(f" {said}  tab complete", "quiet"),)])
            return
        place = self.scroll.words if console.layer == "detail" else place_words(console.pane.window)
        waiting = console.waiting.words(console.monotonic())
        facts = fact_spans(console.pane.window, waiting, console.message)
        self.foot.show([frame.rule_row(facts, None, place, width)])
        actions = console.registry.footer(console.pane.key, console.layer)
        self.keys.show([frame.key_row(actions, console.why_not, width)])

    def paint_list(self) -> None:
        """Fill the list, keeping the cursor in sight."""
        console, pane, table = self.console, self.console.pane, self.table
        if not table.display or console.layer == "detail":
            return
        window = pane.window
        said = pane.caption()
        self.caption.display = bool(said)
        if said:
            self.caption.show([(span("  "), *said)])
        height = self.list_height
        pane.top = max(window.cursor - height + 1, min(pane.top, window.cursor))
        pane.top = max(0, min(pane.top, max(0, len(window) - height)))
        table.top = pane.top
        if self._shown != (pane, pane.columns):
            self._shown = (pane, pane.columns)
            table.show(
                pane.columns,
                window,
                lambda index: pane.cells(window.value(index), console.moment()),
            )
        else:
            table.update_rows()
        table.say(self._empty_words() if not len(window) else ())
        self.heading.show([table.heading()])
        if window.current is not None and not self.overlays and console.prompt is None:
            console.cursor_position = Offset(0, 4 + bool(said) + window.cursor - pane.top)

    def _empty_words(self) -> Row:
        pane = self.console.pane
        if pane.failure is not None:
            return (frame.loud(pane.failure, "critical"),)
        if not pane.window.loaded:
            return (span("reading …", "quiet"),)
        if pane.window.filter:
            return (span("Nothing matches the filter. esc clears it.", "quiet"),)
        return (span(pane.empty, "quiet"),)

    def paint_detail(self) -> None:
        """Fill the detail, and lay it out again only if it changed."""
        console, pane = self.console, self.console.pane
        if not self.detail_visible:
            return
        width, height = self.detail.size
        row = pane.current
        moment = console.moment()
        second = moment.now // 1_000_000 if self._detail_cost < SLOW_DETAIL_SECONDS else 0
        shown = (pane.key, pane.window.current_id, row, pane.detail, width, second, moment.absolute)
        if shown != self._detail_for:
            if shown[:2] != self._detail_for[:2]:
                self.scroll.top = 0
            self._detail_for = shown
            began = time.perf_counter()
            detail = pane.detail if pane.detail_known else None
            blocks = () if row is None else pane.blocks(row, detail, moment)
            self._detail_rows = lay_out_blocks(blocks, max(8, width - 2))
            self._detail_cost = time.perf_counter() - began
        self.scroll.fit(len(self._detail_rows), height)
        visible = self._detail_rows[self.scroll.top : self.scroll.top + height]
        self.detail.show([(span(" "), *line) for line in visible])
        bar: list[Row] = [(span("│", "rule"),)] * self.divider.size.height
        self.divider.show(bar)
        if console.layer == "detail" and not self.overlays and console.prompt is None:
            console.cursor_position = Offset(0, 3)

    @property
    def detail_rows(self) -> list[Row]:
        """The whole detail as lines."""
        return self._detail_rows

    # Overlays

    async def open_overlay(self, overlay: Overlay[Any]) -> None:
        """Put an overlay on top."""
        widget = Painted(self.header.palette, ground="panel", classes="over")
        self.overlays.append((overlay, widget))
        await self.mount(widget)
        self.paint_overlays()

    async def close_overlay(self, overlay: Overlay[Any]) -> None:
        """Take an overlay away."""
        for entry in [entry for entry in self.overlays if entry[0] is overlay]:
            self.overlays.remove(entry)
            await entry[1].remove()
        self.paint()

    def paint_overlays(self) -> None:
        """Draw what lies on top."""
        width, height = self.size
        for overlay, widget in self.overlays:
            drawn = overlay.frame(width, height)
            styles = widget.styles
            if (drawn.width, len(drawn.rows)) != widget.size:
                styles.width, styles.height = drawn.width, len(drawn.rows)
            styles.offset = (drawn.x, drawn.y)
            widget.show(drawn.rows)
            if drawn.caret is not None:
                self.console.cursor_position = Offset(*drawn.caret)

    def text_lines(self) -> list[str]:
        """Return the screen as plain text, for tests and for copying."""
        strips = self._compositor.render_strips()
        return ["".join(part.text for part in strip) for strip in strips[: self.size.height]]
