"""Giving a permitted call the answer that the same call had before, and keeping its own.

A call is decided on before anybody looks for a kept answer: policies, locks and budgets hold for
it as for any other, and it costs nothing then. Who may share answers is in `models/kept.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from watchkeeper.core.clock import MICROSECONDS, Clock
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.decide.models.pricing import GovernedModel
from watchkeeper.gateways.model.attempt import Whole
from watchkeeper.gateways.model.dialect import Dialect, ModelCall
from watchkeeper.gateways.model.passing import Headers, Receiver
from watchkeeper.gateways.model.provider import Made
from watchkeeper.gateways.performing import Performed
from watchkeeper.identity.model import Caller
from watchkeeper.models.kept import LARGEST_ANSWER, Asked, Asker, KeptAnswer, KeptAnswers, key_of
from watchkeeper.wire.decisions import Answer, Outcome
from watchkeeper.wire.models import Routed, TargetShown

CACHE_HEADER = b"x-watchkeeper-cache"
_CONTROL_HEADER = "cache-control"
_OK = 200
Work = Callable[[InFlight], Awaitable[Performed[Made]]]


class Collecting:
    """Passes a streamed answer on, and has it whole in the end."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parts: list[bytes] = []
        self._size = 0
        self.kind = ""
        self.ended = False

    @property
    def begun(self) -> bool:
        """Whether something of it was passed on."""
        return self._receiver.begun

    async def begin(self, kind: str, headers: Headers) -> None:
        """Take its media type and the headers."""
        self.kind = kind
        await self._receiver.begin(kind, headers)

    async def push(self, data: bytes) -> None:
        """Take whole events."""
        self._collect(data)
        await self._receiver.push(data)

    async def end(self, data: bytes) -> None:
        """Take the last of it."""
        self._collect(data)
        self.ended = True
        await self._receiver.end(data)

    def whole(self) -> bytes | None:
        """Return all of it; None where it has not ended, or is too long to be kept."""
        return b"".join(self._parts) if self.ended and self._size <= LARGEST_ANSWER else None

    def _collect(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= LARGEST_ANSWER:
            self._parts.append(data)
        else:
            self._parts.clear()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer of a call is kept, if it is."""

    keeping: Keeping
    key: str | None
    """None: nowhere."""
    found: KeptAnswer | None = None
    ttl_seconds: int = 0
    documents: str = ""
    last: str | None = None
    """Which logical model gives the answer where several work on it; None: only one does."""

    @property
    def header(self) -> tuple[bytes, bytes]:
        """Return what the caller is told of it."""
        said: Literal[b"hit", b"miss", b"off"] = b"hit" if self.found else b"miss"
        return CACHE_HEADER, said if self.key is not None else b"off"

    def given(self, answer: KeptAnswer, headers: Headers) -> Work:
        """Return what there is to do where an answer was found: to give it."""

        async def give(flight: InFlight) -> Performed[Made]:
            made = Whole(_OK, answer.body, answer.kind, tuple(headers))
            return Performed(made, Outcome(status="succeeded", model=answer.model, cached=True))

        return give

    def kept(self, work: Work, collecting: Collecting | None) -> Work:
        """Return work whose complete answer is kept."""
        key = self.key
        if key is None:
            return work

        async def keep(flight: InFlight) -> Performed[Made]:
            performed = await work(flight)
            body, kind = _complete(performed, collecting)
            by = performed.outcome.model
            # where one of several models failed, the answer is not what the call asks for
            if body is not None and (self.last is None or by == self.last):
                self.keeping.keep(key, self, KeptAnswer(
                    body, kind, performed.outcome.model, self.documents
                ))  # fmt: skip
            return performed

        return keep


class Keeping:
    """Keeps answers for the models whose documents say so, and the agents that allow it."""

    def __init__(self, view: CatalogueView, clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self._kept = KeptAnswers()
        self._documents: dict[str, str] = {}
        self._models: Mapping[str, GovernedModel] | None = None

    def follow(self) -> None:
        """Forget the answers of models and providers that were changed."""
        now = self._view.now
        named = [name for name, model in now.models.items() if model.document.cache is not None]
        self._kept.keep_only({self._documents_of(now, name) for name in named})

    def forget(self) -> None:
        """Forget every answer."""
        self._kept.forget_all()

    def place(
        self,
        caller: Caller,
        headers: Mapping[str, str],
        dialect: Dialect,
        call: ModelCall,
        decided: Answer,
        ceiling: int | None,
    ) -> Place:
        """Return where the answer of a permitted call may be found, or kept."""
        now = self._view.now
        routed = decided.routed
        model = now.models.get(routed.model if routed else call.model)
        cache = model.document.cache if model else None
        if model is None or cache is None:
            return Place(self, None)
        agent = now.agents.get(caller.agent)
        routing = agent.contract.model_routing if agent else None
        control = _directives(headers)
        if (
            agent is None
            or routing is None
            or not routing.cache
            or agent.contract.logging.zero_retention
            or "no-store" in control
        ):
            return Place(self, None)
        digest = call.cache_key()
        if digest is None:
            return Place(self, None)
        asker = Asker(
            caller.agent,
            agent.contract.owner,
            caller.on_behalf_of,
            caller.environment,
            agent.contract.logging.pii_redaction,
        )
        asked = Asked(
            dialect.endpoint,
            digest,
            call.model,
            _answering(routed) if routed else (model.document.name,),
            routing.model_dump_json(),
            ceiling,
            self._documents_of(now, model.document.name),
        )
        key = key_of(cache.scope, asker, asked)
        found = None if "no-cache" in control else self._kept.find(key, self._clock.now())
        last = routed.ensemble[-1].model if routed and routed.ensemble else None
        return Place(self, key, found, cache.ttl_seconds, asked.documents, last)

    def keep(self, key: str, place: Place, answer: KeptAnswer) -> None:
        """Keep the answer of a call that was just made."""
        expires_at = self._clock.now() + place.ttl_seconds * MICROSECONDS
        self._kept.keep(key, answer, expires_at)

    def _documents_of(self, now: Catalogue, name: str) -> str:
        """Return the digest of all documents that an answer of a model depends on."""
        if self._models is not now.models:
            self._models, self._documents = now.models, {}
        digest = self._documents.get(name)
        if digest is None:
            digest = self._documents[name] = _digest_of(now.models, name)
        return digest


def _digest_of(models: Mapping[str, GovernedModel], name: str) -> str:
    """Digest a model's document, those it leads to, and those of their providers."""
    text = hashlib.sha256()
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        one = ahead.pop()
        model = models.get(one)
        if one in seen or model is None:
            continue
        seen.add(one)
        text.update(model.document.model_dump_json().encode())
        for target in model.targets:
            text.update(target.provider.model_dump_json().encode())
        ahead += sorted(model.document.leads_to)
    return text.hexdigest()


def _answering(routed: Routed) -> tuple[str, ...]:
    """Return who may answer, in no order: which target is asked first changes by the hour."""
    legs = [(routed.model, routed.targets)]
    legs += [(leg.model, leg.targets) for leg in routed.ensemble]
    if routed.stronger is not None:
        legs.append((routed.stronger.model, routed.stronger.targets))
    return tuple(f"{model} {' '.join(_names(targets))}" for model, targets in legs)


def _names(targets: Sequence[TargetShown]) -> list[str]:
    return sorted(f"{one.provider}/{one.model}" for one in targets)


def _directives(headers: Mapping[str, str]) -> Collection[str]:
    """Read ``Cache-Control`` of a request (RFC 9111, 5.2.1)."""
    said = headers.get(_CONTROL_HEADER)
    return {one.strip().casefold() for one in said[:1000].split(",")} if said else ()


def _complete(
    performed: Performed[Made], collecting: Collecting | None
) -> tuple[bytes | None, str]:
    """Return an answer that is whole and went well, with its content type."""
    made = performed.made
    if performed.outcome.status != "succeeded":
        return None, ""
    if isinstance(made, Whole):
        return (made.body if made.status == _OK else None), made.kind
    if made is None and collecting is not None:
        return collecting.whole(), collecting.kind
    return None, ""
