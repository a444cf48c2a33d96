"""Dialogs: small, still, and hard to answer by accident.

A dialog takes no key in its first 300 ms, so a key meant for the list cannot confirm it; a
dangerous one opens with its cancel in focus. Its size is fixed when it opens.
"""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.console.actions import key_label
from watchkeeper.console.blocks import Block, Row, lay_out_blocks
from watchkeeper.console.completion import Complete, Completion
from watchkeeper.console.desk import Question, Reply
from watchkeeper.console.editor import Editor, History
from watchkeeper.console.overlay import Frame, Overlay, Scroll, boxed
from watchkeeper.console.painting import Span, Token, spaces, span
from watchkeeper.core.text import cell_width, fit, make_safe

GUARD_SECONDS = 0.3
"""How long keys are ignored after opening."""
WIDEST = 76
LIVE_BODY_LINES = 12
LONGEST_REASON = 1000
OFFER = "ctrl+r"
"""Offers reasons, one after the other."""

_OFFERS = 8
"""Completions that are shown at most."""


class Input:
    """One line a dialog asks for."""

    def __init__(
        self,
        key: str,
        label: str,
        editor: Editor,
        *,
        pasteable: bool = True,
        complete: Complete | None = None,
    ) -> None:
        self.key = key
        self.label = label
        self.editor = editor
        self.pasteable = pasteable
        self.completion = None if complete is None else Completion(complete)


