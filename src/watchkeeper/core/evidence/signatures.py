"""Signatures of Ed25519, ECDSA and RSA keys, and those of SSH keys, verified in plain Python."""

from __future__ import annotations

import base64
import hashlib


class Broken(Exception):
    """What does not hold."""


_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
Point = tuple[int, int, int, int]


def _decode(raw: bytes) -> Point | None:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    squared = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(squared, (_P + 3) // 8, _P)
    if (x * x - squared) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if (x * x - squared) % _P or (not x and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return (x, y, 1, x * y % _P)


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(number: int, point: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = _add(found, point)
        point, number = _add(point, point), number >> 1
    return found


_BASE = _decode(bytes.fromhex("58" + "66" * 31))


def ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature is of a key over a message (RFC 8032, 5.1.7)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, start, s = _decode(public), _decode(signature[:32]), signature[32:]
    number = int.from_bytes(s, "little")
    if key is None or start is None or _BASE is None or number >= _L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    left, right = _times(number, _BASE), _add(start, _times(h, key))
    return not (
        (left[0] * right[2] - right[0] * left[2]) % _P
        or (left[1] * right[2] - right[1] * left[2]) % _P
    )


_CURVES = {
    b"nistp256": (
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        "sha256",
    ),
    b"nistp384": (
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        int(
            "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875a"
            "c656398d8a2ed19d2a85c8edd3ec2aef", 16),
        int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
        int(
            "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a38"
            "5502f25dbf55296c3a545e3872760ab7", 16),
        int(
            "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c0"
            "0a60b1ce1d7e819d7a431d7c90ea0e5f", 16),
        "sha384",
    ),
    b"nistp521": (
        2**521 - 1,
        int(
            "51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109"
            "e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00", 16),
        int(
            "1" + "f" * 65 + "a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
            16),
        int(
            "c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3d"
            "baa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66", 16),
        int(
            "11839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e6"
            "62c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650", 16),
        "sha512",
    ),
}  # fmt: skip
Affine = tuple[int, int] | None


def _join(p: int, one: Affine, other: Affine) -> Affine:
    if one is None or other is None:
        return one or other
    if one[0] == other[0]:
        if (one[1] + other[1]) % p == 0:
            return None
        slope = (3 * one[0] * one[0] - 3) * pow(2 * one[1], -1, p)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, p)
    x = (slope * slope - one[0] - other[0]) % p
    return x, (slope * (one[0] - x) - one[1]) % p


def ecdsa(curve: bytes, point: bytes, r: int, s: int, message: bytes) -> bool:
    """Whether r and s are of a key over a message (FIPS 186-5, 6.4.2)."""
    p, b, n, gx, gy, hashed = _CURVES[curve]
    size = (p.bit_length() + 7) // 8
    x, y = int.from_bytes(point[1 : size + 1], "big"), int.from_bytes(point[size + 1 :], "big")
    sound = len(point) == 2 * size + 1 and point[0] == 4 and x < p and y < p
    if not sound or (y * y - x**3 + 3 * x - b) % p or not (0 < r < n and 0 < s < n):
        return False
    digest = hashlib.new(hashed, message).digest()
    e = int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - n.bit_length())
    w = pow(s, n - 2, n)
    found: Affine = None
    for number, start in ((e * w % n, (gx, gy)), (r * w % n, (x, y))):
        at: Affine = start
        for bit in bin(number)[:1:-1]:
            if bit == "1":
                found = _join(p, found, at)
            at = _join(p, at, at)
    return found is not None and found[0] % n == r


_RSA = {
    b"rsa-sha2-256": ("sha256", "3031300d060960864801650304020105000420"),
    b"rsa-sha2-512": ("sha512", "3051300d060960864801650304020305000440"),
}


def rsa(kind: bytes, n: int, e: int, signature: bytes, message: bytes) -> bool:
    """Whether a signature is of a key over a message (RFC 8017, 8.2.2)."""
    size = (n.bit_length() + 7) // 8
    if kind not in _RSA or not 1024 <= n.bit_length() <= 16384 or not 2 < e < 1 << 33:
        return False
    name, prefix = _RSA[kind]
    ending = b"\0" + bytes.fromhex(prefix) + hashlib.new(name, message).digest()
    wanted = b"\0\1" + b"\xff" * (size - len(ending) - 2) + ending
    value = int.from_bytes(signature, "big")
    return value < n and pow(value, e, n).to_bytes(size, "big") == wanted


def _strings(raw: bytes) -> list[bytes]:
    """Return the strings that bytes are made of (RFC 4251, 5); raise `Broken` for others."""
    found: list[bytes] = []
    at = 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        if at + 4 + size > len(raw) or len(found) > 8:
            raise Broken("it is no SSH signature")
        found.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def sshsig(armoured: str, message: bytes, namespace: str) -> str:
    """Return the key, as in `authorized_keys`, that signed (PROTOCOL.sshsig); raise `Broken`.

    Ed25519, ECDSA, RSA, and hardware keys that were touched; all in this file.
    """
    lines = armoured.strip().splitlines()
    if len(lines) < 3 or len(armoured) > 16_000 or lines[0] != "-----BEGIN SSH SIGNATURE-----":
        raise Broken("it is no SSH signature")
    coded = "".join(lines[1:-1])
    blob = base64.b64decode(coded, validate=True)
    if base64.b64encode(blob).decode() != coded:
        raise Broken("it is written otherwise than OpenSSH writes it")
    if not blob.startswith(b"SSHSIG\0\0\0\1") or lines[-1] != "-----END SSH SIGNATURE-----":
        raise Broken("it is no SSH signature")
    public, named, reserved, hashed, signature = _strings(blob[10:])
    if named != namespace.encode() or hashed not in (b"sha256", b"sha512"):
        raise Broken(f"it was made for {named!r:.60}, not for {namespace}")
    signed = b"SSHSIG" + b"".join(
        len(one).to_bytes(4, "big") + one
        for one in (named, reserved, hashed, hashlib.new(hashed.decode(), message).digest())
    )
    key = _strings(public)
    if not _signed(key, signature, signed):
        raise Broken("no key made this signature over this")
    return f"{key[0].decode()} {base64.b64encode(public).decode()}"


def _signed(key: list[bytes], signature: bytes, signed: bytes) -> bool:
    kind = key[0]
    hardware = kind.startswith(b"sk-")
    if hardware:
        flags, signature = signature[-5:], signature[:-5]
        if not flags[0] & 1:
            raise Broken("the hardware key was not touched")
        signed = hashlib.sha256(key[-1]).digest() + flags + hashlib.sha256(signed).digest()
        key = key[:-1]
    name, raw = _strings(signature)
    if kind in (b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com") and len(key) == 2:
        return name == kind and ed25519(key[1], raw, signed)
    if b"ecdsa-sha2-nistp" in kind and len(key) == 3 and key[1] in _CURVES:
        r, s = (int.from_bytes(one, "big") for one in _strings(raw))
        return name == kind and ecdsa(key[1], key[2], r, s, signed)
    if kind == b"ssh-rsa" and len(key) == 3:
        e, n = (int.from_bytes(one, "big") for one in key[1:])
        return rsa(name, n, e, raw, signed)
    raise Broken(f"a key of kind {kind!r:.40} is not known here")


def fingerprint(key: str) -> str:
    """Return `SHA256:…` of an `authorized_keys` line."""
    blob = base64.b64decode(key.split()[1], validate=True)
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
