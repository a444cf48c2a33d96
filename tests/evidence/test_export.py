"""What is in a bundle, and that anybody verifies it with Python or OpenSSH alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.command import on, watchkeeper
from tests.evidence.ground import Ground, members_of, signed_again
from tests.rig.ssh import SshKey
from tests.rig.world import POLICY, agent_document
from watchkeeper.core.evidence.check import verify
from watchkeeper.core.evidence.file import MANIFEST
from watchkeeper.core.evidence.single import single_file
from watchkeeper.wire.requests import VOTE_NAMESPACE

MORE = """
@id("never")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.never");
"""


def test_a_bundle_verifies_with_python_alone(ground: Ground, tmp_path: Path) -> None:
    path = ground.export(f"runs/{ground.run}")
    (tmp_path / "verify.py").write_bytes(members_of(path)["verify.py"])
    (tmp_path / "signers").write_text(ground.signers)
    script = str(tmp_path / "verify.py")
    command = [sys.executable, "-I", "-S", script, str(path), "--key", ground.key]
    command += ["--signers", str(tmp_path / "signers")]
    done = subprocess.run(
        command, cwd="/", env={}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What is checked holds." in done.stdout
    assert done.stdout.count("grace signed approve") == len(ground.requests)
    assert done.stdout.count("your allowed signers have") == len(ground.requests)
    assert members_of(path)["verify.py"] == single_file()


def test_stock_openssh_takes_the_votes_as_they_are(ground: Ground, tmp_path: Path) -> None:
    members = members_of(ground.export(f"runs/{ground.run}"))
    lines = b"".join(raw for name, raw in members.items() if name.startswith("entries/"))
    entries = [json.loads(line) for line in lines.splitlines() if line.startswith(b"[")]
    cast = {entry[7]: entry[1] // 1_000_000 for entry in entries if entry[2] == "vote.cast"}
    (tmp_path / "allowed_signers").write_bytes(members["allowed_signers"])
    for request in ground.requests:
        text = members[f"votes/{request}/1.txt"]
        (tmp_path / "it.sig").write_bytes(members[f"votes/{request}/1.txt.sig"])
        command = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", "grace"]
        when = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(cast[request]))
        command += ["-n", VOTE_NAMESPACE, "-O", f"verify-time={when}", "-s", "it.sig"]
        done = subprocess.run(
            command, cwd=tmp_path, input=text, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr


def test_without_a_key_only_inner_consistency_is_shown(ground: Ground) -> None:
    path = ground.export(f"requests/{ground.requests[0]}")
    alone, given = verify(str(path)), ground.verify(path)
    assert (alone.failed, alone.trusted) == ([], False)
    assert (given.failed, given.trusted) == ([], True)
    assert any("only its inner consistency" in one for one in alone.unproven)
    assert not any("only its inner consistency" in one for one in given.unproven)


def test_a_request_comes_with_what_it_was_decided_under(ground: Ground) -> None:
    request = ground.requests[1]
    members = members_of(ground.export(f"requests/{request}"))
    manifest = json.loads(members[MANIFEST])
    assert manifest["asked"] == {"kind": "request", "name": request}
    lines = b"".join(raw for name, raw in members.items() if name.startswith("entries/"))
    entries = [json.loads(line) for line in lines.splitlines() if line.startswith(b"[")]
    types = [entry[2] for entry in entries]
    (cast,) = [entry[8] for entry in entries if entry[7] == request and entry[2] == "vote.cast"]
    assert {"policy.applied", "tool.applied", "agent.applied", "decision.held"} <= set(types)
    assert ground.requests[2].encode() not in lines, "it ends where the request does"
    kinds = {name.split("/")[1] for name in members if name.startswith("documents/")}
    assert kinds == {"agent", "policy", "tool"}
    assert cast["signature"].encode() == members[f"votes/{request}/1.txt.sig"]
    shown = json.loads(members[f"requests/{request}.json"])
    assert shown["asks"]
    assert shown["digest"] == cast["digest"]
    found = ground.verify(ground.export(f"requests/{request}"))
    assert f"requests/{request}.json is what grace was shown" in " ".join(found.proven)


def test_an_export_is_on_record(ground: Ground) -> None:
    ground.export(f"runs/{ground.run}")
    found = ground.plane.events(type="evidence.exported")
    assert {"kind": "run", "name": ground.run} in [one["body"] for one in found]
    assert found[0]["actor"].startswith("person/")


def test_a_period_holds_all_there_is_in_it(ground: Ground) -> None:
    whole = ground.plane.events()
    begins, ends = whole[0]["at"], whole[-1]["at"] + 1
    path = ground.export("period", begins=begins, ends=ends)
    found = ground.verify(path)
    assert not found.failed, found.failed
    manifest = json.loads(members_of(path)[MANIFEST])
    first, last = manifest["entries"]["first"], manifest["entries"]["last"]
    assert (first, last) == (1, whole[-1]["sequence"])
    assert manifest["entries"]["asked"] == last
    operator = ground.plane.operator
    problem = operator.http.get("/v1/evidence/period", params={"begins": 5, "ends": 5})
    assert problem.status_code == 400


def test_who_audits_one_team_gets_what_is_of_it(ground: Ground) -> None:
    plane = ground.plane
    plane.apply(agent_document("scribe", owner="legal"))
    plane.apply("person:\n  name: lex\n  operates: [{role: auditor, teams: [legal]}]\n")
    issued = {"person": "lex", "permission": "auditor"}
    lex = plane.caller(plane.operator.post("/v1/persons/tokens", issued)["token"])
    run = plane.enrol("scribe").open_run()
    for path in (f"runs/{ground.run}", f"requests/{ground.requests[0]}"):
        problem = lex.problem("GET", f"/v1/evidence/{path}", status=403)
        assert problem["rule"] == "permission/audit"
    ends = plane.events()[-1]["at"] + 1
    answer = lex.http.get("/v1/evidence/period", params={"begins": 0, "ends": ends})
    theirs = ground.place / "lex.tar"
    theirs.write_bytes(answer.content)
    found = ground.verify(theirs)
    assert not found.failed, found.failed
    lines = b"".join(raw for name, raw in members_of(theirs).items() if name.startswith("entries/"))
    assert run.id.encode() in lines
    assert ground.run.encode() not in lines


def test_what_was_erased_is_said_and_nothing_fails(ground: Ground) -> None:
    plane, kim = ground.plane, "user/Kim.Canary@people.example"
    run = plane.enrol("clerk").open_run(on_behalf_of=kim)
    request = ground.approve(run, 7, SshKey(ground.place / "ed25519"))
    before = ground.export(f"requests/{request}")
    found = ground.verify(before)
    assert not found.failed, found.failed
    assert any("personal values are those" in one for one in found.proven)
    assert any(f"signed approve on {request}" in one for one in found.proven)
    assert any(f"{request}.json is what grace was shown" in one for one in found.proven)
    lines = b"".join(raw for name, raw in members_of(before).items() if name.startswith("entries/"))
    assert b"Kim.Canary" not in lines
    altered = {
        name: raw.replace(b"Kim", b"Tim") if name.startswith("values/") else raw
        for name, raw in members_of(before).items()
    }
    assert ground.verify(signed_again(altered, ground.private)).failed

    done = run.decide("books.create_refund", {"charge_id": "ch_7", "amount_usd": 250})
    run.settle(done["decision"])
    run.close()
    erased = on(plane, "audit", "erase", kim, "--yes", "--reason", "asked to be forgotten")
    assert erased.code == 0, erased.err
    before.unlink()
    after = ground.export(f"requests/{request}")
    assert b"Kim.Canary" not in after.read_bytes()
    found = ground.verify(after)
    assert not found.failed, found.failed
    assert any("they were erased" in one for one in found.unproven)


def test_an_incident_comes_with_its_timeline(ground: Ground) -> None:
    run = ground.plane.enrol("clerk").open_run()
    body = {"target": {"kind": "run", "name": run.id}, "reason": "odd"}
    incident = ground.plane.operator.post("/v1/locks", body)["incident"]
    path = ground.export(f"incidents/{incident}")
    assert not ground.verify(path).failed
    lines = b"".join(raw for name, raw in members_of(path).items() if name.startswith("entries/"))
    assert b"incident.opened" in lines
    assert b"lock.created" in lines


def test_each_decision_has_the_policy_sets_of_its_time(ground: Ground) -> None:
    plane, run = ground.plane, ground.plane.enrol("clerk").open_run()
    run.decide("books.lookup_charge", {"charge_id": "ch_1"})
    plane.apply(policies__cedar=POLICY, more__cedar=MORE)
    run.decide("books.lookup_charge", {"charge_id": "ch_2"})
    staged = {"stage": "observe", "version": 1, "seen": "enforce", "reason": "look first"}
    plane.operator.post("/v1/policies/more/stage", staged)
    run.decide("books.lookup_charge", {"charge_id": "ch_3"})
    path = ground.export(f"runs/{run.id}")
    found = ground.verify(path)
    assert not found.failed, found.failed
    sets = [
        [(name, stage) for name, _, stage in json.loads(raw)]
        for name, raw in members_of(path).items()
        if name.startswith("policies/")
    ]
    one = [("policies", "enforce")]
    wanted = [one, [("more", "enforce"), *one], [("more", "observe"), *one]]
    assert sorted(sets) == sorted(wanted)
    assert not any("missing" in one for one in found.unproven)


def test_the_command_line_exports_and_verifies(ground: Ground, tmp_path: Path) -> None:
    state, out = str(ground.plane.state), str(tmp_path / "it.tar")
    ended = watchkeeper(
        tmp_path, "evidence", "export", "--run", ground.run, "-o", out, "--state", state
    )
    assert ended.code == 0, ended.out + ended.err
    assert "What is checked holds." in ended.out
    for words in (("evidence", "verify", out), ("audit", "verify", "--offline", out)):
        ended = watchkeeper(tmp_path, *words, "--key", ground.key)
        assert ended.code == 0, ended.out + ended.err
    again = watchkeeper(
        tmp_path, "evidence", "export", "--run", ground.run, "-o", out, "--state", state
    )
    assert "there already" in again.err
    raw = bytearray(Path(out).read_bytes())
    raw[len(raw) // 2] ^= 1
    Path(out).write_bytes(raw)
    assert watchkeeper(tmp_path, "evidence", "verify", out, "--json").code == 1
