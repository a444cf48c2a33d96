"""Does it come too soon after others?"""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Ruling
from watchkeeper.registry.parts import RateLimit
from watchkeeper.tools.rates.rules import Limit, make_limit


def rate_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """Every rate limit over it has a call left; then one is spent of each, or of none."""
    limits = (*limits_over(facts.catalogue, facts.run.agent, action), *progress.limits)
    refused = facts.pass_rates(limits) if limits else None
    if refused is None:
        return None
    limit, seconds = refused.limit, refused.retry_after_seconds
    return Ruling(
        "deny",
        limit.rule,
        f"{limit.about} may make {limit.words}, and no more now",
        f"the same call in {seconds} s",
        retry_after_seconds=seconds,
    )


def limits_over(catalogue: Catalogue, agent: str, action: Action) -> Iterator[Limit]:
    """Yield every rate limit over an action: the agent's, the tool's, the team's, the plane's."""
    governed = catalogue.agents.get(agent)
    if governed is None:
        return
    contract = governed.contract
    if contract.rate_limit is not None:
        yield limit_of(f"rate/agent/{agent}", f"agent {agent}", contract.rate_limit)
    tool = catalogue.tools.get(action.name) if action.kind == "tool" else None
    if tool is not None and tool.contract.rate_limit is not None:
        about = f"all agents together with {action.name}"
        yield limit_of(f"rate/tool/{action.name}", about, tool.contract.rate_limit)
    for rate in catalogue.rates:
        if rate.scope in ("all", f"team/{contract.owner}"):
            about = "all agents together" if rate.scope == "all" else f"team {contract.owner}"
            yield limit_of(f"rate/{rate.name}", about, rate.limit)


def limit_of(rule: str, about: str, declared: RateLimit) -> Limit:
    """Return a declared rate as the limit that a rule names."""
    return make_limit(
        rule,
        about,
        calls=declared.calls,
        seconds=declared.seconds,
        burst=declared.burst,
        words=declared.words,
    )
