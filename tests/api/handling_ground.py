"""A plane with the refund world, and what its owner does to requests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, TOOLS, agent_document, world

REFUND, TOOL = {"charge_id": "ch_1", "amount_usd": 400}, "books.create_refund"


@pytest.fixture
def world_plane(plane: Plane) -> Plane:
    """A plane with the refund world, whose tool an approver may also word anew."""
    tools = TOOLS.replace(
        "  amount_usd: amount_usd\n", "  amount_usd: amount_usd\n  edits: {reason: words}\n", 1
    )
    documents = [tools if text == TOOLS else text for text in world(agent=agent_document())]
    plane.apply(*documents, RISKS, rules__cedar=POLICY)
    return plane


RISKS = """
role: {name: deputies, members: [grace]}
"""


@pytest.fixture
def run(world_plane: Plane) -> Run:
    """A run of the clerk."""
    return world_plane.enrol("clerk").open_run(on_behalf_of="customer/ada")


def show(plane: Plane, request: str) -> dict[str, Any]:
    """Return a request as the owner sees it."""
    found: dict[str, Any] = plane.operator.get(f"/v1/requests/{request}")
    return found


def act(plane: Plane, request: str, what: str, **body: Any) -> dict[str, Any]:
    """Do something to a request as the owner."""
    found: dict[str, Any] = plane.operator.post(f"/v1/requests/{request}/{what}", body)
    return found


def refused(plane: Plane, request: str, what: str, status: int, **body: Any) -> dict[str, Any]:
    """Return the problem that an act is answered with."""
    return plane.operator.problem("POST", f"/v1/requests/{request}/{what}", body, status=status)


def edit(plane: Plane, request: str, **change: Any) -> dict[str, Any]:
    """Narrow a request as the owner; return what stands for it."""
    seen = show(plane, request)
    arguments = {**seen["arguments"], **change}
    return act(plane, request, "edit", digest=seen["digest"], arguments=arguments, reason="less")


def grace(plane: Plane) -> Any:
    """The API as grace, an approver who is of finance-ops."""
    return plane.caller(plane.operator.post(
        "/v1/persons/tokens", {"person": "grace", "permission": "approver"}
    )["token"])  # fmt: skip
