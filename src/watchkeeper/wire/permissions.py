"""What people may do: named permissions, and the operator roles that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Permission = Literal[
    "read",
    "audit",
    "decide",
    "break-glass",
    "oncall",
    "deliveries",
    "lock",
    "lift",
    "top-up",
    "apply",
    "people",
    "policy-activate",
    "tools-accept",
    "secrets",
    "enroll",
    "keys",
    "tokens",
    "replay",
    "issue-tokens",
    "plane",
]
"""`audit`: verify and export the ledger; `decide`: vote and escalate;
`break-glass`: approve alone in an emergency, to be reviewed; `oncall`: put others on call or take
them off; `deliveries`: send again what could not be delivered, list and try channels; `people`:
apply who may do what (person, operator_role and issuer documents); `tokens`: see and revoke
people's tokens; `replay`: send what an agent asked a model once more, at its cost, and play runs
to their agents; `keys`: see to the plane's signing keys; `plane`: stop it, drive its rehearsal
clock."""

PERMISSIONS: frozenset[Permission] = frozenset(get_args(Permission))
OWNER_ONLY: frozenset[Permission] = frozenset({"issue-tokens", "plane"})
"""Only the account that runs the plane has these; no role can hold them."""

BUILT_IN_ROLES: Mapping[str, frozenset[Permission]] = MappingProxyType(
    {
        "viewer": frozenset({"read"}),
        "approver": frozenset({"read", "decide"}),
        "responder": frozenset({"read", "lock", "lift", "deliveries"}),
        "auditor": frozenset({"read", "audit"}),
        "admin": PERMISSIONS - OWNER_ONLY,
    }
)
"""The operator roles that every plane has; `operator_role` documents add others."""
