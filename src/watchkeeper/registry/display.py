"""A tool's display template: arguments in braces, nothing else is looked up or run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import Safe, make_safe

LONGEST = 300
_LONGEST_VALUE = 80
_FIELD = re.compile(r"\{([A-Za-z0-9_-][A-Za-z0-9_.-]{0,59})\}")


def fields_of(template: str) -> tuple[str, ...]:
    """Return the arguments that a template names, in order."""
    return tuple(dict.fromkeys(_FIELD.findall(template)))


def render(template: str, arguments: Mapping[str, Any]) -> Safe:
    """Return what approvers read: each ``{argument}`` replaced by its value, once.

    Names are keys of the arguments, whole: no attributes, no indexing. A field that the call
    does not have stays as it is written.
    """

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        return _shown(arguments[name]) if name in arguments else found.group()

    return make_safe(_FIELD.sub(value, template), limit=LONGEST)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return str(make_safe(value, limit=_LONGEST_VALUE))
    try:
        return str(make_safe(canonical(value), limit=_LONGEST_VALUE))
    except Invalid:
        return "⟨unreadable⟩"
