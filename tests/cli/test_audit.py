"""`audit`: proofs of the ledger as a person asks for them, and a plane with anchors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import on, watchkeeper
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from watchkeeper.cli import exits
from watchkeeper.core.digest import canonical
from watchkeeper.ledger.checkpoints import read_signed
from watchkeeper.ledger.merkle import included
from watchkeeper.ledger.notes import read_hash, read_key
from watchkeeper.store.journal import entry_bytes, leaf_of


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    directory = tmp_path_factory.mktemp("audited")
    anchor = directory / "elsewhere" / "checkpoints"
    running = Plane(directory, clock="frozen", environ={"WATCHKEEPER_ANCHOR_FILE": str(anchor)})
    yield running.start()
    running.close()


def anchored(plane: Plane) -> Path:
    return plane.directory / "elsewhere" / "checkpoints"


def test_a_checkpoint_is_signed_and_anchored(plane: Plane) -> None:
    made = on(plane, "audit", "checkpoint")
    assert made.code == exits.OK
    checkpoint, note = read_signed(made.out)
    keys = on(plane, "audit", "keys", "--json").json()["rows"]
    assert note.signers([read_key(keys[0]["key"])])
    assert checkpoint.size >= 1
    assert made.out in anchored(plane).read_text()
    listed = on(plane, "audit", "checkpoints").out
    assert f"file {anchored(plane)}" in listed
    plane.issue_token("ada")
    found = on(plane, "audit", "verify")
    assert found.code == exits.OK
    assert f"anchored  up to entry {checkpoint.size}; the 1 after it could be cut" in found.out


def test_a_proof_verifies_with_the_log_key_alone(plane: Plane) -> None:
    plane.issue_token("ada")
    on(plane, "audit", "checkpoint")
    row = plane.events()[0]
    text = on(plane, "audit", "proof", str(row["sequence"])).out
    head, _, signed = text.partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    index, hashes = int(lines[1].removeprefix("index ")), [read_hash(one) for one in lines[2:]]
    checkpoint, note = read_signed(signed)
    key = read_key(on(plane, "audit", "keys", "--json").json()["rows"][-1]["key"])
    assert note.signers([key])
    body = canonical(row["body"]).decode()
    said = (row["at"], row["type"], row["actor"], row["subject"])
    entry = entry_bytes(1, *said, None, None, None, body)
    assert included(leaf_of(entry), index, checkpoint.size, hashes, checkpoint.root)
    assert on(plane, "audit", "proof", "100000").code == exits.NOT_FOUND


def test_growth_is_proven_between_checkpoints(plane: Plane) -> None:
    sizes = []
    for _ in range(2):
        plane.issue_token("ada")
        sizes.append(read_signed(on(plane, "audit", "checkpoint").out)[0].size)
    found = on(plane, "audit", "consistency", *map(str, sizes))
    assert found.code == exits.OK
    assert found.out.startswith(f"old {sizes[0]}\n")
    assert on(plane, "audit", "consistency", "1", "100000").code == exits.NOT_FOUND


def test_a_new_key_signs_what_the_old_one_signed_last(plane: Plane) -> None:
    on(plane, "audit", "checkpoint")
    rotated = on(plane, "audit", "rotate-key", "--reason", "a colleague left", "--json")
    new, old = rotated.json()["rows"][:2]
    assert (new["cause"], new["reason"]) == ("rotated", "a colleague left")
    rows = on(plane, "audit", "checkpoints", "--json").json()["rows"]
    both = [read_key(one["key"]) for one in (new, old)]
    assert len(read_signed(rows[0]["note"])[1].signers(both)) == 2
    assert on(plane, "audit", "verify").code == exits.OK
    assert on(plane, "audit", "accept-fork", "--reason", "none").code == exits.NOT_FOUND


def test_an_anchor_that_lost_what_it_had_is_told(plane: Plane) -> None:
    on(plane, "audit", "checkpoint")
    file = anchored(plane)
    kept = file.read_bytes()
    file.unlink()
    found = on(plane, "audit", "verify", "--json").json()
    assert (found["ok"], found["anchored"]) == (True, 0)
    assert found["anchors"][0]["problem"] == "the file is gone"
    file.mkdir()
    plane.issue_token("ada")
    on(plane, "audit", "checkpoint")
    plane.advance(3600)

    def told() -> list[str]:
        rows = plane.operator.get("/v1/watch")["rows"]
        return [row["text"] for row in rows if row["need"].startswith("ledger/anchor/")]

    assert "the ledger is not anchored at" in eventually(told)[0]
    file.rmdir()
    file.write_bytes(kept)
    plane.advance(3600)
    eventually(lambda: not told(), "it is anchored again")


def test_a_witness_prints_its_key(tmp_path: Path) -> None:
    arguments = ("witness", "key", "--directory", str(tmp_path / "w"), "--name", "w.example/1")
    printed = watchkeeper(tmp_path, *arguments)
    assert read_key(printed.out).name == "w.example/1"
    assert watchkeeper(tmp_path, *arguments).out == printed.out
