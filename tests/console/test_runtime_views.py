"""What the runtimes pane and the kill dialog's modes say, without a screen."""

from __future__ import annotations

import pytest

from tests.console import samples
from tests.console.samples import NOW, moment, read, seconds
from watchkeeper.console.dialogs.killing import MEANS, WORDS, kill_question
from watchkeeper.console.dialogs.reconciling import ending_of, reconcile_question
from watchkeeper.console.dialogs.runtimes import why_not, why_not_adopt
from watchkeeper.console.painting import Span
from watchkeeper.console.views import locks, needs, runtimes
from watchkeeper.wire.health import UnsettledRow
from watchkeeper.wire.locks import Mode, Receipt, Target


def words(spans: object) -> str:
    assert isinstance(spans, list | tuple)
    return "".join(one.text for one in spans if isinstance(one, Span))


def test_rogue_runs_stand_first_and_say_that_nothing_covers_them() -> None:
    rogue = samples.remote_run(
        id="zz", standing="rogue", agent=None, run=None, why="no run of ours names it"
    )
    waiting = samples.remote_run(id="bb", state="waiting", waiting_on="refund of $250.00")
    found = runtimes.lines(
        [samples.runtime_row(rogue=1)], {"graphs": [samples.remote_run(id="aa"), waiting, rogue]}
    )
    assert [line.name for line in found] == ["graphs", "zz", "bb", "aa"]
    cells = runtimes.cells(found[1], moment())
    assert cells["standing"].text == "! rogue"
    assert cells["agent"].text == "refund"
    said = " ".join(read(runtimes.blocks(found[1], moment())).split())
    assert "no run of ours names it" in said
    assert "Adopt it (A) or stop it (S)" in said
    assert "nobody said" in said
    assert "1 rogue run" in words(runtimes.summary(found))
    assert why_not_adopt(found[1]) is None
    assert why_not_adopt(found[3]) == "it is not rogue"


def test_a_runtime_says_what_it_cannot_do_and_how_old_its_word_is() -> None:
    down = samples.runtime_row(
        runtime="apps", kind="adk", health="down", problem="no connection", age_seconds=600,
        can=("list", "answer"), cannot=("stop", "pause"), complete=False,
    )  # fmt: skip
    found = runtimes.lines([samples.runtime_row(), down], {})
    assert [line.name for line in found] == ["apps", "graphs"]
    said = read(runtimes.blocks(found[0], moment()))
    for expected in ("down", "no connection", "stop, pause", "the gateways cover", "more runs"):
        assert expected in said, expected
    cells = runtimes.cells(found[0], moment())
    assert (cells["seen"].text, cells["seen"].token) == ("10:00", "warning")
    never = samples.runtime_row(health="unknown", age_seconds=None)
    assert runtimes.cells(runtimes.lines([never], {})[0], moment())["seen"].text == "never"
    run = runtimes.RuntimeLine(kind="run", runtime=down, run=samples.remote_run(runtime="apps"))
    assert why_not(run, "stop") == "adk can't stop; kill its agent instead"
    at_once = run.model_copy(
        update={"runtime": run.runtime.model_copy(update={"can": ("list", "stop all")})}
    )
    only = f"it can only stop all that runs there: kill runtime/{run.runtime.runtime}"
    assert why_not(at_once, "stop") == only
    ended = run.model_copy(update={"run": samples.remote_run(ended_at=NOW)})
    assert why_not(ended, "stop") == "it has ended"
    assert why_not(found[0], "stop") == "the cursor is not on a run"


def test_the_kill_key_takes_the_narrowest_target_that_a_row_stands_for() -> None:
    runtime = samples.runtime_row()
    found = runtimes.lines(
        [runtime],
        {
            "graphs": [
                samples.remote_run(id="a"),
                samples.remote_run(id="b", run=None),
                samples.remote_run(id="c", run=None, agent=None, standing="rogue"),
            ]
        },
    )
    assert [locks.target_of(line) for line in found] == [
        Target(kind="runtime", name="graphs"),
        Target(kind="runtime", name="graphs"),
        Target(kind="run", name="run_01jd0000000000000000000001"),
        Target(kind="agent", name="refund-assistant"),
    ]
    version = samples.budget_row(scope="version/clerk@3")
    assert locks.target_of(version) == Target(kind="version", name="clerk@3")
    assert needs.place_of(samples.need(kind="runtime", subject="graphs/a")) == (
        "runtimes",
        "graphs/a",
    )


@pytest.mark.parametrize("mode", WORDS)
def test_each_way_of_locking_says_what_it_means_and_leads_to_the_next(mode: Mode) -> None:
    question = kill_question(samples.radius(), mode, narrower=False)
    assert question.title.startswith(WORDS[mode])
    assert MEANS[mode][:20] in " ".join(read(question.body).split())
    following = list(WORDS)[(list(WORDS).index(mode) + 1) % len(WORDS)]
    word = WORDS[following].removesuffix(" of").lower()
    assert question.choices[-1].label == f"{word} instead"
    said = read(question.body)
    assert ("leaves" in said) == (mode in {"pause", "deny-new"})
    assert ("releases" in said) == (mode in {"stop", "drain"})


def test_receipts_stand_by_effect_with_each_party_and_what_is_still_open() -> None:
    def receipt(effect: str, party: str, state: str, detail: str) -> Receipt:
        return Receipt.model_validate(
            {"effect": effect, "party": party, "state": state, "detail": detail,
             "at": NOW + seconds(1), "after_ms": 1000.0}
        )  # fmt: skip

    row = samples.lock_row(
        receipts=(
            receipt("stop run", "plane", "acknowledged", "open runs stopped: 2"),
            receipt("stop run", "runtime/graphs", "unconfirmed", "no answer in 5 s"),
            receipt("notify owner", "role/support", "attempted", "being told"),
        )
    )
    said = read(locks.receipt_blocks(row, moment()), 100)
    assert "runtime/graphs: no answer in 5 s" in said
    assert "… attempted" in said
    assert "check it by hand" in said
    assert said.index("open runs stopped") < said.index("runtime/graphs") < said.index("role/")
    assert locks.receipts_cell(row).text == "1 done, 2 open"


def test_an_outcome_that_nobody_knows_is_settled_in_words() -> None:
    row = UnsettledRow(
        decision="dec_1", agent="clerk", owner="finance-ops", run="run_1", kind="tool",
        name="stripe.create_refund", risk="high", object="charge/ch_81", value_micros=250_000_000,
        performer="plane", at=NOW - seconds(90), since=NOW - seconds(60),
        why="stopped by lock lock_1", outcome="unknown",
    )  # fmt: skip
    question = reconcile_question(row, moment())
    said = read(question.body)
    for expected in ("stopped by lock lock_1", "charge/ch_81", "$250.00", "Look at the target"):
        assert expected in said, expected
    assert question.reason == "required"
    check = question.fields[0].check
    assert [check(text) for text in ("s", "Failed", "succeeded")] == [None, None, None]
    assert check("maybe") == "write succeeded or failed"
    assert ending_of(" F ") == "failed"
