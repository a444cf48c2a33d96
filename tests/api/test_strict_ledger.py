"""At the strict level the ledger holds no personal data, however a request was handled."""

from __future__ import annotations

import json

from tests.rig.plane import Plane
from tests.rig.world import POLICY, TOOLS, agent_document, world

TOOL, LUCY, BOB = "books.create_refund", "lucy.brown@example.com", "bob.smith@example.com"
STRICT = "  logging: {pii_redaction: strict}\n  identity:"


def test_what_an_approver_words_anew_is_not_quoted(plane: Plane) -> None:
    worded = "  amount_usd: amount_usd\n  edits: {reason: words}\n"
    tools = TOOLS.replace("  amount_usd: amount_usd\n", worded, 1)
    agent = agent_document().replace("  identity:", STRICT)
    documents = [tools if text == TOOLS else text for text in world(agent=agent)]
    plane.apply(*documents, rules__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    call = {"charge_id": "ch_1", "amount_usd": 400, "reason": f"mail {LUCY}"}
    request = run.decide(TOOL, call)["request"]
    seen = plane.operator.get(f"/v1/requests/{request}")
    assert LUCY in seen["arguments"]["reason"]
    stands = plane.operator.post(
        f"/v1/requests/{request}/edit",
        {"digest": seen["digest"], "arguments": {**call, "reason": f"mail {BOB}"}},
    )
    assert stands["state"] == "approved"
    run.decide(TOOL, call)
    told = json.dumps(plane.events())
    assert f"narrowed {request} (reason" in told
    assert LUCY not in told
    assert BOB not in told