class Dialog(Overlay[Reply]):
    """Asks a question; the answer is a `Reply`."""

    def __init__(self, question: Question, opened_at: float, reasons: Sequence[str] = ()) -> None:
        super().__init__()
        self.question = question
        self._reasons = History()
        for reason in reversed(reasons):
            self._reasons.add(reason)
        self.body: Sequence[Block] = question.body
        self.scroll = Scroll()
        self.problem = ""
        self.read = not question.read_to_end
        self._opened_at = opened_at
        self._size: tuple[int, int, int] | None = None
        self.inputs = [
            Input(f.key, f.label, Editor(f.value), complete=f.complete) for f in question.fields
        ]
        if question.type_name is not None:
            label = f"Type {make_safe(question.type_name, limit=60)}"
            self.inputs.append(Input("name", label, Editor(), pasteable=False))
        if question.reason != "none":
            label = question.reason_label + ("" if question.reason == "required" else " (optional)")
            self.inputs.append(Input("reason", label, Editor(question.reason_value)))
        last = len(self.inputs)
        self.focus = 0 if self.inputs and not question.danger else last
        self._cancel, self._confirm = last, last + 1

    # Keys

    def take_key(self, key: str, character: str | None, now: float) -> None:
        """Take a key, unless the dialog has only just opened."""
        if now - self._opened_at < GUARD_SECONDS:
            return
        self.problem = ""
        if key == "escape":
            self.finish(Reply(False))
        elif any(choice.key == key for choice in self.question.choices):
            self.finish(Reply(False, self._values().get("reason") or None, {}, key))
        elif key in ("tab", "shift+tab") and self._complete(1 if key == "tab" else -1):
            return
        elif key in ("tab", "down", "shift+tab", "up"):
            self._move(1 if key in ("tab", "down") else -1)
        elif key == "enter":
            self._enter()
        elif key in ("pageup", "pagedown"):
            self.scroll.take_key(key)
        elif self.focus >= self._cancel and self.inputs and _is_typed(character):
            # what somebody types is meant for what is to be typed, never for a button: a name
            # with an `n` in it would cancel, and its rest act on the list below
            self.focus = 0
            self.inputs[0].editor.take_key(key, character)
        elif self.focus >= self._cancel:
            self._choose(key)
        elif key == OFFER and self.reason_in_focus is not None:
            # the first offered is the one that was said last; beyond the last it begins anew
            self.reason_in_focus.set(self._reasons.walk_round())
        else:
            self._write(key, character)

    def take_paste(self, text: str, now: float) -> None:
        """Put the first pasted line into the line in focus; a name must be typed."""
        if now - self._opened_at < GUARD_SECONDS or self.focus >= self._cancel:
            return
        held = self.inputs[self.focus]
        if not held.pasteable:
            self.problem = "type it: a pasted name confirms nothing"
            return
        held.editor.insert(text.split("\n", 1)[0][:LONGEST_REASON])

    @property
    def reason_in_focus(self) -> Editor | None:
        """The reason being typed; it may be written in the person's own editor instead."""
        held = self.inputs[self.focus] if self.focus < self._cancel else None
        return held.editor if held is not None and held.key == "reason" else None

    def _write(self, key: str, character: str | None) -> None:
        held = self.inputs[self.focus]
        if held.completion is not None:
            held.completion.forget()
        held.editor.take_key(key, character)

    def _complete(self, step: int) -> bool:
        held = self.inputs[self.focus] if self.focus < self._cancel else None
        if held is None or held.completion is None:
            return False
        return held.completion.offer(held.editor, step)

    def _enter(self) -> None:
        if self.focus == self._cancel:
            self.finish(Reply(False))
        elif self.focus == self._confirm:
            self._submit()
        elif self.focus + 1 < self._cancel:
            self.focus += 1
        elif self.question.danger:
            self.focus = self._confirm
        else:
            self._submit()

    def _move(self, step: int) -> None:
        """Go round: what is to be typed, then the confirmation, then the way out."""
        ring = [*range(len(self.inputs)), self._confirm, self._cancel]
        self.focus = ring[(ring.index(self.focus) + step) % len(ring)]

    def _choose(self, key: str) -> None:
        if key in ("left", "right", "h", "l"):
            self.focus = self._cancel if self.focus == self._confirm else self._confirm
        elif key in ("n", "q", "backspace"):
            self.finish(Reply(False))
        elif key == "y" and not self.question.danger:
            self._submit()
        else:
            self.scroll.take_key(key)

    def _submit(self) -> None:
        self.problem = self.why_not() or ""
        if self.problem:
            return
        values = self._values()
        reason = values.pop("reason", "") or None
        values.pop("name", None)
        self.finish(Reply(True, reason, values))

    def _values(self) -> dict[str, str]:
        return {held.key: held.editor.text.strip() for held in self.inputs}

    def why_not(self) -> str | None:
        """Return what still keeps it from being confirmed; the line in fault gets the focus."""
        if not self.read:
            return "read to the end first: pgdn"
        for index, held in enumerate(self.inputs):
            found = self._check(held)
            if found is not None:
                self.focus = index
                return found
        return None

    def _check(self, held: Input) -> str | None:
        text = held.editor.text.strip()
        if held.key == "name" and self.question.type_name is not None:
            return None if text == self.question.type_name else "that is not the name"
        if held.key == "reason":
            if self.question.reason == "required" and not text:
                return "say why in a few words"
            return "that is too long for a reason" if len(text) > LONGEST_REASON else None
        for field in self.question.fields:
            if field.key == held.key:
                return field.check(text)
        return None

    # Looks

    def frame(self, width: int, height: int) -> Frame:
        """Draw itself in the middle; the size stays as it was when it opened."""
        if self._size is None or self._size[0] > width:
            self._size = self._measure(width, height)
        wide, body_height, _ = self._size
        body_height = max(
            1, min(body_height, height - 6 - len(self.inputs) - bool(self.question.choices))
        )
        inner = wide - 4
        lines = lay_out_blocks(self.body, inner)
        self.scroll.fit(len(lines), body_height)
        self.read = self.read or self.scroll.at_end
        rows: list[Row] = list(lines[self.scroll.top : self.scroll.top + body_height])
        rows += [()] * (body_height - len(rows))
        rows.append(())
        label_cells = max((cell_width(make_safe(i.label)) for i in self.inputs), default=0)
        label_cells = min(label_cells, inner // 2)
        caret = None
        for index, held in enumerate(self.inputs):
            focused = index == self.focus
            room = inner - label_cells - 4
            if focused:
                caret = (label_cells + 4 + held.editor.caret_cell(room), len(rows))
            rows.append(
                (
                    span("▸ " if focused else "  ", "accent"),
                    Span(fit(make_safe(held.label), label_cells), "text" if focused else "quiet"),
                    span("  "),
                    *held.editor.spans(room, focused=focused),
                )
            )
        if self.question.choices:
            rows.append(self._choices())
        rows.append(self._buttons())
        footer = self.scroll.words
        boxes = boxed(self.question.title, rows, wide, footer)
        x, y = (width - wide) // 2, max(0, (height - len(boxes)) // 2)
        at = None if caret is None else (x + 2 + caret[0], y + 1 + caret[1])
        return Frame(x, y, wide, boxes, at)

    def _choices(self) -> Row:
        parts = [span("  ")]
        for choice in self.question.choices:
            parts += [span(f"{key_label(choice.key)} ", "key"), span(f"{choice.label}   ", "quiet")]
        return tuple(parts)

    def _buttons(self) -> Row:
        question = self.question
        on_cancel, on_confirm = self.focus == self._cancel, self.focus == self._confirm
        ready: Token = "critical" if question.danger else "good"
        parts = [
            span("▸ " if on_cancel else "  ", "accent"),
            span(question.cancel, "strong" if on_cancel else "text"),
            spaces(3),
            span("▸ " if on_confirm else "  ", "accent"),
            span(question.confirm, ready if on_confirm else "text"),
            spaces(3),
        ]
        if self.problem:
            parts.append(span(self.problem, "critical"))
        elif self.focus < self._cancel:
            last = self.focus + 1 == self._cancel and not question.danger
            word = question.confirm.lower() if last else "next"
            held = self.inputs[self.focus]
            more = "  ^r offers  ^o editor" if held.key == "reason" else ""
            if held.completion is not None:
                names = [name.rstrip("/").rpartition("/")[2] for name in held.completion.offered]
                more = f"  tab {'  '.join(names[:_OFFERS]) or 'completes'}"
            parts.append(span(f"enter {word}  esc cancel{more}", "quiet"))
        else:
            move = "type" if on_cancel and self.inputs else "tab move"
            parts.append(span(f"{move}  enter choose  esc cancel", "quiet"))
        return tuple(parts)

    def _measure(self, width: int, height: int) -> tuple[int, int, int]:
        wide = max(20, min(WIDEST, width - 4))
        lines = len(lay_out_blocks(self.body, wide - 4))
        if self.question.live is not None:
            lines = max(lines, LIVE_BODY_LINES)
        room = max(1, height - 6 - len(self.inputs) - bool(self.question.choices))
        return wide, min(lines, room), height


def _is_typed(character: str | None) -> bool:
    return character is not None and character != " " and character.isprintable()
