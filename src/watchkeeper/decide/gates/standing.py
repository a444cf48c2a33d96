"""Did people approve beforehand that such an action may run?"""

from __future__ import annotations

from watchkeeper.approvals.standing import rules
from watchkeeper.approvals.standing.model import StandingApproval, Use
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Requirement


def covering(
    action: Action, facts: Facts, progress: Progress, requirement: Requirement
) -> StandingApproval | None:
    """Return the standing approval under which an action that needs approval may run, or None."""
    tool = facts.catalogue.tools.get(action.name) if action.kind == "tool" else None
    if tool is None or requirement.risk == "critical":
        return None
    known = facts.standing_approvals(action.name)
    if not known:
        return None
    agent, run = facts.catalogue.agents[facts.run.agent], facts.run
    behalf = facts.close_to(run.on_behalf_of) if run.on_behalf_of else frozenset()
    found = rules.covering(
        known,
        Use(
            contract=agent.digest,
            agent_version=agent.version,
            tool_digest=tool.digest,
            definition=progress.definition,
            arguments=action.arguments,
            amount_micros=progress.amount_micros,
            risk=requirement.risk,
            groups=requirement.groups,
            signed=requirement.deciding.signed,
            on_behalf_of=behalf,
            now=facts.now,
        ),
    )
    return next((one for one in found if facts.why_void(one.standing) is None), None)
