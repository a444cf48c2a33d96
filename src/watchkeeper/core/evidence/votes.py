"""Votes in a bundle: what each was over, who signed it, and whose that key was then."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from watchkeeper.core.evidence.file import VOTES, Bundle, read_json
from watchkeeper.core.evidence.findings import Findings
from watchkeeper.core.evidence.signatures import Broken, fingerprint, sshsig
from watchkeeper.core.evidence.signers import allows

VERDICTS = ("vote.cast", "request.break_glass")
"""The entries that tell of one."""


class Votes:
    """The votes that entries tell of, by request and person; `signers` is an auditor's own list."""

    def __init__(self, found: Findings, signers: str | None) -> None:
        self._found, self._signers = found, signers
        self._votes: dict[tuple[str, str], dict[str, Any]] = {}

    def hear(self, request: str, actor: str, sequence: int, at: int, body: dict[str, Any]) -> None:
        """Note what an entry tells."""
        person = actor.rpartition("/")[2]
        self._votes[request, person] = {**body, "sequence": sequence, "at": at}

    def read_displays(self, bundle: Bundle) -> None:
        """Hold what people were shown against their votes."""
        for name in bundle.under("requests"):
            raw = bundle.read(name)
            shown = "sha256:" + hashlib.sha256(b"watchkeeper/display/v1\0" + raw).hexdigest()
            request = name.split("/")[1].rpartition(".")[0]
            for (of, person), vote in self._votes.items():
                said = f"{name} is what {person} was shown (entry {vote['sequence']})"
                sealed = vote.get("display")
                if of != request:
                    continue
                if sealed == shown:
                    self._found.proven.append(said)
                elif sealed is None or sealed.startswith("[personal "):
                    self._found.unproven.append(f"that {said}: that is erased, or older")
                else:
                    self._found.unproven.append(f"that {said}: it is not what the entry has")

    def read(self, bundle: Bundle, plane: str) -> None:
        """Hold the signed votes against the entries; raise `Broken`."""
        seen = set()
        for name in (one for one in bundle.under("votes") if one.endswith(".txt")):
            message = bundle.read(name, 1 << 20)
            armoured = bundle.read(f"{name}.sig", 16_000).decode()
            said = dict(line.partition(" ")[::2] for line in message.decode().splitlines()[1:])
            person, request = said["person"], said["request"]
            vote = self._votes.get((request, person))
            if vote is None:
                raise Broken(f"{name} is of no vote that is in the entries")
            gone = [f"[personal {value}]" for value in vote.get("personal", ())]
            owed = str(vote.get("acting_for") or "").rpartition("/")[2]
            for which, here, there in (
                ("plane", said["plane"], plane),
                ("digest", said["digest"], vote["digest"]),
                ("verdict", said["verdict"], vote.get("verdict", "break-glass")),
                ("whose vote it is", said.get("acting"), f"for {owed}" if owed else None),
                ("reason", read_json(said["reason"].encode()), vote.get("reason") or ""),
            ):
                if isinstance(there, str) and any(mark in there for mark in gone):
                    self._found.unproven.append(f"the {which} of {person}'s vote on {request}: "
                                                "the entry's is erased or not here")  # fmt: skip
                elif here != there:
                    raise Broken(f"{name} is not the vote of entry {vote['sequence']}: {which}")
            try:
                key = sshsig(armoured, message, VOTES)
            except Broken:
                if not any(mark in json.dumps(vote, ensure_ascii=False) for mark in gone):
                    raise
                continue  # what it was over is erased
            if vote.get("key") != fingerprint(key) or vote.get("signature", armoured) != armoured:
                raise Broken(f"{name}.sig is not the signature of entry {vote['sequence']}")
            seen.add((request, person))
            self._found.proven.append(f"{person} signed {said['verdict']} on {request} with "
                                      f"{fingerprint(key)}")  # fmt: skip
            self._hold_against_signers(person, key, vote["at"] // 1_000_000)
        for (request, person), vote in self._votes.items():
            if not vote.get("key"):
                self._found.unproven.append(f"{person}'s vote on {request}: it is not signed")
            elif (request, person) not in seen:
                self._found.unproven.append(f"{person}'s signature on {request}: it is missing")

    def _hold_against_signers(self, person: str, key: str, at: int) -> None:
        if self._signers is None:
            self._found.unproven.append(f"that {fingerprint(key)} is {person}'s: the plane says "
                                        "so; --signers FILE holds it against yours")  # fmt: skip
            return
        when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
        had = f"{fingerprint(key)} as {person}'s for votes when it was cast ({when})"
        if not allows(self._signers, person, key, VOTES, at):
            raise Broken(f"your allowed signers do not have {had}")
        self._found.proven.append(f"your allowed signers have {had}")
