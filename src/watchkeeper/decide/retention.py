"""Zero retention: of a model call nothing is kept but metadata.

What is put before a model, and what it says, is nobody's to read later: neither in a record nor
in a request for approval, an event or an error. The plane's own words on a call hold none of it;
what an agent says of a call by itself is left out here, and stands there by its digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watchkeeper.core.digest import canonical, digest
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.contents import Contents, kept_words
from watchkeeper.decide.gates.contract import LIKELY, PROMPT, WRITES_CACHE
from watchkeeper.decide.gates.hosted import HOSTED
from watchkeeper.decide.model import ENDPOINT, Action
from watchkeeper.wire.base import NAME
from watchkeeper.wire.decisions import ActionKind, Ask, Outcome

WITHHELD = "withheld"
"""The argument that stands for what is not kept: its digest."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(NAME)
_COUNTS = frozenset({"messages", LIKELY, WRITES_CACHE, "max_output_tokens", "stream"})
_DIGESTS = frozenset({"body", PROMPT})


def keeps_nothing(catalogue: Catalogue, agent: str, kind: ActionKind) -> bool:
    """Tell whether only metadata may be kept of an agent's action."""
    governed = catalogue.agents.get(agent)
    return kind == "model" and governed is not None and governed.contract.logging.zero_retention


def recordable(catalogue: Catalogue, agent: str, ask: Ask, action: Action) -> tuple[Ask, Action]:
    """Return a call as it may be recorded; what is decided on stays the same.

    Of a key that tells of somebody, where nobody is to be told of, the digest is as good.
    """
    if keeps_nothing(catalogue, agent, action.kind):
        return _without_words(ask, action)
    key = ask.idempotency_key
    if key is None or kept_words(key, catalogue.redaction_of(agent)) == key:
        return ask, action
    withheld = digest("watchkeeper/withheld/v1", key)
    return ask.model_copy(update={"idempotency_key": withheld}), action


def _without_words(ask: Ask, action: Action) -> tuple[Ask, Action]:
    """Return a model call without what was said in it."""
    kept = {name: value for name, value in action.arguments.items() if _is_metadata(name, value)}
    rest = {name: value for name, value in action.arguments.items() if name not in kept}
    if rest:
        kept[WITHHELD] = digest("watchkeeper/withheld/v1", rest)
    text = canonical(kept).decode()
    key = ask.idempotency_key
    if key is not None:
        key = digest("watchkeeper/withheld/v1", key)
    return (
        ask.model_copy(update={"idempotency_key": key, "explanation": None}),
        replace(
            action,
            explanation=None,
            examined=Contents(action.contents.inspection, kept, text, text),
        ),
    )


def without_agents_words(outcome: Outcome) -> Outcome:
    """Return what an agent says of how its own model call ended, as it may be recorded."""
    result = outcome.result_digest
    fit = result if result is not None and _DIGEST.fullmatch(result) else None
    left_out = {"error": None, "route_reason": None, "provider_model": None, "response": None}
    return outcome.model_copy(update={"result_digest": fit, **left_out})


def _is_metadata(name: str, value: Any) -> bool:
    if name in _COUNTS:
        return isinstance(value, int)
    if name in _DIGESTS:
        return value is None or (isinstance(value, str) and _DIGEST.fullmatch(value) is not None)
    if name == ENDPOINT:
        return isinstance(value, str) and _NAME.fullmatch(value) is not None
    return name == HOSTED and isinstance(value, list) and all(map(_names_a_tool, value))


def _names_a_tool(said: object) -> bool:
    """Whether it is nothing but the name of a tool, which says where it runs only by that."""
    if not isinstance(said, Mapping) or said.keys() - {"tool", "server_url"}:
        return False
    tool, url = said.get("tool"), said.get("server_url")
    return isinstance(tool, str) and _NAME.fullmatch(tool) is not None and url is None
