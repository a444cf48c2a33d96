"""Bundles that were altered: by anybody, and by whoever has the plane's own key."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.evidence.ground import Ground, Members, members_of, packed, signed_again
from tests.rig.ssh import SshKey
from watchkeeper.core.evidence.file import ENVELOPE, MANIFEST, pae, tar_end, tar_member
from watchkeeper.ledger.notes import public_of
from watchkeeper.wire.people import LOGIN_NAMESPACE
from watchkeeper.wire.requests import VOTE_NAMESPACE, vote_text


def bundle(ground: Ground, number: int = 0) -> Members:
    return members_of(ground.export(f"requests/{ground.requests[number]}"))


def test_a_bundle_is_the_only_file_of_its_members(ground: Ground) -> None:
    path = ground.export(f"requests/{ground.requests[0]}")
    assert packed(members_of(path)) == path.read_bytes()


def test_no_member_is_altered_dropped_swapped_or_taken_from_another(ground: Ground) -> None:
    members, other = bundle(ground), bundle(ground, 1)
    names = list(members)
    for name, following in zip(names, names[1:] + names[:1], strict=True):
        raw = members[name]
        flipped = bytearray(raw)
        flipped[len(raw) // 2] ^= 1
        for altered in (
            {**members, name: bytes(flipped)},
            {**members, name: raw[:-1]},
            {**members, name: raw + b"\n"},
            {one: held for one, held in members.items() if one != name},
            {**members, f"{name}x": raw},
            {**members, name: members[following], following: raw},
        ):
            assert ground.verify(packed(altered)).failed, name
        if other.get(name, raw) != raw:
            assert ground.verify(packed({**members, name: other[name]})).failed, name


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_byte_of_the_file_is_altered(ground: Ground, place: float, bit: int) -> None:
    raw = bytearray(ground.export(f"requests/{ground.requests[0]}").read_bytes())
    raw[int(place * len(raw))] ^= 1 << bit
    assert ground.verify(bytes(raw)).failed


@given(place=st.floats(0, 1, exclude_max=True))
def test_no_file_is_cut_off_or_goes_on(ground: Ground, place: float) -> None:
    raw = ground.export(f"requests/{ground.requests[0]}").read_bytes()
    assert ground.verify(raw[: int(place * len(raw))]).failed
    for more in (b"\0", bytes(512), raw):
        assert ground.verify(raw + more).failed


def test_the_altered_member_is_named_also_where_it_cannot_be_read(ground: Ground) -> None:
    raw = bytearray(bundle(ground)["entries/000001"])
    raw[0] ^= 1
    found = ground.verify(packed({**bundle(ground), "entries/000001": bytes(raw)}))
    assert "entries/000001 is not what the manifest says" in found.failed


def test_another_key_signs_for_nobody_but_itself(ground: Ground) -> None:
    members, other = bundle(ground), Ed25519PrivateKey.generate()
    for key in (None, ground.key):
        raw = signed_again(members, other, key=key)
        (why,) = ground.verify(raw).failed
        assert "did not sign this bundle" in why
    # it needs a checkpoint, too, which only the plane's key signed
    theirs = public_of(other, ground.key.split("+")[0]).text()
    assert ground.verify(signed_again(members, other), keys=(theirs,)).failed
    assert ground.verify(signed_again(members, other), keys=(theirs, ground.key)).failed
    assert not ground.verify(signed_again(members, ground.private)).failed


def _lines(members: Members, change: Callable[[list[bytes]], list[bytes]]) -> Members:
    lines = members["entries/000001"].splitlines(keepends=True)
    return {**members, "entries/000001": b"".join(change(lines))}


def test_whoever_has_the_planes_key_alters_no_entry(ground: Ground) -> None:
    members = bundle(ground)
    count = len(members["entries/000001"].splitlines())

    def turned(line: bytes) -> bytes:
        return line[:5] + bytes([line[5] ^ 1]) + line[6:]

    for number in range(0, count, 2):
        for altered in (
            _lines(members, lambda lines, n=number: lines[:n] + lines[n + 1 :]),  # type: ignore[misc]
            _lines(members, lambda lines, n=number: [*lines[:n], lines[n], *lines[n:]]),  # type: ignore[misc]
            _lines(members, lambda lines, n=number: [lines[n], *lines[:n], *lines[n + 1 :]])  # type: ignore[misc]
            if number
            else members | {"entries/000001": b""},
            _lines(
                members,
                lambda lines, n=number: [  # type: ignore[misc]
                    turned(line) if at == n else line for at, line in enumerate(lines)
                ],
            ),
        ):
            assert altered["entries/000001"] != members["entries/000001"]
            assert ground.verify(signed_again(altered, ground.private)).failed, number
    for name in [one for one in members if one.startswith(("proofs/", "documents/", "policies/"))]:
        altered = {**members, name: members[name].replace(b"e", b"f").replace(b"1", b"3")}
        assert ground.verify(signed_again(altered, ground.private)).failed, name
    noted = members["checkpoint"].decode().split("\n")
    for at in range(3):
        other = "\n".join([*noted[:at], "1" + noted[at], *noted[at + 1 :]])
        altered = {**members, "checkpoint": other.encode()}
        assert ground.verify(signed_again(altered, ground.private)).failed
    older = json.loads(members["checkpoints.json"])
    for one in older:
        one["note"] = one["note"].replace("\n\n", "1\n\n", 1)
        altered = {**members, "checkpoints.json": json.dumps(older).encode()}
        assert ground.verify(signed_again(altered, ground.private)).failed


def test_a_vote_for_anything_else_is_refused(ground: Ground) -> None:
    members, request = bundle(ground), ground.requests[0]
    name = f"votes/{request}/1.txt"
    text, key = members[name], SshKey(ground.place / "ed25519")
    parts = dict(line.split(b" ", 1) for line in text.splitlines())
    said = {
        "plane": parts[b"plane"].decode(), "request": request, "verdict": "approve",
        "digest": parts[b"digest"].decode(), "person": "grace", "reason": "right, 0",
    }  # fmt: skip

    def voted(namespace: str = VOTE_NAMESPACE, by: SshKey = key, **other: str) -> Members:
        message = vote_text(**{**said, **other})
        signature = by.sign(message, namespace=namespace).encode()
        return {**members, name: message, f"{name}.sig": signature}

    assert voted() == members
    for altered in (
        voted(namespace=LOGIN_NAMESPACE), voted(namespace="file"),
        voted(request=ground.requests[1]), voted(digest="sha256:" + "0" * 64),
        voted(verdict="reject"), voted(reason="no"), voted(plane="plane-x"), voted(person="ada"),
        voted(acting_for="ada"), voted(by=SshKey(ground.place / "rsa")),
        {**members, f"{name}.sig": bundle(ground, 1)[f"votes/{ground.requests[1]}/1.txt.sig"]},
    ):  # fmt: skip
        assert ground.verify(signed_again(altered, ground.private)).failed
    gone = {one: raw for one, raw in members.items() if not one.startswith("votes/")}
    found = ground.verify(signed_again(gone, ground.private))
    assert f"grace's signature on {request}: it is missing" in found.unproven
    assert ground.verify(packed(members), signers="ada ssh-ed25519 AAAA\n").failed


def test_what_was_shown_is_held_against_the_vote(ground: Ground) -> None:
    members, name = bundle(ground), f"requests/{ground.requests[0]}.json"
    altered = {**members, name: members[name].replace(b"250", b"25")}
    assert altered[name] != members[name]
    found = ground.verify(signed_again(altered, ground.private))
    assert any("it is not what the entry has" in one for one in found.unproven)
    assert not any("was shown" in one for one in found.proven)


def test_no_member_is_there_twice_or_of_another_format(ground: Ground) -> None:
    """What readers of tar files take differently: none of it is a bundle."""
    members = bundle(ground)
    each = [tar_member(name, raw) for name, raw in members.items()]
    whole = b"".join(each) + tar_end()
    assert not ground.verify(whole).failed
    for number, (name, raw) in enumerate(members.items()):
        twice = b"".join([*each[:number], tar_member(name, b"{}"), *each[number:]]) + tar_end()
        assert ground.verify(twice).failed, name
        if raw:
            at = sum(map(len, each[:number]))
            for place, field in (
                (124, b"\x80"), (124, b"+"), (124, b" "), (135, b" "), (99, b"x"), (156, b"\0"),
                (157, b"x"), (257, b"ustar  \0"), (345, b"a"),
            ):  # fmt: skip
                start = at + place
                altered = whole[:start] + field + whole[start + len(field) :]
                assert ground.verify(altered).failed, (name, place)


def test_other_programs_do_not_write_bundles(ground: Ground) -> None:
    """The same members, by a stock writer: pax and GNU headers, links, times and owners."""
    members = bundle(ground)
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=kind) as file:
            for name, content in members.items():
                one = tarfile.TarInfo(name)
                one.size, one.mtime = len(content), 1
                file.addfile(one, io.BytesIO(content))
        assert ground.verify(raw.getvalue()).failed


def test_what_json_readers_take_differently_is_refused(ground: Ground) -> None:
    """By whoever has the plane's key: a name twice, what is no number, another encoding."""
    members = bundle(ground)
    sealed = members["checkpoints.json"]

    def told(raw: bytes) -> list[str]:
        altered = {**members, "checkpoints.json": raw}
        return ground.verify(signed_again(altered, ground.private)).failed

    assert not told(sealed.replace(b'"anchors":[', b'"other":1,"anchors":['))
    for raw in (
        sealed.replace(b'"anchors":[', b'"anchors":[],"anchors":['),
        sealed.replace(b'"anchors":[', b'"other":-Infinity,"anchors":['),
        sealed.replace(b'"anchors":[', b'"other":NaN,"anchors":['),
        sealed.decode().encode("utf-16"), sealed.decode().encode("utf-8-sig"),
    ):  # fmt: skip
        assert told(raw), raw[:80]
    twice_keys = members["keys.json"].replace(b'"origin":', b'"origin":"x","origin":')
    altered = {**members, "keys.json": twice_keys}
    assert ground.verify(signed_again(altered, ground.private)).failed


