"""The authorization server's routes: tokens are issued, exchanged, looked up and taken back."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_plus

from starlette.responses import JSONResponse, Response

from watchkeeper.api.callers import PEER, find_person
from watchkeeper.api.respond import NO_STORE
from watchkeeper.api.table import Call, Operation, check_permission
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid, Unauthenticated
from watchkeeper.decide.tokens.proofs import Prove
from watchkeeper.decide.tokens.server import Exchange, Given
from watchkeeper.identity.details import read_details
from watchkeeper.identity.enrolment import workload_of
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.identity.scope import Layer, read_scope
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.oauth import (
    ACCESS_TOKEN_TYPE,
    CLIENT_CREDENTIALS,
    ID_TOKEN_TYPE,
    JWT_BEARER,
    JWT_SPIFFE,
    JWT_TYPE,
    TOKEN_EXCHANGE,
    Form,
    TokenForm,
    TokenGiven,
    TokenToLookUp,
)

MCP_PATH, MODEL_PATH, ANTHROPIC_PATH = "/mcp", "/openai/v1", "/anthropic"
_SUBJECT_TYPES = frozenset({ACCESS_TOKEN_TYPE, JWT_TYPE, ID_TOKEN_TYPE})


async def token(call: Call) -> Response:
    """Issue a token: an agent's own (client credentials), or one in exchange for another."""
    form: TokenForm = call.body
    prove = await _client(call, form)
    if form.grant_type == CLIENT_CREDENTIALS:
        return await _access(call, form, prove)
    if form.grant_type != TOKEN_EXCHANGE:
        raise Invalid("the grant type is not known here", code="unsupported_grant_type")
    return await _exchange(call, form, prove)


async def _access(call: Call, form: TokenForm, prove: Prove | None) -> Response:
    if prove is None:
        raise _no_client()
    if form.scope is not None or form.authorization_details is not None:
        raise Invalid(
            "an agent's own token opens runs and does nothing else",
            code="invalid_scope",
            remedy="narrow the run's token with a token exchange",
        )
    issued = await call.rooms.tokens.access(prove)
    return _answer(
        TokenGiven(
            access_token=issued.secret,
            expires_in=_seconds(call, issued.expires_at),
            agent=issued.agent,
        )
    )


async def _exchange(call: Call, form: TokenForm, prove: Prove | None) -> Response:
    subject = form.subject_token
    if subject is None or form.subject_token_type not in _SUBJECT_TYPES:
        raise Invalid(
            "subject_token and a subject_token_type that is known here are needed",
            remedy=f"known: {', '.join(sorted(_SUBJECT_TYPES))}",
        )
    if form.actor_token is not None:
        if prove is not None:
            raise Invalid("authenticate the agent or send its actor_token, not both")
        prove = await _actor(call, form)
    narrower = Layer(
        read_scope(form.scope),
        read_details(form.authorization_details, call.rooms.tokens.counter()),
    )
    if form.requested_token_type == JWT_TYPE:
        return await _direct(call, form, subject, narrower)
    if form.requested_token_type not in (None, ACCESS_TOKEN_TYPE):
        raise Invalid("that type of token is not issued here")
    _check_resource(call, form.resource)
    given = await call.rooms.tokens.exchange(
        Exchange(subject, prove, narrower, form.goal, form.environment, caller=call.caller)
    )
    return _answer(_show(call, given))


async def _direct(call: Call, form: TokenForm, subject: str, narrower: Layer) -> Response:
    if form.resource is None:
        raise Invalid("name the upstream as resource", code="invalid_target")
    jwt, seconds, scope = await call.rooms.tokens.direct(subject, form.resource, narrower)
    return _answer(
        TokenGiven(access_token=jwt, expires_in=seconds, issued_token_type=JWT_TYPE, scope=scope)
    )


def _show(call: Call, given: Given) -> TokenGiven:
    http = call.rooms.http
    return TokenGiven(
        access_token=given.run.token,
        expires_in=_seconds(call, given.run.expires_at),
        issued_token_type=ACCESS_TOKEN_TYPE,
        scope=given.scope.scope_text,
        authorization_details=tuple(given.scope.details_as_json()) or None,
        agent=given.agent,
        run=given.run.run,
        mcp_url=f"{http}{MCP_PATH}",
        model_base_url=f"{http}{MODEL_PATH}",
        anthropic_base_url=f"{http}{ANTHROPIC_PATH}",
    )


async def introspect(call: Call) -> Response:
    """Say what a token is to somebody who may know: a person who sees to tokens, or its agent."""
    form: TokenToLookUp = call.body
    agent = await _asks(call, form)
    return JSONResponse(await call.rooms.tokens.introspect(form.token, agent), headers=NO_STORE)


async def revoke(call: Call) -> Response:
    """Take back a token and all that was got with it; an unknown one is none."""
    form: TokenToLookUp = call.body
    agent = await _asks(call, form)
    if agent is None:
        call.check_unlocked()
    actor = f"agent/{agent}" if agent else call.actor
    await call.rooms.tokens.revoke(form.token, actor=actor, agent=agent)
    return Response(status_code=200, headers=NO_STORE)


