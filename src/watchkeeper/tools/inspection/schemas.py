"""JSON Schemas over arguments and results: compiled once, offline, and never quoting a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs

from watchkeeper.core.errors import Invalid
from watchkeeper.tools.inspection.bounds import count_steps
from watchkeeper.tools.inspection.redaction import redact_text
from watchkeeper.tools.inspection.rules import ALL
from watchkeeper.tools.inspection.values import is_larger

Check = Callable[[Any], str | None]
"""Returns what is wrong with a value, or None."""

_MOST_PROBLEMS = 3
_LONGEST_PROBLEM = 300
_BACKTRACKS = 10_000
"""Steps of one pattern's look-around on one text; a value that takes more does not fit."""
_LARGEST_PATTERN = 64 * 1024
"""Bytes of a compiled pattern: counted repeats in one another make each character cost as much."""
_MOST_WORK = 50_000_000
"""Rules times size of a value: a check can't be interrupted, and everything waits for it."""


def compile_schema(schema: dict[str, Any], of: str) -> Check:
    """Return what checks values against a schema; `of` names what is checked.

    A problem names the place and the rule that failed, never the value: that is an agent's or
    a tool's, and may be anybody's. Raises `Invalid` for what is no usable schema, and for one
    that could take for ever.
    """
    try:
        most = _MOST_WORK // count_steps(schema)
    except Invalid as error:
        raise Invalid(f"not a usable JSON Schema: {error.message}") from None
    try:
        validator = jsonschema_rs.validator_for(
            schema,
            offline=True,
            mask="the value",
            pattern_options=jsonschema_rs.FancyRegexOptions(
                backtrack_limit=_BACKTRACKS, size_limit=_LARGEST_PATTERN
            ),
        )
    except (ValueError, jsonschema_rs.ValidationError) as error:
        # the checker goes on to print the schema and its own schema: the first line says it
        raise Invalid(
            f"not a usable JSON Schema: {str(error).partition(chr(10))[0]}"[:400]
        ) from error

    def check(value: Any) -> str | None:
        if is_larger(value, most):
            return f"{of}: is too large to be checked against this schema"
        try:
            if validator.is_valid(value):
                return None
            problems = []
            for error in validator.iter_errors(value):
                at = ".".join(str(part) for part in error.instance_path) or of
                # keys are told, and an agent may have put there what must not be
                problems.append(redact_text(f"{at}: {error.message}", ALL)[:_LONGEST_PROBLEM])
                if len(problems) == _MOST_PROBLEMS:
                    break
            return "; ".join(problems) or f"{of}: does not fit its schema"
        except (ValueError, OverflowError, RecursionError):
            return f"{of}: holds what can't be checked"

    return check
