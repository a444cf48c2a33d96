"""Dialogs are hard to answer by accident and easy to answer on purpose."""

from __future__ import annotations

import pytest

from watchkeeper.console.blocks import Prose, text_of
from watchkeeper.console.desk import Field, Question, Reply
from watchkeeper.console.dialog import GUARD_SECONDS, Dialog

OPENED = 100.0
LATER = OPENED + 1


def press(dialog: Dialog, *keys: str, at: float = LATER) -> None:
    for key in keys:
        dialog.take_key(key, key if len(key) == 1 else None, at)


def answer(dialog: Dialog) -> Reply | None:
    return dialog.result.result() if dialog.result.done() else None


def screen(dialog: Dialog, width: int = 80, height: int = 24) -> str:
    return text_of(dialog.frame(width, height).rows)


async def test_keys_meant_for_the_list_do_nothing_at_first() -> None:
    dialog = Dialog(Question("Approve?"), OPENED)
    press(dialog, "y", "enter", "escape", at=OPENED + GUARD_SECONDS - 0.01)
    assert answer(dialog) is None
    press(dialog, "y", at=OPENED + GUARD_SECONDS + 0.01)
    assert answer(dialog) == Reply(True)


async def test_enter_never_confirms_danger_by_default() -> None:
    dialog = Dialog(Question("Kill?", danger=True), OPENED)
    press(dialog, "enter")
    assert answer(dialog) == Reply(False)


async def test_danger_is_confirmed_by_moving_there_first() -> None:
    dialog = Dialog(Question("Kill?", danger=True), OPENED)
    press(dialog, "y")
    assert answer(dialog) is None
    press(dialog, "tab", "enter")
    assert answer(dialog) == Reply(True)


@pytest.mark.parametrize("key", ["escape", "n", "q", "backspace"])
async def test_ways_out(key: str) -> None:
    dialog = Dialog(Question("Approve?"), OPENED)
    press(dialog, key)
    assert answer(dialog) == Reply(False)


async def test_a_required_reason_is_asked_for_in_words() -> None:
    dialog = Dialog(Question("Reject?", reason="required"), OPENED)
    press(dialog, "enter")
    assert answer(dialog) is None
    assert dialog.problem == "say why in a few words"
    press(dialog, *"no proof", "enter")
    assert answer(dialog) == Reply(True, "no proof")


async def test_letters_in_a_reason_choose_nothing() -> None:
    dialog = Dialog(Question("Reject?", reason="optional"), OPENED)
    press(dialog, *"nyq")
    assert answer(dialog) is None
    press(dialog, "enter")
    assert answer(dialog) == Reply(True, "nyq")


async def test_a_name_must_be_typed_and_cannot_be_pasted() -> None:
    dialog = Dialog(Question("Kill?", danger=True, type_name="refund"), OPENED)
    assert dialog.focus == 1, "cancel has the focus, the line is empty"
    press(dialog, "tab")
    dialog.take_paste("refund", LATER)
    assert "type it" in dialog.problem
    press(dialog, *"refun", "enter", "enter")
    assert answer(dialog) is None
    assert dialog.problem == "that is not the name"
    press(dialog, "d", "enter", "enter")
    assert answer(dialog) == Reply(True)


async def test_a_pasted_reason_is_one_line_without_controls() -> None:
    dialog = Dialog(Question("Reject?", reason="required"), OPENED)
    dialog.take_paste("be\x1b[2Jcause\nand more", LATER)
    press(dialog, "enter")
    assert answer(dialog) == Reply(True, "be[2Jcause")


async def test_fields_say_what_is_wrong_with_them() -> None:
    field = Field("amount", "Amount", lambda text: None if text.isdigit() else "a number, please")
    dialog = Dialog(Question("Top up", fields=(field,)), OPENED)
    press(dialog, "x", "enter")
    assert dialog.problem == "a number, please"
    assert dialog.focus == 0
    press(dialog, "backspace", "5", "enter")
    assert answer(dialog) == Reply(True, None, {"amount": "5"})


async def test_what_must_be_read_is_read_first() -> None:
    body = [Prose("\n".join(f"line {number}" for number in range(60)))]
    dialog = Dialog(Question("Approve?", body, read_to_end=True), OPENED)
    screen(dialog)
    press(dialog, "y")
    assert answer(dialog) is None
    assert "read to the end" in dialog.problem
    for _ in range(8):
        press(dialog, "pagedown")
        screen(dialog)
    press(dialog, "y")
    assert answer(dialog) == Reply(True)


async def test_it_never_resizes() -> None:
    dialog = Dialog(Question("Kill?", [Prose("short")]), OPENED)
    before = dialog.frame(80, 24)
    dialog.body = [Prose("long\n" * 50)]
    after = dialog.frame(80, 24)
    assert (before.x, before.y, before.width, len(before.rows)) == (
        after.x, after.y, after.width, len(after.rows),
    )  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (40, 10), (160, 48)])
async def test_it_fits_the_screen(width: int, height: int) -> None:
    question = Question(
        "Kill?", [Prose("word " * 400)], danger=True, type_name="x", reason="required"
    )
    frame = Dialog(question, OPENED).frame(width, height)
    assert frame.x >= 0
    assert frame.y >= 0
    assert frame.x + frame.width <= width
    assert frame.y + len(frame.rows) <= height
    assert "Cancel" in text_of(frame.rows)
    assert frame.caret is None


async def test_the_focus_is_seen_without_colour() -> None:
    dialog = Dialog(Question("Approve?", reason="optional"), OPENED)
    assert "▸ Reason" in screen(dialog)
    press(dialog, "tab")
    assert "▸ Confirm" in screen(dialog)
    press(dialog, "tab")
    assert "▸ Cancel" in screen(dialog)
    press(dialog, "right", "tab", "tab")
    assert "▸ Reason" in screen(dialog)


async def test_reasons_are_offered_one_after_the_other() -> None:
    """The first is the one said last; after the last it begins anew; what is typed stays free."""
    dialog = Dialog(Question("Reject?", reason="required"), OPENED, ["said before", "checked"])
    press(dialog, "ctrl+r")
    assert "said before" in screen(dialog)
    press(dialog, "ctrl+r")
    assert "checked" in screen(dialog)
    press(dialog, "ctrl+r", *"!", "enter")
    assert answer(dialog) == Reply(True, "said before!")


async def test_what_is_typed_goes_to_what_is_to_be_typed_wherever_the_focus_is() -> None:
    """A name with an `n` or a `q` in it cancels nothing, and its rest reaches no list."""
    dialog = Dialog(Question("Kill?", danger=True, type_name="queen", reason="optional"), OPENED)
    press(dialog, "q", "u", "e", "e", "n", "tab", "tab", "enter")
    assert answer(dialog) == Reply(True)
    left = Dialog(Question("Kill?", danger=True, type_name="queen"), OPENED)
    press(left, "enter")
    assert answer(left) == Reply(False)
