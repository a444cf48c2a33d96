"""A time-stamp authority (RFC 3161): signs that a checkpoint was there at a time."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from watchkeeper.core.errors import Conflict, Invalid, Unavailable
from watchkeeper.core.ids import random_bytes
from watchkeeper.ledger.anchors.model import Held, Post, Publishing, Receipt
from watchkeeper.ledger.notes import NoteKey

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_QUERY = "application/timestamp-query"
_SEQUENCE, _SET, _INTEGER, _OCTETS, _OID, _TIME = 0x30, 0x31, 0x02, 0x04, 0x06, 0x18
_SHA256 = bytes.fromhex("608648016503040201")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_TST_INFO = bytes.fromhex("2a864886f70d0109100104")
_CONTENT_TYPE = bytes.fromhex("2a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
_DIGESTS = {_SHA256: "SHA256", bytes.fromhex("608648016503040202"): "SHA384",
            bytes.fromhex("608648016503040203"): "SHA512"}  # fmt: skip


class Stamp(NamedTuple):
    """What an authority signed: a digest, when, and the number that the request had."""

    digest: bytes
    at: str
    nonce: int | None


class TimestampAnchor:
    """Has checkpoints stamped by an authority whose certificate, or its issuer's, is known."""

    kind = "tsa"
    every_seconds = 3600

    def __init__(self, url: str, certificates: Sequence[Certificate], post: Post) -> None:
        self._url = url
        self._certificates = certificates
        self._post = post
        self.place = url.partition("?")[0]

    async def publish(self, one: Publishing) -> str:
        """Have a checkpoint stamped; return the answer in base64."""
        nonce = int.from_bytes(random_bytes(8)) | 1
        digest = hashlib.sha256(one.note.encode()).digest()
        answer = await self._post("POST", self._url, _QUERY, request_of(digest, nonce))
        if answer.status != 200:
            raise Unavailable(f"it answered HTTP {answer.status}", where=self.place)
        try:
            stamp = await asyncio.to_thread(read_stamp, answer.body, self._certificates)
        except Invalid as error:
            raise Unavailable(error.message, where=self.place) from None
        if stamp.digest != digest or stamp.nonce != nonce:
            raise Unavailable("it stamped something else", where=self.place)
        return base64.b64encode(answer.body).decode()

    async def held(self, keys: Sequence[NoteKey], receipts: Sequence[Receipt]) -> list[Held]:
        """Return what it stamped, by its receipts."""
        return await asyncio.to_thread(self._held, receipts)

    def _held(self, receipts: Sequence[Receipt]) -> list[Held]:
        found = []
        for receipt in receipts:
            try:
                raw = base64.b64decode(receipt.given, validate=True)
                stamp = read_stamp(raw, self._certificates)
            except (Invalid, binascii.Error) as error:
                # it was altered, or the authority's certificate is another by now
                raise Unavailable(f"a receipt does not verify: {error}") from None
            if stamp.digest != hashlib.sha256(receipt.note.encode()).digest():
                raise Conflict("a receipt is for something else than its checkpoint")
            found.append(Held(f"what {self.place} stamped at {stamp.at}", receipt.note))
        return found


