"""What a line being typed could become: offered by tab, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice

from watchkeeper.console.editor import Editor

Complete = Callable[[str], Sequence[str]]
_MOST = 2000
"""Names of a directory that are looked at."""


class Completion:
    """Puts offers into a line; typing begins anew."""

    def __init__(self, complete: Complete) -> None:
        self.complete = complete
        self.offered: Sequence[str] = ()

    def forget(self) -> None:
        """Begin anew: something else was typed."""
        self.offered = ()

    def offer(self, editor: Editor, step: int = 1) -> bool:
        """Put the next offer into the line; tell whether there was another one."""
        before = editor.text
        if len(self.offered) > 1 and before in self.offered:
            place = self.offered.index(before) + step
            editor.set(self.offered[place % len(self.offered)])
        else:
            self.offered = self.complete(before)
            if len(self.offered) > 1 and before in self.offered:
                return self.offer(editor, step)
            if self.offered:
                editor.set(self.offered[0 if step > 0 else -1])
        return editor.text != before


def complete_path(text: str) -> list[str]:
    """Return the files and directories that a path begins, directories with a slash at the end.

    What begins with a dot is offered once the dot is typed.
    """
    head, _, last = text.rpartition("/")
    shown = f"{head}/" if "/" in text else ""
    found = []
    try:
        with os.scandir(os.path.expanduser(shown) or ".") as entries:
            for entry in islice(entries, _MOST):
                if entry.name.startswith(last) and (last or not entry.name.startswith(".")):
                    found.append(f"{shown}{entry.name}{'/' * entry.is_dir()}")
    except OSError:
        return []
    return sorted(found)
