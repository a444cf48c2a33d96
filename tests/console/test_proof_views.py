"""What proves the ledger, what was taken away, and lines that are completed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console import samples
from tests.console.samples import NOW, moment, read, seconds
from watchkeeper.console.completion import Completion, complete_path
from watchkeeper.console.desk import Field, Question, one_of
from watchkeeper.console.dialog import Dialog
from watchkeeper.console.editor import Editor
from watchkeeper.console.views import events, exports, proofs
from watchkeeper.core.evidence.findings import Findings
from watchkeeper.wire.audit import CheckpointRow, LogKeyRow, Progress

LATER = 10.0


def checkpoint(size: int, *anchored: str) -> CheckpointRow:
    return CheckpointRow(checkpoint=size, at=NOW - seconds(60), origin="w/plane", size=size,
                         root="r00t", note="", anchored=anchored)  # fmt: skip


def key(**changed: object) -> LogKeyRow:
    fields = {"origin": "w/plane", "key": "w/plane+1+AA", "cause": "began",
              "reason": "the ledger began", "made_at": NOW - seconds(600)}  # fmt: skip
    return LogKeyRow.model_validate({**fields, **changed})


def standing(
    last: CheckpointRow | None, anchored: CheckpointRow | None, *keys: LogKeyRow
) -> proofs.Standing:
    return proofs.Standing(100, last, anchored, 3, 3, keys or (key(),))


def told(found: proofs.Standing) -> str:
    return "".join(part.text for part in proofs.line(found))


def test_the_tail_that_no_anchor_has_is_always_stated() -> None:
    assert told(standing(None, None)) == "  nothing is signed yet"
    assert told(standing(checkpoint(90), None)) == "  signed 90 of 100  not anchored"
    some = standing(checkpoint(90), checkpoint(60, "file"))
    assert told(some) == "  signed 90 of 100  40 not anchored"
    assert "40 entries that could be cut off" in read(proofs.blocks(some, moment()))
    assert "60 entries, by file" in read(proofs.blocks(some, moment()))
    whole = checkpoint(100, "file", "git")
    assert told(standing(whole, whole)) == "  signed 100 of 100  all anchored"


def test_a_fork_stands_out_until_somebody_has_said_why() -> None:
    forked = key(cause="forked", reason="entries are gone", lost_size=120)
    found = standing(checkpoint(100), None, forked, key())
    assert told(found).endswith("! 1 fork")
    text = " ".join(read(proofs.blocks(found, moment())).split())
    assert "up to 120, were gone; nobody has said why" in text
    accepted = standing(checkpoint(100), None, key(lost_size=120, accepted_by="person/ada"))
    assert "fork" not in told(accepted)
    assert "accepted by ada" in read(proofs.blocks(accepted, moment()))


def test_a_bundle_that_does_not_hold_says_so_first() -> None:
    found = Findings()
    found.proven.append("the manifest is signed")
    found.unproven.append("what agents remembered")
    good = read(exports.evidence_blocks(Path("/x/run.tar"), 2_500_000, "K+1", found))
    assert "✓ Written: 2.5 MB" in good
    assert "python3 -I verify.py run.tar --key K+1" in good
    assert "does not hold" not in good
    found.fail("entry 7 is not what was signed")
    bad = read(exports.evidence_blocks(Path("/x/run.tar"), 900, "K+1", found))
    assert bad.index("entry 7") < bad.index("the manifest is signed")
    assert "does not hold" in bad


def test_progress_is_told_in_figures_and_words() -> None:
    begun = read(exports.progress_blocks("It reads", Progress(), "q stops"))
    assert "%" not in begun
    half = read(exports.progress_blocks("It reads", Progress(done=50, total=200), "q stops"))
    assert "50 of 200 entries, 25 %" in half
    over = read(exports.progress_blocks("It reads", Progress(done=300, total=200), "q stops"))
    assert "░" not in over


def test_what_was_erased_of_an_entry_is_named() -> None:
    body = {"goal": "[erased]", "personal": {"val_1": "aa"}}
    assert "it was erased" in read(events.blocks(samples.event_row(body=body), moment()))
    kept = {"goal": "help kim", "personal": {"val_1": "aa", "val_2": "bb"}}
    text = read(events.blocks(samples.event_row(body=kept), moment()))
    assert "2 values, kept apart" in text
    assert "erased" not in text


def test_paths_are_completed_as_a_shell_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "one.cedar").touch()
    (tmp_path / "run.yaml").touch()
    (tmp_path / ".hidden").touch()
    assert complete_path("") == ["rules/", "run.yaml"]
    assert complete_path("r") == ["rules/", "run.yaml"]
    assert complete_path("rules/") == ["rules/one.cedar"]
    assert complete_path(f"{tmp_path}/ru") == [f"{tmp_path}/rules/", f"{tmp_path}/run.yaml"]
    assert complete_path(".h") == [".hidden"]
    assert complete_path("nowhere/x") == []
    line = Editor("ru")
    completion = Completion(complete_path)
    assert [completion.offer(line) and line.text for _ in range(3)] == [
        "rules/", "run.yaml", "rules/",
    ]  # fmt: skip
    completion.forget()
    assert completion.offer(line)
    assert line.text == "rules/one.cedar"
    assert not completion.offer(line)


async def test_tab_completes_where_it_can_and_moves_on_where_it_cannot() -> None:
    fields = (one_of("form", "Form", ("html", "csv"), "html"), Field("name", "Name"))
    dialog = Dialog(Question("Which?", fields=fields), 0.0)
    dialog.take_key("tab", None, LATER)
    assert (dialog.inputs[0].editor.text, dialog.focus) == ("csv", 0)
    dialog.take_key("ctrl+u", None, LATER)
    dialog.take_key("h", "h", LATER)
    dialog.take_key("tab", None, LATER)
    assert (dialog.inputs[0].editor.text, dialog.focus) == ("html", 0)
    dialog.take_key("down", None, LATER)
    dialog.take_key("tab", None, LATER)
    assert dialog.focus > 1
