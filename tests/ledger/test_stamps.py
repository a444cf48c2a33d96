"""Checkpoints stamped by a time-stamp authority: `openssl ts` behind HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.ledger.ground import note, only, run, verified
from watchkeeper.core.errors import Invalid
from watchkeeper.ledger.anchors.timestamps import TimestampAnchor, read_certificates, read_stamp
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.plane.anchors import WayOut

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """`openssl ts` behind HTTP; its URL and the certificate of who issued its own."""
    directory = tmp_path / "tsa"
    directory.mkdir()
    (directory / "ts.cnf").write_text(TS_SETTINGS)

    def openssl(*arguments: str) -> None:
        run("openssl", *arguments, place=directory)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "ts.key", "-out", "ts.csr",
            "-subj", "/CN=tsa")  # fmt: skip
    openssl("x509", "-req", "-in", "ts.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
            "-out", "ts.pem", "-extfile", "ts.cnf", "-extensions", "stamps")  # fmt: skip
    (directory / "serial").write_text("01")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            (directory / "query").write_bytes(raw)
            openssl("ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-out", "reply")
            reply = (directory / "reply").read_bytes()
            self.send_response(200)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/tsa", directory
    server.shutdown()
    thread.join()
    server.server_close()


TS_SETTINGS = """
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = ts.pem
signer_key = ts.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
[stamps]
extendedKeyUsage = critical,timeStamping
"""


@needs_openssl
async def test_a_checkpoint_is_stamped(
    log: Log, authority: tuple[str, Path], tmp_path: Path
) -> None:
    url, directory = authority
    way = WayOut(url)
    for pinned in ("ca.pem", "ts.pem"):
        anchor = TimestampAnchor(url, read_certificates(directory / pinned), way.send)
        audit = LedgerAudit(log, [anchor])
        await note(log, 3)
        await audit.sign_now()
        assert only(audit.anchoring).problem is None
        found = await verified(audit)
        assert (found.ok, found.anchored) == (True, found.entries)
    run("openssl", "ts", "-verify", "-in", "reply", "-queryfile", "query", "-CAfile", "ca.pem",
        place=directory)  # fmt: skip
    raw = (directory / "reply").read_bytes()
    read_stamp(raw, read_certificates(directory / "ca.pem"))
    (directory / "other.pem").write_bytes(
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "x.key", "-subj", "/CN=ca", "-days", "2", place=directory)
    )  # fmt: skip
    with pytest.raises(Invalid, match="no certificate that is known"):
        read_stamp(raw, read_certificates(directory / "other.pem"))
    known = read_certificates(directory / "ts.pem")
    whole = read_stamp(raw, known)
    for place in range(len(raw)):
        bad = bytearray(raw)
        bad[place] ^= 1
        try:
            assert read_stamp(bytes(bad), known) == whole, "what is not signed may differ"
        except Invalid:
            continue
    await way.close()
