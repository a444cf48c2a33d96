"""What is in an action's arguments, and what may be kept and shown of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Invalid
from watchkeeper.identity.model import NewRun
from watchkeeper.tools.inspection.model import TooLarge
from watchkeeper.tools.inspection.redaction import redact, redact_text
from watchkeeper.tools.inspection.rules import (
    ALL,
    SECRETS,
    UNREADABLE,
    Classes,
    look,
    unrecorded,
)
from watchkeeper.tools.inspection.values import Inspection, is_larger
from watchkeeper.wire.data import DATA_CLASSES, RedactionLevel
from watchkeeper.wire.decisions import Ask

LARGEST_AT_ONCE = 8 * 1024
"""Characters inspected on the event loop; more is done beside it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found in arguments, and the arguments without what is never kept."""

    inspection: Inspection
    arguments: Mapping[str, Any]
    """Without secrets, personal data as it is: what approvers see."""
    text: str
    """Those in canonical form."""
    strict_text: str
    """The arguments without any personal data, in canonical form."""

    @property
    def classes(self) -> Classes:
        """The classes of data in the arguments."""
        return self.inspection.classes

    def kept(self, level: RedactionLevel) -> str:
        """Return the arguments as they are recorded of an agent with this redaction level."""
        return self.strict_text if level == "strict" else self.text


def examine(arguments: Mapping[str, Any]) -> Contents:
    """Say what is in arguments; what can't be inspected is not kept at all."""
    inspection = look(arguments)
    text = canonical(arguments, 1).decode()
    if not inspection.classes:
        return Contents(inspection, arguments, text, text)
    try:
        shown: dict[str, Any] = redact(arguments, SECRETS, inspection)
        strict = redact(shown, ALL)
    except TooLarge:
        inspection, shown = UNREADABLE, {"arguments": "[too large to inspect]"}
        strict = shown
    return Contents(inspection, shown, canonical(shown).decode(), canonical(strict).decode())


def recall_contents(arguments: Mapping[str, Any], classes: str | None) -> Contents:
    """Say what was in arguments of which only the record is left; `classes` as it lists them."""
    text = canonical(dict(arguments)).decode()
    listed = (classes or "").split(",")
    named = frozenset(one for one in DATA_CLASSES if one in listed)
    return Contents(Inspection(classes=named), arguments, text, text)


async def examine_aside(arguments: Mapping[str, Any]) -> Contents:
    """Say what is in arguments, beside the event loop where there is much of it."""
    if is_larger(arguments, LARGEST_AT_ONCE):
        return await asyncio.to_thread(examine, arguments)
    return examine(arguments)


def check_names(ask: Ask) -> None:
    """Refuse a secret where a name belongs: names are kept and shown everywhere."""
    for what, said in (("name", ask.name), ("idempotency_key", ask.idempotency_key)):
        if said and _holds_secret(said):
            raise Invalid(
                f"{what} holds what looks like a secret, and names are recorded",
                where=what,
                rule="data/secret",
                remedy="use a name that tells nothing",
            )


@lru_cache(4096)
def _holds_secret(name: str) -> bool:
    # the same names of tools and models come again and again
    return redact_text(name, SECRETS) != name


def kept_of_run(new: NewRun, level: RedactionLevel) -> NewRun:
    """Return a run as it may be recorded: who acts for whom is known, other words are not.

    Whom it acts for stays even where it is an address: nobody could be held to account else.
    """
    unwanted = unrecorded(level)
    return replace(
        new,
        goal=redact_text(new.goal, unwanted),
        on_behalf_of=without_secrets(new.on_behalf_of) if new.on_behalf_of else new.on_behalf_of,
        object_id=kept_words(new.object_id, level),
    )


def without_secrets(text: str) -> str:
    """Return free text of an agent or a tool as it may be kept at every level."""
    return redact_text(text, SECRETS)


def kept_words(text: str | None, level: RedactionLevel) -> str | None:
    """Return words about an agent's work as they are recorded of it."""
    return redact_text(text, unrecorded(level)) if text else text
