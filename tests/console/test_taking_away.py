"""Evidence and reports, written to files from where one looks, by keys alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.desk_world import DeskWorld, filled_desk
from tests.console.session import Session, session
from watchkeeper.client.address import Address
from watchkeeper.console.blocks import Prose
from watchkeeper.console.watched import watched
from watchkeeper.core.evidence.check import verify


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskWorld]:
    with filled_desk(tmp_path_factory.mktemp("evidence")) as desk:
        yield desk


async def write_evidence(console: Session, of: str) -> Path:
    """Press the key, take the place that is offered, and return it."""
    await console.press("E")
    await console.see_dialog("Write the evidence?")
    await console.see(of)
    dialog = console.dialog
    assert dialog is not None
    place = Path(dialog.inputs[0].editor.text)
    await console.press("enter")
    await console.see("✓ Written", "Verified as it was written", "✓ proven")
    await console.press("G")
    await console.see("python3 -I verify.py", "--key")
    await console.press("q")
    return place


async def test_one_key_writes_the_evidence_of_what_the_cursor_is_on(
    desk: DeskWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with session(desk.plane) as console:
        await console.press("4", "slash", *"clerk", "enter", "g")
        await console.see("clerk", "1/1")
        of_run = await write_evidence(console, "run run_")
        again = await write_evidence(console, "run run_")
        assert again.name == f"{of_run.stem}-2.tar"
        await console.press("enter")
        await console.see("invoke_agent clerk")
        await write_evidence(console, "run run_")
        await console.press("s")
        await console.see("as it happened")
        await write_evidence(console, "run run_")
        await console.press("3", "g")
        await console.see("close account")
        await write_evidence(console, "request req_")
        await console.press("9", "g")
        await console.see("follows")
        await write_evidence(console, "re")
    assert of_run.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.new"))
    key = desk.plane.operator.get("/v1/audit/keys")["rows"][0]["key"]
    found = verify(str(of_run), (key,))
    assert found.trusted
    assert not found.failed


async def test_no_file_is_written_over(
    desk: DeskWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept.tar").write_text("mine")
    async with session(desk.plane) as console:
        await console.press("4", "slash", *"clerk", "enter", "g")
        await console.see("clerk", "1/1")
        await console.press("E")
        await console.see_dialog("Write the evidence?")
        await console.press("ctrl+u")
        await console.type("kept.tar")
        await console.press("enter")
        await console.see("it is there already")
        await console.press("ctrl+u")
        await console.type("nowhere/kept.tar")
        await console.press("enter")
        await console.see("there is no such directory")
        await console.press("ctrl+u")
        await console.type("~nobody-at-all/kept.tar")
        await console.press("enter")
        await console.see("that names no file")
        await console.press("escape")
    assert (tmp_path / "kept.tar").read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["kept.tar"]


async def test_a_report_is_chosen_and_written(
    desk: DeskWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with session(desk.plane) as console:
        await console.see("Watch")
        await console.press("colon", *"report", "enter")
        await console.see_dialog("Which report?")
        await console.see("OWASP Agentic", "approvals▏")
        await console.press("tab")
        await console.see("kills▏")
        await console.confirm(fields={"kind": "operators", "form": "markdown", "since": "2d"})
        await console.see_dialog("Write the report?")
        await console.press("enter")
        await console.see("✓ Written", "operators-")
    (written,) = tmp_path.iterdir()
    assert written.suffix == ".md"
    assert "operator" in written.read_text().lower()


async def test_who_does_not_audit_takes_nothing_away(desk: DeskWorld) -> None:
    asked = {"person": "vera", "permission": "viewer"}
    token = desk.plane.operator.post("/v1/persons/tokens", asked)["token"]
    async with session(desk.plane, address=Address(url=desk.plane.url, token=token)) as console:
        await console.press("4", "g")
        await console.see("clerk", "vera")
        await console.press("E")
        await console.see("evidence: this needs audit; vera is")
        await console.press("9", "c")
        await console.see("verify: this needs audit")
        await console.see_no_more("not anchored")


async def test_the_ledger_says_how_well_it_is_proven(desk: DeskWorld) -> None:
    desk.plane.operator.post("/v1/audit/checkpoints", {})
    async with session(desk.plane, size=(100, 30)) as console:
        await console.press("9")
        await console.see("● follows", "signed", "not anchored")
        await console.press("i")
        await console.see("The newest checkpoint", "root", "whoever has this machine")
        await console.press("G")
        await console.see("An auditor has to have the key from elsewhere")
        await console.press("q", "c")
        await console.see("✓ The chain is whole")
        await console.press("q")


async def test_work_that_is_watched_ends_with_its_view(desk: DeskWorld) -> None:
    async with session(desk.plane) as console:
        await console.see("Watch")
        began, ended, came = asyncio.Event(), asyncio.Event(), []

        async def never() -> str:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return "done"

        async def work() -> None:
            came.append(
                await watched(console.console, "Working", never(), lambda: [Prose("half way")])
            )

        console.console.run_worker(work())
        await console.see("─ Working", "half way")
        await console.press("q")
        await console.see("given up")
        assert began.is_set()
        assert ended.is_set()
        assert came == [None]


async def test_who_audits_some_teams_sees_their_entries_and_takes_their_evidence(
    desk: DeskWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    desk.plane.apply(
        "person: {name: tess, operates: [{role: viewer}, {role: auditor, teams: [finance-ops]}]}"
    )
    asked = {"person": "tess", "permission": "auditor"}
    token = desk.plane.operator.post("/v1/persons/tokens", asked)["token"]
    async with session(desk.plane, address=Address(url=desk.plane.url, token=token)) as console:
        await console.press("9")
        await console.see("● follows", "tess", "clerk")
        await console.press("i")
        await console.see("this needs audit in every team")
        assert console.console.pane.failure is None
        await console.press("4", "slash", *"clerk", "enter", "g")
        await console.see("clerk", "1/1")
        await write_evidence(console, "run run_")