def test_an_envelope_is_for_one_type_of_payload_and_one_signature(ground: Ground) -> None:
    members = bundle(ground)
    sealed = json.loads(members[ENVELOPE])
    payload = base64.b64decode(sealed["payload"])
    other = "application/vnd.other+json"
    signed = base64.b64encode(ground.private.sign(pae(other, payload))).decode()
    raw = base64.b64encode(ground.private.sign(payload)).decode()
    (one,) = sealed["signatures"]
    changes: tuple[dict[str, Any], ...] = (
        {"payloadType": other}, {"payloadType": other, "signatures": [{**one, "sig": signed}]},
        {"signatures": [{**one, "sig": signed}]}, {"signatures": [{**one, "sig": raw}]},
        {"signatures": [one, one]}, {"signatures": []}, {"signatures": [{**one, "keyid": ""}]},
        {"signatures": [{**one, "sig": one["sig"] + "\n"}]}, {"more": 1},
        {"payload": sealed["payload"] + "\n"},
    )  # fmt: skip
    for changed in changes:
        envelope = json.dumps({**sealed, **changed}, separators=(",", ":")).encode()
        assert envelope != members[ENVELOPE]
        assert ground.verify(packed({**members, ENVELOPE: envelope})).failed, changed
    spaced = json.dumps(sealed, indent=1).encode()
    assert ground.verify(packed({**members, ENVELOPE: spaced})).failed


@pytest.mark.parametrize("name", [MANIFEST, ENVELOPE, "entries/000001", "checkpoint"])
@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b"null", b"[" * 100_000, b"9" * 50_000, b'{"a":1e999}', b"\xff", b"~62 x"],
    ids=["empty", "object", "list", "null", "deep", "digits", "infinite", "no text", "no tree"],
)
def test_hostile_members_fail_and_nothing_more(ground: Ground, name: str, raw: bytes) -> None:
    members = {**bundle(ground), name: raw}
    fits = name in (MANIFEST, ENVELOPE)
    assert ground.verify(packed(members) if fits else signed_again(members, ground.private)).failed


def test_hostile_names_and_kinds_of_members_fail(ground: Ground) -> None:
    for name in ("../x", "/etc/x", "a//b", "a/../b", ".x", "a" * 99 + "/b", "x y", "a/b/c/d/e/f"):
        assert ground.verify(packed({name: b""})).failed
    raw = ground.export(f"requests/{ground.requests[0]}").read_bytes()
    for kind in b"1256xgKL":
        altered = bytearray(raw)
        altered[156] = kind
        assert ground.verify(bytes(altered)).failed
    huge = raw[:124] + b"77777777777" + raw[135:]
    assert ground.verify(huge).failed
