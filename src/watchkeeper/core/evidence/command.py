"""Verifies an evidence bundle of Watchkeeper, offline, with Python's standard library alone.

    python3 -I verify.py BUNDLE [--key KEY] [--witness KEY] [--signers FILE] [--json]

KEY is the public key of the plane's log (NAME+ID+KEY, or a file with it) as you had it from
elsewhere: without one, nothing but that the bundle agrees with itself is proven. FILE is an
allowed_signers file that you had from elsewhere. Nothing is unpacked, written or asked of others.
Exit 0: everything that is checked holds; 1: something does not; 2: it was called wrongly.
"""

from __future__ import annotations

import argparse
import json
import sys

from watchkeeper.core.evidence.check import verify
from watchkeeper.core.evidence.findings import written
from watchkeeper.core.evidence.signatures import Broken


def key_in(text: str) -> str:
    """Return a key that was given as it is, or in a file."""
    if "+" in text:
        return text
    try:
        with open(text, encoding="utf-8") as file:
            return file.read(1000)
    except FileNotFoundError:
        raise Broken(f"{text} is neither a key (NAME+ID+KEY) nor a file with one") from None


def read_signers(path: str | None) -> str | None:
    """Return what an allowed_signers file holds, None where none is named."""
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:
        return file.read(1 << 20)


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; return the exit code."""
    parser = argparse.ArgumentParser(description="Verify an evidence bundle, offline.")
    for name, said in (
        ("--key", "the log's public key, or a file with it, as you had it from elsewhere"),
        ("--witness", "a witness's key that you had from elsewhere, or a file with it"),
    ):
        parser.add_argument(name, metavar="KEY", action="append", default=[], help=said)
    parser.add_argument("bundle", metavar="BUNDLE", help="the file to verify")
    parser.add_argument("--signers", metavar="FILE", help="an allowed_signers file of yours")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    try:
        keys, witnesses = (tuple(map(key_in, ones)) for ones in (given.key, given.witness))
        found = verify(given.bundle, keys, witnesses, read_signers(given.signers))
    except OSError as error:
        sys.stderr.write(f"verify: {error.filename}: {error.strerror}\n")
        return 2
    except (ValueError, Broken) as error:
        sys.stderr.write(f"verify: {error}\n")
        return 2
    if given.json:
        sys.stdout.write(json.dumps({"ok": not found.failed, **vars(found)}, indent=2) + "\n")
    else:
        sys.stdout.write(written(found))
    return 1 if found.failed else 0
