"""Holds a bundle against itself, its signed manifest, its log and keys from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, BinaryIO

from watchkeeper.core.evidence.file import (
    ENVELOPE,
    FORMAT,
    MANIFEST,
    PAYLOAD,
    PREDICATE,
    STATEMENT,
    Bundle,
    envelope_of,
    pae,
    read_json,
)
from watchkeeper.core.evidence.findings import Findings
from watchkeeper.core.evidence.log import (
    Checkpoint,
    Key,
    Tree,
    consistent,
    hashes_of,
    included,
    node_of,
)
from watchkeeper.core.evidence.signatures import Broken, ed25519
from watchkeeper.core.evidence.votes import VERDICTS, Votes

_LINE = 65_536
_TREE = re.compile(rb"~([0-9]|[1-5][0-9]) ([A-Za-z0-9+/]{43}=)")


class Verifier:
    """Looks at one bundle; `keys` are those that whoever asks had from elsewhere."""

    def __init__(
        self,
        file: BinaryIO,
        keys: list[Key],
        witnesses: list[Key],
        signers: str | None,
        progress: Callable[[int, int], None],
    ) -> None:
        self.found = Findings()
        self._file, self._keys, self._witnesses = file, keys, witnesses
        self._progress = progress
        self._counts = {
            "entries": 0,
            "decisions": 0,
            "unsealed": 0,
            "knew": 0,
            "opened": 0,
            "erased": 0,
            "closed": 0,
        }
        self._policies: dict[str, int] = {}
        self._applied: dict[tuple[str, int], str] = {}
        self._ran: dict[tuple[str, int], int] = {}
        self._votes = Votes(self.found, signers)
        self._leaves: dict[int, bytes] = {}
        self._plane = ""
        self._values: dict[str, Any] = {}

    def run(self) -> Findings:
        """Return what was found; never raises for what is in the file."""
        try:
            self._bundle = Bundle(self._file)
            self._read_manifest()
            for step in (
                self._read_entries, self._read_proofs, self._read_checkpoints,
                self._read_documents, self._read_displays, self._read_votes, self._sum_up,
            ):  # fmt: skip
                self._try(step)
        except Broken as error:
            self.found.fail(str(error))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as no:
            self.found.fail(f"the bundle is malformed: {type(no).__name__}: {no!s:.100}")
            self._name_altered()
        return self.found

    def _name_altered(self) -> None:
        """Say which members of entries are altered, where none could be read to its end."""
        for name in self._bundle.under("entries") if self.found.proven else ():
            place, left = self._bundle.members[name]
            self._file.seek(place)
            hashed = hashlib.sha256()
            while left:
                part = self._file.read(min(left, 1 << 20))
                hashed.update(part)
                left -= len(part) or left
            if hashed.hexdigest() != self._bundle.listed[name].get("sha256"):
                self.found.fail(f"{name} is not what the manifest says")

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Broken as error:
            self.found.fail(str(error))

    def _read_manifest(self) -> None:
        bundle, found = self._bundle, self.found
        raw = bundle.read(MANIFEST)
        sealed = bundle.read(ENVELOPE, 1 << 20)
        envelope = read_json(sealed)
        (made,) = envelope["signatures"]
        payload, signature = (
            base64.b64decode(one, validate=True) for one in (envelope["payload"], made["sig"])
        )
        manifest = read_json(raw)
        said = Key(manifest["log"]["key"])
        if sealed != envelope_of(payload, said.text, signature):
            raise Broken(f"{ENVELOPE} is not as it was written")
        statement = read_json(payload)
        trusted = [key for key in self._keys if key.kind == 1]
        signed = pae(PAYLOAD, payload)
        by = next((k for k in trusted or [said] if ed25519(k.public, signature, signed)), None)
        if by is None:
            who = "the key that you gave" if trusted else "the key that it names"
            raise Broken(f"{who} did not sign this bundle (it names {said.text})")
        digests = {"sha256": hashlib.sha256(raw).hexdigest()}
        kinds = (statement["_type"], statement["predicateType"], manifest["format"])
        wanted = {"name": MANIFEST, "digest": digests}
        if kinds != (STATEMENT, PREDICATE, FORMAT) or statement["subject"] != [wanted]:
            raise Broken("the manifest is not the one that was signed")
        self._key, self._manifest, bundle.listed = by, manifest, manifest["members"]
        if set(bundle.listed) != set(bundle.members) - {MANIFEST, ENVELOPE}:
            odd = sorted(set(bundle.listed) ^ (set(bundle.members) - {MANIFEST, ENVELOPE}))
            raise Broken(f"members are missing or added: {', '.join(odd[:5])}")
        for name, (_, size) in bundle.members.items():
            if name in bundle.listed and bundle.listed[name]["size"] != size:
                raise Broken(f"{name} is not of the size that the manifest says")
            if name in bundle.listed and not name.startswith("entries/"):
                bundle.read(name)
        self.checkpoint = Checkpoint(bundle.read("checkpoint", 1 << 16).decode())
        if not self.checkpoint.signed_by(by) or self.checkpoint.origin != by.name:
            raise Broken(f"the checkpoint is not signed by {by.text}")
        which = "a key from outside it" if trusted else "which nobody but the bundle names"
        found.proven.append(f"the manifest of {len(bundle.listed)} members and the checkpoint are "
                            f"signed by {by.text}, {which}")  # fmt: skip
        found.trusted = bool(trusted)
        if not trusted:
            found.unproven.append("whose bundle it is: no key came from elsewhere, so that only "
                                  "its inner consistency is shown")  # fmt: skip

    def _lines(self) -> Iterator[bytes]:
        """Return the lines of the entries; each member is held against the manifest."""
        names = self._bundle.under("entries")
        done, total = 0, sum(self._bundle.members[name][1] for name in names)
        for number, name in enumerate(names, 1):
            if name != f"entries/{number:06}":
                raise Broken(f"{name} stands where entries/{number:06} belongs")
            place, size = self._bundle.members[name]
            values = f"values/{number:06}.json"
            self._values = self._bundle.json(values) if values in self._bundle.members else {}
            self._file.seek(place)
            hashed, left = hashlib.sha256(), size
            while left:
                line = self._file.readline(min(left, _LINE + 1))
                hashed.update(line)
                left -= len(line)
                if not line.endswith(b"\n"):
                    raise Broken(f"a line of {name} is too long, or cut off")
                yield line[:-1]
            if hashed.hexdigest() != self._bundle.listed[name]["sha256"]:
                raise Broken(f"{name} is not what the manifest says")
            done += size
            self._progress(done, total)

    def _read_entries(self) -> None:
        tree, wanted = Tree(), {name.split("/")[1] for name in self._bundle.under("proofs")}
        for line in self._lines():
            between = _TREE.fullmatch(line)
            if between:
                tree.add(int(between[1]), base64.b64decode(between[2], validate=True))
                continue
            entry = read_json(line)
            if not isinstance(entry, list) or len(entry) != 9 or entry[0] != tree.size + 1:
                raise Broken(f"what stands at place {tree.size + 1} is not that entry")
            leaf = hashlib.sha256(b"\0" + line).digest()
            tree.add(0, leaf)
            self._counts["entries"] += 1
            if f"{tree.size}.tlog-proof" in wanted:
                self._leaves[tree.size] = leaf
            if tree.size == 1:
                self._plane = f"plane-{node_of(bytes(32), leaf).hex()[:32]}"
            self._hear(entry)
        if (tree.size, tree.root()) != (self.checkpoint.size, self.checkpoint.root):
            raise Broken("the entries are not those of the log that was signed")
        if self._counts["entries"] != self._manifest["entries"]["count"]:
            raise Broken("the manifest counts other entries")
        self.found.proven.append(
            f"{self._counts['entries']:,} entries stand, as they are here, among the "
            f"{tree.size:,} of {self.checkpoint.origin}"
        )

    def _hear(self, entry: list[Any]) -> None:
        sequence, at, type_, actor, subject, _, _, request, body = entry
        if body.get("personal"):
            body = json.loads(self._opened(body))
        if type_.startswith("decision."):
            self._counts["decisions"] += 1
            if "policies" in body:
                self._policies.setdefault(body["policies"], sequence)
            else:
                self._counts["unsealed"] += 1
            if isinstance(entry[5], str) and body.get("version"):
                self._ran.setdefault((f"agent/{entry[5]}", body["version"]), sequence)
        elif type_ == "outcome.recorded" and body.get("result_digest"):
            self._counts["knew"] += 1
        elif type_ in VERDICTS:
            self._votes.hear(request, actor, sequence, at, body)
        elif type_.endswith(".applied"):
            self._applied[subject, body["version"]] = body["digest"]

    def _opened(self, body: dict[str, Any]) -> str:
        """Return a body's text with the values it commits to, as far as they are here and fit."""
        text = json.dumps(body, ensure_ascii=False)
        for value, commitment in body["personal"].items():
            given = self._values.get(value, {})
            if "text" not in given:
                self._counts["erased"] += given.get("state") == "erased"
                self._counts["closed"] += given.get("state") != "erased"
                continue
            made = hmac.new(bytes.fromhex(given["salt"]), given["text"].encode(), "sha256")
            if not hmac.compare_digest(made.hexdigest(), commitment):
                raise Broken(f"value {value} is not the one that its entry commits to")
            self._counts["opened"] += 1
            quoted = json.dumps(given["text"], ensure_ascii=False)[1:-1]
            text = text.replace(f"[personal {value}]", quoted)
        return text

    def _read_proofs(self) -> None:
        names = self._bundle.under("proofs")
        for name in names:
            head, index, *rest = self._bundle.read(name, 1 << 17).decode().split("\n")
            place = rest.index("")
            sequence = int(index[len("index ") :]) + 1
            note = "\n".join(rest[place + 1 :])
            sound = head == "c2sp.org/tlog-proof@v1" and name == f"proofs/{sequence}.tlog-proof"
            if not sound or note.encode() != self._bundle.read("checkpoint") or not included(
                self._leaves.get(sequence, b""), sequence - 1, self.checkpoint.size,
                hashes_of(rest[:place]), self.checkpoint.root,
            ):  # fmt: skip
                raise Broken(f"{name} proves nothing")
        if names:
            self.found.proven.append(f"{len(names):,} C2SP inclusion proofs say the same")

    def _read_checkpoints(self) -> None:
        anchored, listed = 0, self._bundle.json("checkpoints.json")
        told = self._bundle.json("keys.json")["keys"]
        keys = [Key(one["key"]) for one in told]
        for one in listed:
            old = Checkpoint(one["note"])
            signer = next((k for k in [self._key, *keys] if old.signed_by(k)), None)
            if signer is None or old.origin != self.checkpoint.origin or not consistent(
                old.size, self.checkpoint.size, hashes_of(one["consistency"]), old.root,
                self.checkpoint.root,
            ):  # fmt: skip
                raise Broken(f"the checkpoint of {old.size} entries is not of this log")
            if one["anchors"]:
                said = f"the first {old.size:,} entries are anchored: {', '.join(one['anchors'])}"
                self.found.unproven.append(f"{said}: the plane says so; ask there")
                anchored = max(anchored, old.size)
            for witness in self._witnesses:
                if old.signed_by(witness):
                    anchored = max(anchored, old.size)
                    said = f"{witness.name} witnessed the first {old.size:,} entries"
                    self.found.proven.append(f"{said}; its key you gave")
        for was, one in pairwise(told):
            if one["cause"] == "forked":
                lost = f"{one['lost_size'] or 0:,} entries were signed as {was['origin']}"
                accepted = f"{one['reason']}; accepted by {one['accepted_by'] or 'nobody'}"
                self.found.unproven.append(f"{lost}, and not all are here: it forked ({accepted})")
        if listed:
            older = (
                "1 older checkpoint" if len(listed) == 1 else f"{len(listed):,} older checkpoints"
            )
            self.found.proven.append(f"the log only grew from {older} on")
        if anchored < (self._manifest["entries"]["last"] or 0):
            which = f"entries after {anchored:,} are" if anchored else "all entries are"
            self.found.unproven.append(f"{which} un-anchored: nobody but the plane keeps what "
                                       "they were")  # fmt: skip

    def _read_documents(self) -> None:
        held = set()
        for name in self._bundle.under("documents"):
            _, kind, digest = name.split("/")
            found = hashlib.sha256(b"watchkeeper/%s/v1\0" % kind.encode())
            found.update(self._bundle.read(name))
            if f"{found.hexdigest()}.json" != digest:
                raise Broken(f"{name} is not the document of that digest")
            held.add((kind, f"sha256:{found.hexdigest()}"))
        for digest, sequence in self._policies.items():
            name = f"policies/{digest[7:]}.json"
            raw = self._bundle.read(name) if name in self._bundle.members else None
            if raw is None:
                self.found.unproven.append(f"the policy sets of entry {sequence} are missing")
                continue
            hashed = hashlib.sha256(b"watchkeeper/policies/v1\0" + raw).hexdigest()
            if digest != f"sha256:{hashed}":
                raise Broken(f"{name} is not what entry {sequence} was decided under")
            for one, said, _ in read_json(raw):
                if ("policy", said) not in held:
                    self.found.unproven.append(f"the text of policy set {one} is missing")
        for (subject, version), sequence in self._ran.items():
            if ("agent", self._applied.get((subject, version), "")) not in held:
                self.found.unproven.append(f"version {version} of {subject}, under which entry "
                                           f"{sequence} was decided, is missing")  # fmt: skip
        decided = self._counts["decisions"] - self._counts["unsealed"]
        if decided:
            self.found.proven.append(f"{decided:,} decisions name the policy sets they were made "
                                     f"under: {len(self._policies)} different")  # fmt: skip
        if self._counts["unsealed"]:
            self.found.unproven.append(f"{self._counts['unsealed']:,} decisions do not name the "
                                       "policy sets that they were made under")  # fmt: skip

    def _read_displays(self) -> None:
        self._votes.read_displays(self._bundle)

    def _read_votes(self) -> None:
        self._votes.read(self._bundle, self._plane)

    def _sum_up(self) -> None:
        manifest, counts = self._manifest, self._counts
        if counts["knew"]:
            self.found.proven.append(f"{counts['knew']:,} results that agents were given are "
                                     "sealed by their digests")  # fmt: skip
        self.found.unproven += [f"{one['what']}: {one['why']}" for one in manifest["missing"]]
        if counts["opened"]:
            self.found.proven.append(f"{counts['opened']:,} personal values are those that entries "
                                     "commit to")  # fmt: skip
        if counts["erased"]:
            self.found.unproven.append(f"{counts['erased']:,} personal values: they were erased")
        if counts["closed"]:
            self.found.unproven.append(f"{counts['closed']:,} personal values: they are not here")


def verify(
    path: str,
    keys: tuple[str, ...] = (),
    witnesses: tuple[str, ...] = (),
    signers: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Findings:
    """Verify a bundle with keys from elsewhere; raise `OSError` if it can't be read.

    Raises `Broken` or `ValueError` for what is no key.
    """
    with open(path, "rb") as file:
        given, known = [Key(one) for one in keys], [Key(one) for one in witnesses]
        return Verifier(file, given, known, signers, progress).run()
