"""Regular expressions over text that others chose, in time linear in it.

An engine that tries again and again would stand still, and every decision with it, on text
made for that.
"""

from __future__ import annotations

from collections.abc import Callable

import jsonschema_rs

from watchkeeper.core.errors import Invalid


def searching(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a pattern occurs in a text; in text that is no Unicode it does.

    Raises `Invalid` for what is no regular expression, and for look-around and
    back-references, which no engine matches in linear time.
    """
    try:
        search = jsonschema_rs.validator_for(
            {"pattern": pattern}, offline=True, pattern_options=jsonschema_rs.RegexOptions()
        ).is_valid
    except (ValueError, jsonschema_rs.ValidationError):
        raise Invalid(
            f"not a regular expression that can be used here: {pattern!r:.80}",
            remedy="look-around and back-references are not supported",
        ) from None

    def occurs(text: str) -> bool:
        try:
            return bool(search(text))
        except (ValueError, UnicodeError):
            return True

    return occurs
