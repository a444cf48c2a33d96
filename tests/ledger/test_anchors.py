"""Anchors with real other sides: a file, git, a witness in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.ground import OWNER, all_rows, note, only, open_log, rewrite, run, verified
from tests.rig.deadline import eventually
from tests.rig.process import Child, clean_environment
from watchkeeper.api.ledger_needs import needs_of_ledger
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Invalid
from watchkeeper.core.key_files import load_or_make
from watchkeeper.ledger.anchors.files import FileAnchor
from watchkeeper.ledger.anchors.git import GitAnchor
from watchkeeper.ledger.anchors.model import Anchor
from watchkeeper.ledger.anchors.witnesses import WitnessAnchor
from watchkeeper.ledger.checkpoints import read_signed
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.merkle import consistency_proof
from watchkeeper.ledger.notes import read_key, write_hashes
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.ledger.witness import Witness
from watchkeeper.plane.anchors import WayOut
from watchkeeper.store.sqlite import connect

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


async def forge(log: Log, directory: Path, change: Callable[[list[dict[str, Any]]], Any]) -> Log:
    """Have other entries in the ledger's place, signed anew, as who has all of the plane can."""
    await log.store.close()
    connection, driver = connect(directory / "plane.sqlite3")
    driver.execute("BEGIN")
    rows = all_rows(connection)
    change(rows)
    rewrite(connection, rows)
    connection.exec_driver_sql("DELETE FROM checkpoints")
    connection.exec_driver_sql("DELETE FROM anchorings")
    driver.execute("COMMIT")
    connection.close()
    driver.close()
    shutil.rmtree(directory / "log")
    again = await open_log(directory)
    assert again.key == log.key
    await again.advance(now=True)
    return again


@pytest.fixture
def remote(tmp_path: Path) -> str:
    path = tmp_path / "remote.git"
    run("git", "init", "-q", "--bare", str(path))
    return str(path)


@pytest.fixture
def file_anchor(tmp_path: Path) -> FileAnchor:
    return FileAnchor(tmp_path / "elsewhere" / "checkpoints")


@pytest.fixture
def git_anchor(tmp_path: Path, remote: str) -> GitAnchor:
    return GitAnchor(remote, tmp_path / "log-anchor.git")


class RunningWitness:
    """A witness in a process of its own, which can be ended and started again."""

    def __init__(self, directory: Path, *log_keys: str) -> None:
        self._options = ["--directory", str(directory / "w"), "--name", "w.example/1"]
        self._log = directory / "witness.out"
        self.log_keys = list(log_keys)
        self._env = clean_environment(directory)
        self.child: Child | None = None
        self.port = 0
        self.way = WayOut()

    def start(self) -> RunningWitness:
        command = ["-m", "watchkeeper", "witness", "serve", *self._options]
        command += [word for key in self.log_keys for word in ("--log", key)]
        command += ["--port", str(self.port)]
        self._log.unlink(missing_ok=True)
        self.child = Child.python(*command, log=self._log, env=self._env)
        child = self.child
        eventually(lambda: "listens on " in child.output, "the witness listens")
        lines = child.output.splitlines()
        self.key = next(line.split()[1] for line in lines if line.startswith("witness "))
        self.port = int(lines[-1].rpartition(":")[2])
        return self

    def anchor(self) -> WitnessAnchor:
        url = f"http://127.0.0.1:{self.port}"
        self.way = WayOut(url)
        return WitnessAnchor(url, read_key(self.key), self.way.send)


@pytest.fixture
async def witness(log: Log, tmp_path: Path) -> AsyncIterator[RunningWitness]:
    running = RunningWitness(tmp_path, log.key.text()).start()
    yield running
    await running.way.close()
    assert running.child is not None
    running.child.kill()


# What each keeps


ANCHORS = ["file_anchor", pytest.param("git_anchor", marks=needs_git), "witness"]


@pytest.fixture(params=ANCHORS)
def anchor(request: pytest.FixtureRequest) -> Anchor:
    given = request.getfixturevalue(request.param)
    made: Anchor = given.anchor() if isinstance(given, RunningWitness) else given
    return made


