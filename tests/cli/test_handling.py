"""`requests edit|changes|comment|break-glass|review|take-back|cancel`, as a person types them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.command import Ended, watchkeeper
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world

TOOL, REFUND = (
    "books.create_refund",
    {"charge_id": "ch_1", "amount_usd": 400, "reason": "tw\u0456ce"},
)


def test_everything_that_becomes_of_a_request_has_its_command(plane: Plane, tmp_path: Path) -> None:
    plane.apply(*world(), rules__cedar=POLICY)
    run = plane.enrol("clerk").open_run(on_behalf_of="customer/ada")

    def requests(*words: str, **more: Any) -> Ended:
        return watchkeeper(tmp_path, "requests", *words, state=plane.state, **more)

    request = str(run.decide(TOOL, REFUND)["request"])
    shown = requests("show", request)
    assert "amount_usd (lower)" in shown.out
    assert "U+0456 CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I at 3" in shown.out
    empty = requests("comment", request, "")
    assert (empty.code, empty.err) == (1, "watchkeeper: text: is empty\n")
    assert requests("comment", request, "is this right?").out.endswith("has 1 comment.\n")
    assert "person/" in requests("show", request).out

    for words, says in (
        (("amount_usd=401",), "can only be lowered"),
        (("amount_usd=forty",), "amount_usd: not JSON"),
        (("amount=4",), "names no argument"),
        (("charge_id=ch_2",), "may not be changed"),
    ):
        refused = requests("edit", request, *words)
        assert (refused.code, says in refused.err) == (1, True), refused.err
    edited = requests("edit", request, "amount_usd=40", "--reason", "a tenth", "--json").json()
    assert (edited["state"], edited["supersedes"]) == ("approved", request)
    stands = edited["request"]
    assert requests("edit", request, "amount_usd=30").code == 4
    told = requests("show", stands).out
    assert "amount_usd: 400 -> 40" in told
    assert "a tenth" in told
    back = requests("take-back", stands, "--reason", "wrong one")
    assert (back.code, "is revoked" in back.out) == (0, True)
    assert requests("take-back", stands).code == 4

    again = str(run.decide(TOOL, REFUND)["request"])
    assert requests("changes", again).code == 2
    denied = requests("changes", again, "--reason", "ask for less").out
    assert denied.endswith("is denied, and the agent is told what would do.\n")
    asked = watchkeeper(
        tmp_path, "submit", "--poll", again,
        environ={"WATCHKEEPER_URL": plane.url, "WATCHKEEPER_RUN_TOKEN": run.token},
    )  # fmt: skip
    assert "denied: changes requested by person/" in asked.out
    assert "ask for less" in run.decide(TOOL, REFUND)["reason"]

    urgent = str(run.decide(TOOL, {**REFUND, "amount_usd": 300})["request"])
    done = requests("break-glass", urgent, "--reason", "fire")
    assert "is approved, by you alone" in done.out
    assert "Somebody else of finance-ops has to review it" in done.out
    waits = requests("list", "--which", "review").out
    assert urgent in waits
    assert "23 h" in waits or "1 d" in waits
    own = requests("review", urgent, "justified", "--note", "it was me")
    assert (own.code, "somebody else has to review it" in own.err) == (6, True)
    grace = plane.operator.post("/v1/persons/tokens", {"person": "grace", "permission": "approver"})
    reviewed = watchkeeper(
        tmp_path, "--connect", plane.url, "requests", "review", urgent, "justified",
        "--note", "there was a fire", token=grace["token"],
    )  # fmt: skip
    assert "justified, says person/grace" in reviewed.out, reviewed.err

    last = str(run.decide(TOOL, {**REFUND, "amount_usd": 500})["request"])
    assert requests("cancel", last).code == 2
    ended = requests("cancel", last, environ={"WATCHKEEPER_RUN_TOKEN": run.token})
    assert ended.out == f"{last} is cancelled.\n"


def test_a_quorum_is_named_until_it_is_met(plane: Plane, tmp_path: Path) -> None:
    documents = [
        *world(),
        "role: {name: legal, members: [grace]}",
        "risk: {name: high, quorum: 1 of legal, signed: true, reason: true}",
    ]
    both = "1 of finance-ops and 1 of legal"
    plane.apply(*documents, rules__cedar=POLICY)
    run = plane.enrol("clerk").open_run()

    def requests(*words: str) -> Ended:
        return watchkeeper(tmp_path, "requests", *words, state=plane.state)

    request = str(run.decide(TOOL, {**REFUND, "reason": "twice"})["request"])
    assert "finance-ops, legal" in requests("list").out
    # a reason is missed before any key is looked for
    refused = requests("approve", request)
    assert refused.out == f"clerk asks {both}: create refund of $400.00 on charge ch_1\n"
    assert "needs a reason" in refused.err
    assert "/reason" in refused.err
    assert "--reason" in refused.err
    polled = watchkeeper(
        tmp_path, "submit", "--poll", request,
        environ={"WATCHKEEPER_URL": plane.url, "WATCHKEEPER_RUN_TOKEN": run.token},
    )  # fmt: skip
    assert f"waits for {both} until" in polled.out
