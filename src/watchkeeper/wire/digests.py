"""What an approval is bound to, computed alike by whoever asks and whoever decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchkeeper.core.digest import Written, digest, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.requests import RequestDetail


def action_digest(
    *,
    agent: str,
    arguments: Mapping[str, Any] | Written,
    contract: str,
    kind: str,
    name: str,
    on_behalf_of: str | None,
    run: str,
    target: str,
) -> str:
    """Return the digest that an approval is bound to.

    It covers who asks (agent and run, on whose behalf), under which contract and tool
    definition (`contract`, `target`: their digests), and the exact arguments: any change of
    them is another action, which nobody has approved.
    """
    return digest(
        "watchkeeper/action/v1",
        {
            "agent": agent,
            "arguments": arguments,
            "contract": contract,
            "kind": kind,
            "name": name,
            "on_behalf_of": on_behalf_of,
            "run": run,
            "target": target,
        },
    )


def is_as_shown(detail: RequestDetail) -> bool | None:
    """Whether a request's digest is of exactly what is shown of it, computed here.

    None where that can't be told: a secret was taken out of the arguments, or the request is
    for no action. False is a reason to decide nothing, and to ask who changed it.
    """
    covers = detail.covers
    if covers is None or not covers.whole:
        return None
    try:
        found = action_digest(
            agent=detail.agent,
            arguments=parse(detail.canonical),
            contract=covers.contract,
            kind=covers.kind,
            name=detail.tool,
            on_behalf_of=detail.on_behalf_of,
            run=detail.run,
            target=covers.target,
        )
    except (Invalid, TypeError, ValueError):
        return False
    return found == detail.digest