async def test_an_anchor_keeps_what_was_signed(log: Log, tmp_path: Path, anchor: Anchor) -> None:
    audit = LedgerAudit(log, [anchor])
    await note(log, 20)
    await audit.sign_now()
    await note(log, 300)
    await audit.sign_now()
    await note(log, 7)
    standing = only(audit.anchoring)
    assert standing.problem is None
    assert standing.size == 321
    found = await verified(audit)
    assert (found.ok, found.entries, found.anchored) == (True, 328, 321)

    # a longer ledger with another entry in it, signed with the log's own key
    forged = await forge(log, tmp_path / "plane", lambda rows: rows[9].update(actor="eve"))
    await note(forged, 20)
    found = await verified(LedgerAudit(forged, [anchor]))
    assert (found.ok, found.what, found.first_bad, found.anchored) == (False, "changed", 1, 0)

    # and one that ends before what is anchored
    def cut(rows: list[dict[str, Any]]) -> None:
        rows[9]["actor"] = "plane" if rows[9]["type"] == "plane.started" else OWNER
        del rows[310:]

    cut_off = await forge(forged, tmp_path / "plane", cut)
    assert cut_off.store.head == 311
    found = await verified(LedgerAudit(cut_off, [anchor]))
    assert (found.ok, found.what, found.first_bad) == (False, "truncated", 312)
    await cut_off.store.close()


async def test_a_ledger_that_an_anchor_knows_more_of_is_forked(
    log: Log, tmp_path: Path, anchor: Anchor
) -> None:
    """The plane was put back with all its files: only the anchor tells."""
    audit = LedgerAudit(log, [anchor])
    await note(log, 50)
    await audit.sign_now()
    old = log.key.name
    shorter = await forge(log, tmp_path / "plane", lambda rows: rows.__delitem__(slice(30, None)))
    again = LedgerAudit(shorter, [anchor])
    await again.sign_now()
    assert shorter.key.name != old
    assert [row.lost_size for row in shorter.keys.forks] == [51]
    problem = only(again.anchoring).problem
    assert problem is not None
    assert problem.code == "ledger_truncated"
    found, _ = await again.verify()
    assert (found.ok, found.what, found.first_bad) == (False, "forked", 32)
    needs = needs_of_ledger(again, shorter.store.clock.now(), mine=True)
    assert [(need.risk, need.need.split("/")[1]) for need in needs] == [
        ("critical", "fork"), ("critical", "anchor"),
    ]  # fmt: skip
    await shorter.store.close()


