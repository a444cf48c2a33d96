"""Everything a person can do, as data.

Key presses, the key line, help, the palette, the command line and key maps all come from one
registry, so none of them can disagree.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from watchkeeper.core.errors import Invalid
from watchkeeper.wire.permissions import Permission

Layer = Literal["list", "detail"]
Why = Callable[[], str | None]
HELP_ACTION = "console.help"
"""The action that lists every key; the key line never leaves it out."""


def _allowed() -> str | None:
    return None


@dataclass(frozen=True)
class Action:
    """One thing a person can do.

    `why_not` answers None while it is allowed and else the reason in words; `danger` marks what
    cannot be undone, `changes` what sends anything to the plane (danger implies it), `needs` what
    the person must be permitted there. `footer` orders it in the key line. `pane` None means
    everywhere.
    """

    id: str
    title: str
    run: Callable[[], Awaitable[None] | None]
    keys: tuple[str, ...] = ()
    group: str = "Act"
    explain: str = ""
    pane: str | None = None
    layers: tuple[Layer, ...] = ("list", "detail")
    footer: int | None = None
    danger: bool = False
    changes: bool = False
    needs: Permission | None = None
    why_not: Why = field(default=_allowed)

    @property
    def sends(self) -> bool:
        """Whether it changes anything beyond this screen."""
        return self.danger or self.changes

    @property
    def command(self) -> str:
        """What to type on the command line: the last part of the id, or the whole of it."""
        return self.id.rpartition(".")[2]


KEY_NAMES: Mapping[str, str] = {
    "slash": "/", "colon": ":", "question_mark": "?", "asterisk": "*", "escape": "esc",
    "left_square_bracket": "[", "right_square_bracket": "]", "pageup": "pgup",
    "pagedown": "pgdn", "full_stop": ".", "comma": ",", "minus": "-", "plus": "+",
    "exclamation_mark": "!", "equals_sign": "=",
}  # fmt: skip
_KEY_CODES = {shown: code for code, shown in KEY_NAMES.items()}


def key_code(key: str) -> str:
    """Return the name the terminal layer uses for a key as people write it."""
    return _KEY_CODES.get(key, key)


def key_label(key: str) -> str:
    """Return a key as people read it: ``^x``, ``pgdn``, ``G``."""
    shown = KEY_NAMES.get(key, key)
    return f"^{shown[5:]}" if shown.startswith("ctrl+") else shown


class Registry:
    """All actions of a console; keys may be changed by a person's key map.

    Raises :class:`Invalid` when an id is taken, or two actions that can meet share a key.
    """

    def __init__(self, keymap: Mapping[str, Sequence[str]] | None = None) -> None:
        self._actions: dict[str, Action] = {}
        self._keymap = dict(keymap or {})
        self._by_key: dict[str, list[Action]] = {}

    def add(self, actions: Iterable[Action]) -> None:
        """Take more actions."""
        for given in actions:
            if given.id in self._actions:
                raise Invalid(f"two actions are called {given.id}", where="actions")
            keys = self._keymap.get(given.id, given.keys)
            action = replace(given, keys=tuple(key_code(key) for key in keys))
            for key in action.keys:
                for other in self._by_key.get(key, ()):
                    if _meet(action, other):
                        raise Invalid(
                            f"the key {key_label(key)} is asked for by {other.id} and {action.id}",
                            where="keymap",
                            remedy="give one of them another key in the configuration",
                            rule="keymap/clash",
                        )
                self._by_key.setdefault(key, []).append(action)
            self._actions[action.id] = action

    def check_keymap(self) -> None:
        """Raise :class:`Invalid` if the key map names an action that does not exist."""
        for name in self._keymap:
            if name not in self._actions:
                near = difflib.get_close_matches(name, self._actions, 1)
                raise Invalid(
                    f"the key map names an unknown action {name!r:.80}",
                    where="keymap",
                    remedy=f"did you mean {near[0]}?" if near else "see the keys with ?",
                    rule="keymap/unknown",
                )

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())

    def get(self, name: str) -> Action | None:
        """Return the action with this id."""
        return self._actions.get(name)

    def active(self, pane: str, layer: Layer) -> list[Action]:
        """Return what can be asked for here, allowed or not, in the order of registration."""
        return [a for a in self._actions.values() if _applies(a, pane, layer)]

    def for_key(self, key: str, pane: str, layer: Layer) -> Action | None:
        """Return what a key does here."""
        for action in self._by_key.get(key, ()):
            if _applies(action, pane, layer):
                return action
        return None

    def footer(self, pane: str, layer: Layer) -> list[Action]:
        """Return what the key line shows, in its order."""
        shown = [a for a in self.active(pane, layer) if a.footer is not None and a.keys]
        return sorted(shown, key=lambda action: action.footer or 0)

    def for_command(self, words: str, pane: str, layer: Layer) -> Action:
        """Return the action a command line names: an id, or the last part of one active here.

        Raises :class:`Invalid` that names the nearest command.
        """
        wanted = words.strip().lower()
        names = self.commands(pane, layer)
        if wanted in names:
            return names[wanted]
        starts = [name for name in names if name.startswith(wanted)] if wanted else []
        if len({names[name].id for name in starts}) == 1:
            return names[starts[0]]
        near = starts[:3] or difflib.get_close_matches(wanted, names, 1, 0.4)
        raise Invalid(
            f"no command {wanted[:40]!r}",
            remedy=f"did you mean {' or '.join(near)}?" if near else "press ? for all of them",
            rule="command/unknown",
        )

    def commands(self, pane: str, layer: Layer) -> dict[str, Action]:
        """Return every name the command line takes here; short names go to the nearest pane."""
        names: dict[str, Action] = {}
        for action in self.active(pane, layer):
            names[action.id] = action
        for action in sorted(self.active(pane, layer), key=lambda action: action.pane is None):
            names.setdefault(action.command, action)
        return names


def _applies(action: Action, pane: str, layer: Layer) -> bool:
    return (action.pane is None or action.pane == pane) and layer in action.layers


def _meet(one: Action, other: Action) -> bool:
    panes = one.pane is None or other.pane is None or one.pane == other.pane
    return panes and bool(set(one.layers) & set(other.layers))
