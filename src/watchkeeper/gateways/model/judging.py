"""Whether a model's answer does, or a stronger model is to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.models.leading import Condition
from watchkeeper.registry.patterns import compile_pattern
from watchkeeper.tools.inspection.schemas import Check, compile_schema

_SHORT = 20_000
"""Characters that are judged at once; what is longer is judged beside the loop."""
_FENCE = "```"


class Judge:
    """Looks at the text of an answer with the conditions of contract or model."""

    def __init__(self, conditions: Sequence[Condition], *, quotes: bool = True) -> None:
        """`quotes`: what it says may name members of the answer."""
        self._conditions = tuple(conditions)
        self._quotes = quotes

    async def why_not(self, text: str) -> str | None:
        """Say why an answer does not do, or return None."""
        if len(text) <= _SHORT:
            return self._look(text)
        return await asyncio.to_thread(self._look, text)

    def _look(self, text: str) -> str | None:
        for condition in self._conditions:
            if (schema := condition.output_fails_schema) is not None:
                problem = _misfit(text, schema)
                if problem is not None:
                    return problem if self._quotes else problem.partition(":")[0]
            elif (pattern := condition.output_matches) is not None and _pattern(pattern)(text):
                return f"its answer matches {pattern!r:.80}"
        return None


def _misfit(text: str, schema: dict[str, Any]) -> str | None:
    """Say why a text is no JSON of a schema; a fence of Markdown around it is looked past."""
    said = text.strip()
    if said.startswith(_FENCE) and said.endswith(_FENCE) and "\n" in said:
        said = said[said.index("\n") + 1 : -len(_FENCE)]
    try:
        value = msgspec.json.decode(said.encode())
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return "its answer is no JSON"
    try:
        problem = _schema(canonical(schema).decode())(value)
    except Invalid as error:
        return f"nothing fits its schema: {error.message}"[:300]
    return f"its answer does not fit the schema: {problem}"[:300] if problem else None


@lru_cache(maxsize=128)
def _schema(text: str) -> Check:
    return compile_schema(parse(text), "the answer")


@lru_cache(maxsize=128)
def _pattern(pattern: str) -> Callable[[Any], bool]:
    return compile_pattern(pattern)