async def test_an_anchor_that_fails_is_tried_again_and_later(log: Log, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    place.write_text("in the way")
    audit = LedgerAudit(log, [FileAnchor(place / "checkpoints")])
    await audit.sign_now()
    standing, clock = only(audit.anchoring), log.store.clock
    assert isinstance(clock, RehearsalClock)
    assert standing.problem is not None
    assert standing.due_at - clock.now() == 5_000_000
    clock.advance(5)
    await audit.anchoring.run_due()
    assert standing.due_at - clock.now() == 10_000_000
    found, troubles = await audit.verify()
    assert (found.ok, found.anchored) == (True, 0)
    assert list(troubles) == [f"file {place}/checkpoints"]
    place.unlink()
    await audit.anchoring.run_due()
    assert standing.problem is not None, "its time has not come"
    clock.advance(10)
    await audit.anchoring.run_due()
    assert (standing.problem, standing.size) == (None, 1)


async def test_what_an_anchor_has_is_read_again_after_a_start(
    log: Log, tmp_path: Path, file_anchor: FileAnchor
) -> None:
    await LedgerAudit(log, [file_anchor]).sign_now()
    await log.store.close()
    again = await open_log(tmp_path / "plane")
    audit = LedgerAudit(again, [file_anchor])
    await audit.anchoring.start()
    assert only(audit.anchoring).size == 1
    await again.store.close()


@pytest.mark.parametrize("text", ["", "--- checkpoint 9 at now\nhalf a no", "what is this\n"])
async def test_an_anchor_file_is_only_added_to(
    log: Log, file_anchor: FileAnchor, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "elsewhere" / "checkpoints"
    path.parent.mkdir()
    path.write_text(text)
    await LedgerAudit(log, [file_anchor]).sign_now()
    assert path.read_text().startswith(text)
    found, _ = await LedgerAudit(log, [file_anchor]).verify()
    assert found.ok == ("half" not in text), found


@needs_git
async def test_a_branch_with_a_commit_of_somebody_else_is_not_overwritten(
    log: Log, tmp_path: Path, remote: str
) -> None:
    audit = LedgerAudit(log, [GitAnchor(remote, tmp_path / "log-anchor.git")])
    await audit.sign_now()
    await note(log, 3)
    other = GitAnchor(remote, tmp_path / "other.git")
    await LedgerAudit(log, [other]).sign_now()
    await note(log, 3)
    await audit.sign_now()
    assert run("git", "--git-dir", remote, "rev-list", "--count", "watchkeeper") == b"3\n"
    assert (await verified(audit)).anchored == 7


# The witness


async def test_a_proof_carries_what_witnesses_signed(log: Log, witness: RunningWitness) -> None:
    anchor = witness.anchor()
    audit = LedgerAudit(log, [anchor])
    await audit.sign_now()
    text = await audit.prove(1)
    _, signed = read_signed(text.partition("\n\n")[2])
    assert len(signed.signers([log.key, read_key(witness.key)])) == 2


async def test_a_witness_remembers_after_a_kill(log: Log, witness: RunningWitness) -> None:
    audit = LedgerAudit(log, [witness.anchor()])
    await note(log, 9)
    await audit.sign_now()
    assert witness.child is not None
    witness.child.kill()
    key = witness.key
    await note(log, 1)
    await audit.sign_now()
    assert only(audit.anchoring).problem is not None
    witness.start()
    assert witness.key == key
    await note(log, 1)
    await audit.sign_now()
    assert (only(audit.anchoring).problem, only(audit.anchoring).size) == (None, 12)


async def test_a_witness_knows_only_the_logs_that_it_was_told_of(
    log: Log, witness: RunningWitness
) -> None:
    audit = LedgerAudit(log, [witness.anchor()])
    await audit.sign_now()
    assert (await verified(audit)).anchored == 1
    await log.rotate(actor="person/ada", reason="a test")
    await audit.sign_now()
    (need,) = needs_of_ledger(audit, log.store.clock.now(), mine=True)
    assert need.risk == "high", "at once: it does not mend itself"
    assert "does not know the log's key" in need.text
    told = need.todo.partition("--log '")[2].partition("'")[0]
    assert told == log.key.text()

    # which is done as it says
    assert witness.child is not None
    witness.child.kill()
    witness.log_keys.append(told)
    witness.start()
    await audit.sign_now()
    assert needs_of_ledger(audit, log.store.clock.now(), mine=True) == []
    assert (await verified(audit)).anchored == 2


async def test_what_a_witness_answers(log: Log, tmp_path: Path) -> None:
    """The statuses of tlog-witness, in the order in which it checks."""
    private = load_or_make(tmp_path / "w.key", "the key")
    here = Witness("w.example/1", private, [log.key], tmp_path / "seen")
    made = await log.advance(now=True)
    await note(log, 4)
    grown = await log.advance(now=True)
    assert made is not None
    assert grown is not None
    proof = write_hashes(consistency_proof(log.tiles.reader(5), 1, 5))
    forged = grown.note.replace("\n5\n", "\n6\n")

    def ask(text: str) -> tuple[int, str]:
        reply = here.add(text.encode(), 1_700_000_000)
        return reply.status, reply.body if reply.status == 409 else ""

    assert ask("") == (400, "")
    assert ask(f"old 1\n{made.note}") == (400, "")
    assert ask("old x\n\n" + made.note) == (400, "")
    assert ask("old 0\n" + f"{'A' * 43}=\n" * 64 + "\n" + made.note) == (400, "")
    assert ask("old 0\n\n" + made.note.replace("test", "other")) == (404, "")
    assert ask("old 0\n\n" + forged) == (403, "")
    assert ask("old 2\n\n" + made.note) == (400, "")
    assert ask("old 1\n\n" + made.note) == (409, "0\n")
    assert ask(f"old 0\n{proof}\n" + made.note) == (422, "")
    assert here.show("/" + "0" * 64 + "/checkpoint").status == 404
    assert ask("old 0\n\n" + made.note) == (200, "")
    assert ask("old 1\n\n" + made.note) == (200, ""), "the same again"
    assert ask("old 1\n\n" + grown.note) == (422, "")
    assert ask(f"old 0\n{proof}\n" + grown.note) == (409, "1\n")
    assert ask(f"old 1\n{proof}\n" + grown.note) == (200, "")
    assert ask("old 1\n\n" + made.note) == (409, "5\n")
    mark = sha256(log.key.name.encode()).hexdigest()
    shown = here.show(f"/{mark}/checkpoint")
    assert len(read_signed(shown.body)[1].signers([log.key, here.key])) == 2
    assert here.show("/../../etc/passwd").status == 404


async def test_a_witness_whose_memory_was_altered_signs_nothing(log: Log, tmp_path: Path) -> None:
    private = load_or_make(tmp_path / "w.key", "the key")
    here = Witness("w.example/1", private, [log.key], tmp_path / "seen")
    made = await log.advance(now=True)
    assert made is not None
    asked = f"old 0\n\n{made.note}".encode()
    assert here.add(asked, 1_700_000_000).status == 200
    (seen,) = (tmp_path / "seen").iterdir()
    seen.write_text(seen.read_text().replace("\n1\n", "\n0\n"))
    with pytest.raises(Invalid):
        here.add(asked, 1_700_000_000)
