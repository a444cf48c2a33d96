"""Whose a key is by an allowed_signers file: what stock ssh-keygen says is said here."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.evidence.ground import Ground
from tests.rig.ssh import SshKey
from watchkeeper.core.evidence.signers import allows
from watchkeeper.wire.requests import VOTE_NAMESPACE

AT, STAMP = 1_795_329_853, "20261122064413Z"
OF = f'namespaces="{VOTE_NAMESPACE}"'
LINES = (
    ("ada KEY", True),
    ("  ada\tKEY a comment", True),
    ("bob,ada KEY", True),
    ('"bob,ada" KEY', True),
    ("a*,!bob KEY", True),
    ("*,!ada KEY", False),
    ("a?a KEY", True),
    ("a?? KEY", True),
    ("a.a KEY", False),
    ("ADA KEY", False),
    ("adam KEY", False),
    ("bob KEY", False),
    ("#ada KEY", False),
    ("ada OTHER", False),
    ("ada", False),
    ("", False),
    (f"ada {OF} KEY", True),
    (f"ada {OF.upper().replace(VOTE_NAMESPACE.upper(), VOTE_NAMESPACE)} KEY", True),
    ('ada namespaces="git" KEY', False),
    (f'ada namespaces="git,{VOTE_NAMESPACE}" KEY', True),
    (f'ada namespaces="my{VOTE_NAMESPACE}" KEY', False),
    ('ada namespaces="watchkeeper-*" KEY', True),
    ('ada namespaces="*,!watchkeeper-*" KEY', False),
    (f"ada namespaces={VOTE_NAMESPACE} KEY", False),
    (f"ada {OF},{OF} KEY", False),
    (f"ada {OF} {OF} KEY", False),
    ("ada cert-authority KEY", False),
    ("ada no-such-option KEY", False),
    (f"ada {OF},no-such-option KEY", False),
    ('ada valid-after="20261122064413Z" KEY', True),
    ('ada valid-after="20261122064414Z" KEY', False),
    ('ada valid-before="20261122064413Z" KEY', True),
    ('ada valid-before="20261122064412Z" KEY', False),
    ('ada valid-after="20261120" KEY', True),
    ('ada valid-before="20261122Z" KEY', False),
    ('ada valid-before="20261123Z" KEY', True),
    ('ada valid-after="202611220644Z" KEY', True),
    ('ada valid-after="202611220645Z" KEY', False),
    (f'ada {OF},valid-after="20260101Z",valid-before="20270101Z" KEY', True),
    (f'ada valid-before="20260101Z",{OF} KEY', False),
    ('ada valid-after="yesterday" KEY', False),
    ('ada valid-after="" KEY', False),
    ('ada valid-after="20261322Z" KEY', False),
    ("bob KEY\nada KEY", True),
    ('ada valid-before="20260101Z" KEY\nada KEY', True),
)


@dataclass(frozen=True)
class Signed:
    """Something that a key signed, and how stock OpenSSH is asked of it."""

    place: Path
    key: str
    other: str

    def written(self, line: str) -> str:
        return line.replace("KEY", self.key).replace("OTHER", self.other) + "\n"

    def openssh_allows(self, signers: str) -> bool:
        (self.place / "signers").write_text(signers)
        command = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "ada", "-s", "it.sig"]
        command += ["-n", VOTE_NAMESPACE, "-O", f"verify-time={STAMP}"]
        done = subprocess.run(
            command, cwd=self.place, input=b"it", capture_output=True, timeout=60, check=False
        )
        return done.returncode == 0


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    place = tmp_path_factory.mktemp("signers")
    key, other = (SshKey.make(place / name) for name in ("key", "other"))
    (place / "it.sig").write_text(key.sign(b"it", namespace=VOTE_NAMESPACE))
    mine, strange = (" ".join(one.public.split()[:2]) for one in (key, other))
    return Signed(place, mine, strange)


@pytest.mark.parametrize(("line", "held"), LINES)
def test_a_line_allows_what_openssh_takes_it_to(signed: Signed, line: str, held: bool) -> None:
    signers = signed.written(line)
    assert allows(signers, "ada", signed.key, VOTE_NAMESPACE, AT) is held
    assert signed.openssh_allows(signers) is held


def test_a_key_counts_at_the_time_of_the_vote(ground: Ground) -> None:
    path = ground.export(f"requests/{ground.requests[0]}")
    (key,) = (line for line in ground.signers.splitlines() if "ed25519" in line)
    person, public = key.split(" ", 1)
    for options, held in (
        (f'{OF},valid-after="20200101Z"', True),
        ('valid-before="20200101Z"', False),
        ('valid-after="20990101Z"', False),
        ('namespaces="git"', False),
    ):
        found = ground.verify(path, signers=f"{person} {options} {public}\n")
        told = any("your allowed signers have" in one for one in found.proven)
        assert (bool(found.failed), told) == (not held, held), options
        if not held:
            assert "for votes when it was cast (20" in found.failed[0]