def read_certificates(path: Path) -> list[Certificate]:
    """Return the certificates of a PEM file; raise `Invalid` if it holds none."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Invalid(f"no certificate can be read: {error}", where=str(path)) from None


def request_of(digest: bytes, nonce: int) -> bytes:
    """Return a request (TimeStampReq) that also asks for the certificate."""
    algorithm = _write(_SEQUENCE, _write(_OID, _SHA256), b"\x05\x00")
    imprint = _write(_SEQUENCE, algorithm, _write(_OCTETS, digest))
    number = _write(_INTEGER, nonce.to_bytes(nonce.bit_length() // 8 + 1))
    return _write(_SEQUENCE, b"\x02\x01\x01", imprint, number, b"\x01\x01\xff")


def read_stamp(raw: bytes, certificates: Sequence[Certificate]) -> Stamp:
    """Return what an answer (TimeStampResp) stamps; raise `Invalid` unless it is signed."""
    try:
        return _read_stamp(raw, certificates)
    except (ValueError, IndexError, KeyError, StopIteration) as error:
        raise Invalid(f"it is no signed time stamp: {error}") from None


class _Value(NamedTuple):
    tag: int
    body: bytes
    whole: bytes


def _read_stamp(raw: bytes, certificates: Sequence[Certificate]) -> Stamp:
    status, *rest = _parts(_one(raw, _SEQUENCE))
    if int.from_bytes(_parts(status.body)[0].body) > 1 or not rest:
        raise ValueError("it was refused")
    kind, content = _parts(rest[0].body)
    if kind.body != _SIGNED_DATA:
        raise ValueError("it is not signed")
    parts = _parts(_one(content.body, _SEQUENCE))
    inner_kind, inner = _parts(parts[2].body)
    if inner_kind.body != _TST_INFO:
        raise ValueError("it is for something else")
    info = _one(inner.body, _OCTETS)
    enclosed = [one for part in parts[3:-1] if part.tag == 0xA0 for one in _parts(part.body)]
    (signer,) = _parts(parts[-1].body)
    _check_signature(signer, info, _known(enclosed, certificates))
    fields = _parts(_one(info, _SEQUENCE))
    algorithm, digest = _parts(fields[2].body)
    if _parts(algorithm.body)[0].body != _SHA256:
        raise ValueError("it is over another digest")
    at = next(one.body for one in fields if one.tag == _TIME).decode("ascii")
    numbers = [one for one in fields[5:] if one.tag == _INTEGER]
    nonce = int.from_bytes(numbers[0].body) if numbers else None
    return Stamp(digest.body, at, nonce)


def _known(enclosed: Sequence[_Value], known: Sequence[Certificate]) -> list[Certificate]:
    """Return the certificates that are known, and those enclosed that one of them issued."""
    found = [_issued(one.whole, issuer) for one in enclosed[:8] for issuer in known]
    return [*known, *(one for one in found if one is not None)]


def _issued(raw: bytes, issuer: Certificate) -> Certificate | None:
    """Return a certificate for time stamps that an issuer signed; None for anything else."""
    from cryptography.x509 import ExtendedKeyUsage, load_der_x509_certificate
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        certificate = load_der_x509_certificate(raw)
        certificate.verify_directly_issued_by(issuer)
        usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    except Exception:  # whatever is wrong with it, it is none of the issuer's
        return None
    return certificate if ExtendedKeyUsageOID.TIME_STAMPING in usage else None


def _check_signature(signer: _Value, info: bytes, certificates: Sequence[Certificate]) -> None:
    """Raise `ValueError` unless a certificate's key signed (CMS, RFC 5652, 5.4)."""
    from cryptography.hazmat.primitives import hashes

    parts = _parts(signer.body)
    attributes = parts[3]
    if attributes.tag != 0xA0:
        raise ValueError("nothing says what is signed")
    name = _DIGESTS[_parts(parts[2].body)[0].body]
    found = {}
    for attribute in _parts(attributes.body):
        kind, values = _parts(attribute.body)
        (found[kind.body],) = _parts(values.body)
    if found[_CONTENT_TYPE].body != _TST_INFO:
        raise ValueError("something else is signed")
    if found[_MESSAGE_DIGEST].body != hashlib.new(name, info).digest():
        raise ValueError("something else was signed")
    signed = b"\x31" + attributes.whole[1:]
    algorithm: hashes.HashAlgorithm = getattr(hashes, name)()
    if not any(_signed_by(one, parts[5].body, signed, algorithm) for one in certificates):
        raise ValueError("no certificate that is known signed it")


def _signed_by(certificate: Certificate, signature: bytes, signed: bytes, algorithm: Any) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _write(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    assert len(body) < 128, "requests are short"
    return bytes([tag, len(body)]) + body


def _one(raw: bytes, tag: int) -> bytes:
    """Return the body of the one value there is."""
    (value,) = _parts(raw)
    if value.tag != tag:
        raise ValueError("it is of another form")
    return value.body


def _parts(raw: bytes) -> list[_Value]:
    return list(_read(raw))


def _read(raw: bytes) -> Iterator[_Value]:
    """Read DER values (X.690) one after the other."""
    place = 0
    while place < len(raw):
        start, tag, length = place, raw[place], raw[place + 1]
        place += 2
        if length & 0x80:
            count = length & 0x7F
            if not 0 < count <= 4:
                raise ValueError("a length is of another form")
            length = int.from_bytes(raw[place : place + count])
            place += count
        end = place + length
        if end > len(raw):
            raise ValueError("it is cut off")
        yield _Value(tag, raw[place:end], raw[start:end])
        place = end
