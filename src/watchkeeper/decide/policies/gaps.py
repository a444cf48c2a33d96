"""What policies name that does not exist: a guard on a name nobody bears guards nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from watchkeeper.policy.schema import ASKED
from watchkeeper.policy.source import Checked, check_set
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.documents import Document, Policy
from watchkeeper.registry.rules import Key


def find_policy_gaps(documents: Mapping[Key, Document]) -> list[str]:
    """Return, in words, every name in a policy that nothing in force bears.

    Raises `Invalid` for a policy that can't be used.
    """
    files = [(name, d.text) for (_, name), d in documents.items() if isinstance(d, Policy)]
    bearers = _bearers(documents)
    return [gap for file in check_set(files) for gap in _gaps(file, bearers)]


def _gaps(file: Checked, bearers: frozenset[tuple[str, str]]) -> Iterator[str]:
    for kind, name in sorted(file.entities - bearers):
        if kind == "Action":
            if name not in ASKED:
                yield f'policy file {file.name!r}: nothing asks for Action::"{name}" yet'
            continue
        yield (
            f'policy file {file.name!r}: names {kind}::"{name}", which does not exist; '
            "what is said of it applies to nothing"
        )
    for policy in file.policies:
        for duty in policy.duties:
            if duty.model and ("Model", duty.model) not in bearers:
                yield (
                    f"policy {policy.policy!r}: leads calls to model {duty.model!r}, which does "
                    "not exist; they are denied until it does"
                )
        asked = policy.obligation
        if asked is None:
            continue
        if ("role", asked.role) not in bearers:
            yield (
                f"policy {policy.policy!r}: @approver_role names role {asked.role!r}, which does "
                "not exist; the plane's owner is asked until it does"
            )
        for role, _ in asked.quorum:
            if role != asked.role and ("role", role) not in bearers:
                yield (
                    f"policy {policy.policy!r}: @quorum names role {role!r}, which does not "
                    "exist; the plane's owner is asked until it does"
                )
        if asked.escalation and ("escalation", asked.escalation) not in bearers:
            yield (
                f"policy {policy.policy!r}: @escalation names {asked.escalation!r}, "
                "which does not exist"
            )


def _bearers(documents: Mapping[Key, Document]) -> frozenset[tuple[str, str]]:
    found = {(kind, name) for kind, name in documents if kind in {"role", "escalation"}}
    found |= {
        (kind.capitalize(), name) for kind, name in documents if kind in {"agent", "tool", "model"}
    }
    for document in documents.values():
        if isinstance(document, AgentContract):
            found |= {("Team", document.owner), ("Namespace", document.namespace)}
            found |= {("Store", name) for name in document.memory.read + document.memory.write}
    return frozenset(found)
