"""Running a state machine against a database within the time that CI has."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def run_machine(machine: type[RuleBasedStateMachine], database_url: str) -> None:
    """Run a machine whose `url` names the database of every example.

    PostgreSQL gets fewer examples: the rules are the same and each statement asks a server.
    A failure is shrunk only in the `deep` profile, since that takes minutes.
    """
    chosen: dict[str, Any] = {}
    if os.environ.get("HYPOTHESIS_PROFILE", "ci") == "ci":
        chosen["phases"] = (Phase.explicit, Phase.generate)
        if database_url.startswith("postgresql"):
            chosen["max_examples"] = 6
    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"url": database_url}), settings=settings(**chosen)
    )
