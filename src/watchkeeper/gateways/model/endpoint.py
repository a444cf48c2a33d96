"""``/openai/v1``: chat completions and the list of models, governed by the base URL alone."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from watchkeeper.core.errors import Unauthenticated, WatchkeeperError
from watchkeeper.decide.holding import decide_and_hold
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.callers import Callers
from watchkeeper.gateways.http import (
    CallerGone,
    CallerWatch,
    answer,
    bearer,
    is_own_origin,
    read_body,
    read_headers,
)
from watchkeeper.gateways.model.errors import ModelError, refused, stopped
from watchkeeper.gateways.model.health import ProviderHealth
from watchkeeper.gateways.model.provider import Made, ProviderCall, Whole
from watchkeeper.gateways.model.request import Completion, read_completion, unknown_model
from watchkeeper.gateways.offers import Offers
from watchkeeper.gateways.performing import Performances, Stopped
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.wire.decisions import LARGEST_USAGE, Answer, Outcome

log = logging.getLogger(__name__)

PREFIX = "/openai/v1"
LARGEST_BODY = 8 * 1024 * 1024


class ModelEndpoint:
    """The ASGI app of the model gateway."""

    def __init__(
        self,
        decider: Decider,
        callers: Callers,
        offers: Offers,
        egress: Egress,
        credentials: Credentials,
        performances: Performances,
        health: ProviderHealth,
    ) -> None:
        self._decider = decider
        self._callers = callers
        self._offers = offers
        self._egress = egress
        self._credentials = credentials
        self._performances = performances
        self._health = health

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request."""
        try:
            await self._serve(scope, receive, send)
        except CallerGone:
            return
        except ModelError as error:
            await error.send(send, None)
        except WatchkeeperError as error:
            await _as_model_error(error).send(send, None)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        headers = read_headers(scope)
        if not is_own_origin(headers):
            raise _bad_request(403, "origin", "web pages from elsewhere may not call this address")
        token = bearer(headers)
        path = scope["path"].rpartition(PREFIX)[2].rstrip("/")
        asked = (scope["method"], path)
        if asked == ("POST", "/chat/completions"):
            body = await read_body(receive, headers, LARGEST_BODY)
            await self._complete(token, body, CallerWatch(receive), send)
        elif scope["method"] == "GET" and (path == "/models" or path.startswith("/models/")):
            await self._list_models(token, path.removeprefix("/models").removeprefix("/"), send)
        else:
            raise _bad_request(
                404, "not_found", f"{scope['method']} {path[:80]} is not served; POST "
                f"{PREFIX}/chat/completions and GET {PREFIX}/models are"
            )  # fmt: skip

    async def _list_models(self, token: str, wanted: str, send: Any) -> None:
        caller = await self._callers.identify(token)
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "watchkeeper"}
            for name in self._offers.models(caller.agent, caller.scope)
        ]
        if not wanted:
            await answer(send, 200, msgspec.json.encode({"object": "list", "data": models}))
            return
        one = next((model for model in models if model["id"] == wanted), None)
        if one is None:
            raise unknown_model(wanted)
        await answer(send, 200, msgspec.json.encode(one))

    async def _complete(self, token: str, body: bytes, watch: CallerWatch, send: Any) -> None:
        completion = read_completion(body)
        try:
            decided = await self._decide(token, completion, watch)
            if decided is None:
                return
            try:
                await self._perform(decided, completion, watch, send)
            except ModelError as error:
                await error.send(send, decided.decision)
        finally:
            await watch.stop()

    async def _decide(
        self, token: str, completion: Completion, watch: CallerWatch
    ) -> Answer | None:
        caller = await self._callers.recognise(token)
        return await decide_and_hold(
            self._decider,
            token,
            completion.ask(
                self._offers.route(completion.model),
                templates=self._offers.names_prompts(caller.agent),
            ),
            performer="plane",
            hold_seconds=self._offers.hold_seconds(caller.agent),
            gone=watch.gone,
            on_hold=lambda answer, waited: watch.start(),
        )

    async def _perform(
        self, decided: Answer, completion: Completion, watch: CallerWatch, send: Any
    ) -> None:
        if decided.verdict != "permit":
            raise refused(decided)
        asked = self._offers.route(completion.model)
        model, most = _obliged(decided, completion)
        route = self._offers.route(model)
        if route is None:
            why = "no provider serves the model any more; nothing was done"
            await self._decider.settle(decided.decision, Outcome(status="failed", error=why))
            raise unknown_model(model)
        if most < 1:
            why = "a policy lets it generate fewer tokens than it asks for choices"
            await self._decider.settle(decided.decision, Outcome(status="failed", error=why))
            raise _bad_request(400, "too_many_choices", f"{why}; nothing was done")
        call = ProviderCall(
            self._egress,
            self._credentials,
            route,
            completion,
            decision=decided.decision,
            warnings=decided.warnings,
            ceiling=min(completion.output_tokens(asked), most),
            health=self._health,
            watch=watch,
            send=send,
        )
        try:
            made: Made = await self._performances.perform(decided.decision, call.perform)
        except Stopped as cut:
            raise stopped(cut.lock) from None
        except WatchkeeperError as error:
            raise _as_model_error(error) from None
        except Exception:
            log.exception("completion under decision %s failed", decided.decision)
            raise _bad_request(
                500, "internal", "internal error; the plane's log says more"
            ) from None
        if isinstance(made, ModelError):
            raise made
        if isinstance(made, Whole):
            await answer(send, made.status, made.body, made.headers, made.kind.encode("latin-1"))


def _obliged(decided: Answer, completion: Completion) -> tuple[str, int]:
    """Return the model that answers, and the most output tokens per choice."""
    model, most = completion.model, LARGEST_USAGE
    for duty in decided.obligations:
        if duty.kind == "route" and duty.model != completion.model:
            model = duty.model or model
        elif duty.max_output_tokens is not None:
            most = min(most, duty.max_output_tokens)
    return model, most // completion.choices


def _bad_request(status: int, code: str, message: str) -> ModelError:
    return ModelError(status, "invalid_request_error", code, message)


def _as_model_error(error: WatchkeeperError) -> ModelError:
    kind = "authentication_error" if isinstance(error, Unauthenticated) else "watchkeeper_error"
    headers = (
        ((b"www-authenticate", b'Bearer realm="watchkeeper", error="invalid_token"'),)
        if isinstance(error, Unauthenticated)
        else ()
    )
    return ModelError(error.status, kind, error.code, str(error), headers=headers, rule=error.rule)
