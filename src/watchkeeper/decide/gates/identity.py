"""Is the run of a known agent, and acting for whom its contract says?"""

from __future__ import annotations

from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Ruling, deny


def identity_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """The run is of a known agent and acts for whom its contract says."""
    agent = facts.catalogue.agents.get(facts.run.agent)
    if agent is None:
        return deny(
            "identity/contract",
            f"no contract is in force for agent {facts.run.agent!r}",
            "apply its contract",
        )
    if agent.contract.identity.mode == "on_behalf_of" and not facts.run.on_behalf_of:
        return deny(
            f"contract/{facts.run.agent}/identity",
            "its contract lets it act only on somebody's behalf, and the run names nobody",
            "open the run with on_behalf_of",
        )
    return None