async def _asks(call: Call, form: Form) -> str | None:
    """Return the agent that calls, or None for a person who sees to tokens."""
    bearer = call.bearer
    if bearer is not None and bearer.startswith(("wkr_", "wka_")):
        return await call.rooms.store.read(lambda tx: _holder(tx, bearer))
    prove = await _client(call, form)
    if prove is not None:
        found = prove
        # an assertion is used up by this, as by anything else
        return await call.rooms.store.write(lambda tx: _proven(tx, found))
    if bearer is None and PEER not in call.request.scope:
        raise _no_client()
    scope = call.request.scope
    call.person = await find_person(call.rooms.store, call.rooms.view.now, scope, bearer)
    check_permission(_SEES_TO_TOKENS, call.person)
    return None


def _holder(tx: Transaction, bearer: str) -> str:
    if bearer.startswith("wka_"):
        return workload_of(tx, bearer).agent
    return check_token(facts_of(tx, bearer), tx.now).agent


def _proven(tx: Transaction, prove: Prove) -> str:
    tx.silent("that it asked is no change")
    return prove(tx).agent


async def _client(call: Call, form: Form) -> Prove | None:
    """Return how the client proves itself (RFC 6749, 2.3; 7523, 2.2); None if it does not."""
    basic = _basic(call)
    given = [basic is not None, form.client_secret is not None, form.client_assertion is not None]
    if sum(given) > 1:
        raise Invalid("authenticate in one way only")
    proofs = call.rooms.tokens.proofs
    if basic is not None:
        return proofs.by_secret(basic[1], basic[0] or None, enrolled=True)
    if form.client_secret is not None:
        return proofs.by_secret(form.client_secret, form.client_id, enrolled=True)
    if form.client_assertion is not None:
        if form.client_assertion_type not in (JWT_BEARER, JWT_SPIFFE):
            raise Invalid("that client_assertion_type is not known here", code="invalid_client")
        return await proofs.by_assertion(form.client_assertion, form.client_id, _audiences(call))
    return None


async def _actor(call: Call, form: TokenForm) -> Prove:
    actor = form.actor_token or ""
    if actor.startswith("wka_"):
        return call.rooms.tokens.proofs.by_secret(actor, form.client_id, enrolled=False)
    if form.actor_token_type == JWT_TYPE:
        return await call.rooms.tokens.proofs.by_assertion(actor, form.client_id, _audiences(call))
    raise Invalid("the actor_token is neither an agent's token nor a JWT")


def _audiences(call: Call) -> set[str]:
    return {f"{call.rooms.http}/oauth/token", call.rooms.http}


def _basic(call: Call) -> tuple[str, str] | None:
    scheme, _, sent = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(sent, validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        raise Invalid("the Authorization header is no Basic one") from None
    if not colon:
        raise Invalid("the Authorization header is no Basic one")
    return unquote_plus(name), unquote_plus(secret)


def _check_resource(call: Call, resource: str | None) -> None:
    http = call.rooms.http
    here = {f"{http}{path}" for path in ("", MCP_PATH, MODEL_PATH, ANTHROPIC_PATH)}
    if resource is not None and resource not in here:
        raise Invalid(
            "a run's token is for this plane",
            code="invalid_target",
            rule="identity/resource",
            remedy=f"name {http}{MCP_PATH}, or ask for a JWT for an upstream",
        )


def _no_client() -> Unauthenticated:
    return Unauthenticated(
        "nobody is authenticated",
        rule="identity/client",
        remedy="send the agent's credential as HTTP Basic, or a client_assertion",
    )


def _seconds(call: Call, at: int) -> int:
    return max(0, -((call.rooms.clock.now() - at) // MICROSECONDS))


def _answer(given: TokenGiven) -> Response:
    body = given.model_dump_json(exclude_none=True)
    return Response(body, 200, NO_STORE, "application/json")


_SEES_TO_TOKENS = Operation(
    "POST", "/oauth/introspect", "tokens", introspect, "Whose permission it takes."
)
OPERATIONS = (
    Operation(
        "POST",
        "/oauth/token",
        "anyone",
        token,
        "Issue a token to an agent that proves itself, or exchange one (RFC 6749, 7523, 8693).",
        answers=TokenGiven,
        takes=TokenForm,
        form=True,
        tags=("oauth",),
    ),
    Operation(
        "POST",
        "/oauth/introspect",
        "agent",
        introspect,
        "Say what a token is (RFC 7662), to its agent or a person who sees to tokens.",
        takes=TokenToLookUp,
        form=True,
        tags=("oauth",),
    ),
    Operation(
        "POST",
        "/oauth/revoke",
        "agent",
        revoke,
        "Take back a token and all that was got with it (RFC 7009).",
        takes=TokenToLookUp,
        form=True,
        tags=("oauth",),
    ),
)
