"""Answers that are kept to be given again to the same call: by whom, how long, and how many.

They live in memory only. What sets two answers apart is all in their key, so that an answer is
found by those who may share it and by nobody else.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Sharing = Literal["agent", "team"]

MOST_BYTES = 64 * 1024 * 1024
MOST_ANSWERS = 10_000
LARGEST_ANSWER = 1024 * 1024
"""A longer one is not kept: it would push out too many others."""
_OVERHEAD = 600
"""What an answer takes beside its text: key, object and links."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who a call is made by and for."""

    agent: str
    team: str
    """The team that owns the agent; empty: nobody knows."""
    on_behalf_of: str | None
    environment: str
    redaction: str
    """How much personal data is kept from the agent."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, as far as its answer depends on it."""

    endpoint: str
    call: str
    """Digest of all that goes to a provider."""
    model: str
    """The logical model that is named."""
    answered_by: tuple[str, ...]
    """The logical models that may answer, and the targets that may."""
    routing: str
    """Under which conditions the answer would come from another."""
    ceiling: int | None
    """How many tokens may be generated."""
    documents: str
    """Digest of the documents of the models and providers that answer."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A complete answer, as the caller got it."""

    body: bytes
    kind: str
    """Its content type."""
    model: str | None
    """The logical model that answered, where that is another than was decided on."""
    documents: str
    """As in `Asked`, when it was asked for."""


def key_of(sharing: Sharing, asker: Asker, asked: Asked) -> str:
    """Return what an answer is kept under.

    It is shared within the agent, or the team that owns it; always apart by the person that is
    acted for, the environment, and what is redacted. Without a team, an agent shares with none.
    """
    group = ("team", asker.team) if sharing == "team" and asker.team else ("agent", asker.agent)
    parts = (
        group,
        asker.on_behalf_of,
        asker.environment,
        asker.redaction,
        asked.endpoint,
        asked.call,
        asked.model,
        asked.answered_by,
        asked.routing,
        asked.ceiling,
        asked.documents,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class KeptAnswers:
    """The answers of one plane; the one that was not asked for longest goes first."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_answers: int = MOST_ANSWERS) -> None:
        self._most_bytes = most_bytes
        self._most_answers = most_answers
        self._answers: OrderedDict[str, tuple[KeptAnswer, int]] = OrderedDict()
        """With the time until which each is given, in microseconds."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return self._bytes

    def find(self, key: str, now: int) -> KeptAnswer | None:
        """Return the answer under a key, unless its time is up."""
        answer, until = self._answers.get(key, (None, 0))
        if until <= now:
            self._forget(key)
            return None
        self._answers.move_to_end(key)
        return answer

    def keep(self, key: str, answer: KeptAnswer, until: int) -> None:
        """Keep an answer in place of the one before, but for one that is too long."""
        self._forget(key)
        if len(answer.body) > LARGEST_ANSWER:
            return
        self._answers[key] = (answer, until)
        self._bytes += _size(answer)
        while self._bytes > self._most_bytes or len(self._answers) > self._most_answers:
            self._forget(next(iter(self._answers)))

    def keep_only(self, documents: Collection[str]) -> None:
        """Forget the answers of models or providers whose documents are other ones now."""
        gone = [key for key, (one, _) in self._answers.items() if one.documents not in documents]
        for key in gone:
            self._forget(key)

    def forget_all(self) -> None:
        """Keep nothing: somebody is erased, who may be in any of them."""
        self._answers.clear()
        self._bytes = 0

    def _forget(self, key: str) -> None:
        kept = self._answers.pop(key, None)
        if kept is not None:
            self._bytes -= _size(kept[0])


def _size(answer: KeptAnswer) -> int:
    return len(answer.body) + _OVERHEAD
