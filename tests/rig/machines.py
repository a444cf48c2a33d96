"""Running a state machine against a database within the time that CI has."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def machine_settings(*, examples: int = 20) -> settings:
    """Return the settings of a state machine: short runs in CI, the profile's own in `deep`.

    A failure is shrunk only in the `deep` profile, since that takes minutes.
    """
    chosen: dict[str, Any] = {}
    if os.environ.get("HYPOTHESIS_PROFILE", "ci") == "ci":
        chosen["phases"] = (Phase.explicit, Phase.generate)
        chosen["max_examples"] = examples
        chosen["stateful_step_count"] = 30
    return settings(**chosen)


def run_machine(machine: type[RuleBasedStateMachine], database_url: str) -> None:
    """Run a machine whose `url` names the database of every example.

    PostgreSQL gets fewer examples: the rules are the same and each statement asks a server.
    """
    examples = 4 if database_url.startswith("postgresql") else 20
    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"url": database_url}),
        settings=machine_settings(examples=examples),
    )
