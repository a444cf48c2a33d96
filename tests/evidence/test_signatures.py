"""Signatures in plain Python, held against test vectors, OpenSSL and OpenSSH."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rig.ssh import HardwareKey, SshKey
from watchkeeper.core.evidence.signatures import (
    Broken,
    ecdsa,
    ed25519,
    fingerprint,
    rsa,
    sshsig,
)
from watchkeeper.core.ssh import fingerprint as printed

# RFC 8032, 7.1: public key, message, signature
VECTORS = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
        "f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
        "4dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)  # fmt: skip
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVES = {
    b"nistp256": (ec.SECP256R1(), hashes.SHA256()),
    b"nistp384": (ec.SECP384R1(), hashes.SHA384()),
    b"nistp521": (ec.SECP521R1(), hashes.SHA512()),
}


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_vectors_of_rfc_8032_hold(public: str, message: str, signature: str) -> None:
    key, text, made = (bytes.fromhex(one) for one in (public, message, signature))
    assert ed25519(key, made, text)
    assert not ed25519(key, made, text + b"x")
    # another number for the same one (5.1.7: it must be below the order)
    again = int.from_bytes(made[32:], "little") + ORDER
    assert not ed25519(key, made[:32] + again.to_bytes(32, "little"), text)
    assert not ed25519(key, made[:-1], text)
    assert not ed25519(b"\xff" * 32, made, text)


@settings(max_examples=15)
@given(message=st.binary(max_size=200), bit=st.integers(0, 8 * 64 - 1))
def test_ed25519_is_what_openssl_signs(message: bytes, bit: int) -> None:
    private = Ed25519PrivateKey.generate()
    public, made = private.public_key().public_bytes_raw(), bytearray(private.sign(message))
    assert ed25519(public, bytes(made), message)
    made[bit // 8] ^= 1 << bit % 8
    assert not ed25519(public, bytes(made), message)


@pytest.mark.parametrize("curve", CURVES)
def test_ecdsa_is_what_openssl_signs(curve: bytes) -> None:
    kind, hashed = CURVES[curve]
    private = ec.generate_private_key(kind)
    numbers = private.public_key().public_numbers()
    size = (kind.key_size + 7) // 8
    point = b"\4" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
    for message in (b"", b"one", b"another"):
        r, s = utils.decode_dss_signature(private.sign(message, ec.ECDSA(hashed)))
        assert ecdsa(curve, point, r, s, message)
        assert not ecdsa(curve, point, r, s, message + b"x")
        assert not ecdsa(curve, point, r, s ^ 1, message)
        assert not ecdsa(curve, point, r, 0, message)
        assert not ecdsa(curve, point, 0, s, message)
        assert not ecdsa(curve, point[:-1] + bytes([point[-1] ^ 1]), r, s, message)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_signatures_of_openssh_hold_for_what_they_are_over(tmp_path: Path, kind: str) -> None:
    key, text = SshKey.make(tmp_path / kind, kind), b"what is signed\n"
    made = key.sign(text, namespace="here")
    found = sshsig(made, text, "here")
    assert found == key.public.rsplit(" ", 2)[0]
    assert fingerprint(found) == printed(key.public)
    for other, namespace in ((text + b"x", "here"), (text, "there"), (b"", "here")):
        with pytest.raises(Broken):
            sshsig(made, other, namespace)
    with pytest.raises((Broken, ValueError)):
        sshsig(made.replace("SIGNATURE", "MESSAGE"), text, "here")
    lines = made.splitlines()
    for at in range(1, len(lines) - 1):
        turned = "A" if lines[at][0] != "A" else "B"
        altered = [*lines[:at], turned + lines[at][1:], *lines[at + 1 :]]
        with pytest.raises((Broken, ValueError)):
            sshsig("\n".join(altered), text, "here")


def test_a_hardware_key_counts_if_it_was_touched() -> None:
    key, text = HardwareKey(), b"what is signed\n"
    assert sshsig(key.sign(text, namespace="here"), text, "here").startswith("sk-ssh-ed25519@")
    with pytest.raises(Broken, match="touched"):
        sshsig(key.sign(text, namespace="here", touched=False), text, "here")


def test_rsa_takes_no_sha_1_and_no_short_key() -> None:
    assert not rsa(b"ssh-rsa", 2**2048 - 1, 65537, bytes(256), b"")
    assert not rsa(b"rsa-sha2-256", 2**1000 - 1, 65537, bytes(125), b"")
    assert not rsa(b"rsa-sha2-256", 2**2048 - 1, 1, bytes(256), b"")
