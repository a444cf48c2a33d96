"""Every kind of lock in every mode, on the decision path: what it refuses, and what not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.decide.still import StillFacts, a_run
from tests.kill.guarded import KINDS, LOCK, MODES, governed, lock_on
from watchkeeper.approvals.model import Grant
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.decide.model import Action, Progress, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.identity.model import RunFacts, write_lineage
from watchkeeper.kill.rules import OWNS_RUNS, covering
from watchkeeper.wire.decisions import DutyKind, Usage
from watchkeeper.wire.locks import Mode, TargetKind

CAN: tuple[DutyKind, ...] = ("route", "max_output_tokens", "compose")
COVERED: dict[TargetKind, str] = {
    "run": "run_1",
    "agent": "clerk",
    "version": "clerk@1",
    "tool": "books.read",
    "upstream": "books",
    "model": "small-fast",
    "provider": "near",
    "team": "finance-ops",
    "person": "ada",
    "runtime": "graphs",
    "approval": "req_1",
    "everything": "*",
}
"""What the actions below touch, by kind. No action is a workflow's yet."""
OTHER: dict[TargetKind, str] = {
    "run": "run_2",
    "agent": "scribe",
    "version": "clerk@2",
    "tool": "books.pay",
    "upstream": "shelves",
    "model": "two-places",
    "provider": "far",
    "team": "records",
    "person": "bob",
    "runtime": "flows",
    "workflow": "month-end",
    "approval": "req_2",
}


def run_of(**changes: Any) -> RunFacts:
    return a_run(agent="clerk", on_behalf_of="ada.l", **changes)


def action_for(kind: TargetKind) -> Action:
    """An action that a lock on `COVERED[kind]` covers, as it is asked for."""
    if kind in ("model", "provider"):
        estimate = Usage(input_tokens=100, output_tokens=100)
        return Action("model", "small-fast", {}, estimate, fulfils=CAN)
    return Action("tool", "books.pay" if kind == "approval" else "books.read", {})


def put(action: Action, run: RunFacts, *locks: Any, grant: str = "req_1") -> Ruling:
    """Put an action through the gates; what needs approval has it."""
    facts = StillFacts(governed(), run, locks)
    facts.grant = Grant(grant, "", 10**16, ("finance-ops",), ("bob",))
    looked: list[Progress] = [Progress()]
    decide(action, StillFacts(facts.catalogue, run), progress=looked[0])
    facts.granted = frozenset({looked[0].digest})
    return decide(action, facts)[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_refuses_what_it_covers_and_names_itself(kind: TargetKind, mode: Mode) -> None:
    action, run = action_for(kind), run_of()
    assert put(action, run).verdict == "permit"
    if kind in OTHER:
        assert put(action, run, lock_on(kind, OTHER[kind], mode)).verdict == "permit"
    if kind not in COVERED:
        return
    ruling = put(action, run, lock_on(kind, COVERED[kind], mode))
    if mode == "deny-new" and kind in OWNS_RUNS:
        assert ruling.verdict == "permit", "runs that are open go on"
        return
    assert (ruling.verdict, ruling.rule) == ("deny", "lock/lock_1")
    assert "drill" in ruling.reason
    assert "do not retry" in str(ruling.allowed_instead)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", sorted(OWNS_RUNS))
def test_what_owns_runs_refuses_a_new_one_in_every_mode(kind: TargetKind, mode: Mode) -> None:
    lock = lock_on(kind, COVERED[kind], mode)
    covered = covered_run(governed(), "run_1", "clerk", 1, "person/Ada")
    assert covering([lock], covered, opening=True) is lock


ABOVE = write_lineage([("run_0", "clerk"), ("run_1", "scribe")], {"run_0": 7, "run_1": 4})


@pytest.mark.parametrize(
    ("kind", "name", "refused"),
    [
        ("run", "run_0", True),
        ("agent", "clerk", True),
        ("team", "finance-ops", True),
        ("runtime", "graphs", True),
        ("version", "clerk@7", True),
        ("version", "clerk@6", False),
        ("version", "scribe@4", True),
        ("version", "scribe@7", False),
        ("version", "scribe@1", True),
        ("run", "run_2", False),
    ],
)
def test_a_child_run_is_covered_by_what_covers_a_run_above_it(
    kind: TargetKind, name: str, refused: bool
) -> None:
    run = a_run(run="run_3", agent="scribe", version=1, lineage=ABOVE)
    ruling = put(action_for("tool"), run, lock_on(kind, name, "pause"))
    assert ruling.verdict == ("deny" if refused else "permit")


def test_a_lock_of_a_kind_that_is_not_known_covers_everything() -> None:
    newer = cast("TargetKind", "region")
    ruling = put(action_for("tool"), a_run(agent="clerk"), lock_on(newer, "eu", "pause"))
    assert ruling.rule == f"lock/{LOCK}"


def test_lineage_keeps_versions_and_bears_lines_without() -> None:
    run = a_run(lineage=ABOVE)
    assert run.ancestors == (("run_0", "clerk"), ("run_1", "scribe"))
    assert run.versions_above == {"run_0": 7, "run_1": 4}
    old = a_run(lineage="run_0 clerk\nrun_1 scribe 4")
    assert old.ancestors == run.ancestors
    assert old.versions_above == {"run_1": 4}
    assert not a_run().versions_above


def model_call(name: str) -> Action:
    estimate = Usage(input_tokens=100, output_tokens=100)
    return Action("model", name, {"endpoint": "chat_completions"}, estimate, fulfils=CAN)


@pytest.mark.parametrize("mode", MODES)
def test_routing_leaves_out_the_targets_of_a_locked_provider_and_says_so(mode: Mode) -> None:
    facts = StillFacts(governed(), run_of(), [lock_on("provider", "near", mode)])
    ruling, progress = decide(model_call("two-places"), facts)
    assert ruling.verdict == "permit"
    assert progress.routed is not None
    assert [one.provider for one in progress.routed.targets] == ["far"]
    assert "near/small-1 is barred by lock lock_1: provider near is" in progress.routed.reason


def test_where_every_provider_is_locked_the_refusal_names_a_lock() -> None:
    locks = [lock_on("provider", "near"), lock_on("provider", "far", "pause", epoch=2)]
    ruling, _ = decide(model_call("two-places"), StillFacts(governed(), run_of(), locks))
    assert (ruling.verdict, ruling.rule) == ("deny", "lock/lock_1")
    assert "near/small-1" in ruling.reason
    assert "far/small-1" in ruling.reason


@pytest.mark.parametrize("kind", ["model", "provider"])
def test_what_is_tried_out_is_left_out_while_it_is_locked(kind: TargetKind) -> None:
    free, routed = decide(model_call("led"), StillFacts(governed(), run_of()))
    assert free.verdict == "permit"
    assert routed.routed is not None
    assert routed.routed.model == "small-fast", "the canary"
    facts = StillFacts(governed(), run_of(), [lock_on(kind, COVERED[kind], "pause")])
    ruling, progress = decide(model_call("led"), facts)
    assert ruling.verdict == "permit"
    assert progress.routed is not None
    assert progress.routed.model == "led"
    assert "canary small-fast is left out (lock/lock_1)" in progress.routed.reason
