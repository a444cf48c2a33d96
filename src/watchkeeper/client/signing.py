"""Signing with a person's SSH key: ssh-keygen does it, with a key file or the agent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.core.errors import Invalid
from watchkeeper.core.places import config_file
from watchkeeper.core.ssh import fingerprint, plain_key
from watchkeeper.core.text import make_safe

SIGN_SECONDS = 120
"""How long a person may take to touch a key or type its passphrase."""
LIST_SECONDS = 10
SETTING = "signing_key"
_USUAL = ("id_ed25519", "id_ecdsa", "id_ed25519_sk", "id_ecdsa_sk", "id_rsa")
_NAME_ONE = "name one with --key PATH, or make one with `ssh-keygen -t ed25519`"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that can sign here: in a file, or held by the agent."""

    fingerprint: str
    comment: str
    file: Path | None = None
    public: str = ""
    """What the agent calls it, where no file is named."""
    touch: bool = False
    """Whether it is a hardware key, which wants to be touched."""

    def __str__(self) -> str:
        where = str(self.file) if self.file else f"in the agent ({self.comment or 'no comment'})"
        return f"{self.fingerprint} {where}"


async def sign(message: bytes, *, namespace: str, key: Path | None = None) -> str:
    """Return an armoured signature over a message, made with a key or with the usual one.

    Without `key`: the agent's first key, or else the first usual file in ~/.ssh. Raises
    `Invalid` that says what ssh-keygen says.
    """
    held = await _held_by_agent() if key is None else ()
    if held:
        return await sign_with(held[0], message, namespace=namespace)
    found = key or next((path for path in _usual_files() if path.exists()), None)
    if found is None:
        raise Invalid("no SSH key was found, in an agent or in ~/.ssh", remedy=_NAME_ONE)
    return await sign_with(Key("", "", found), message, namespace=namespace)


async def find_key(wanted: Collection[str], *, given: Path | None = None) -> Key:
    """Return the key to sign with, one of those with a `wanted` fingerprint.

    `given`, or else the configuration's `signing_key`, names its file, of which the public half
    does where the agent has the other; without either it is whichever the agent holds, or
    else a usual file in ~/.ssh. Raises `Invalid` that says which keys are looked for, and where.
    """
    named = given or configured_key()
    if named is not None:
        found = await _read_file(named)
        if found.fingerprint not in wanted:
            raise Invalid(
                f"{found.fingerprint} is none of your keys here: {_listed(wanted)}",
                where=str(named),
                rule="approval/signature",
                remedy="name another with --key PATH, or have this one added to your `person` "
                "document",
            )
        return found
    held = await _held_by_agent()
    for key in held:
        if key.fingerprint in wanted:
            return key
    for path in _usual_files():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            line = path.with_suffix(".pub").read_text(encoding="utf-8")
            if path.exists() and fingerprint(line) in wanted:
                return Key(fingerprint(line), "", path, touch=_is_hardware(line))
    agent = (
        f"the agent holds {len(held)} other{'' if len(held) == 1 else 's'}"
        if held
        else "the agent holds none"
        if os.environ.get("SSH_AUTH_SOCK")
        else "no agent is named by SSH_AUTH_SOCK"
    )
    raise Invalid(
        f"no key that you sign with here is at hand ({agent}): {_listed(wanted)}",
        rule="approval/signature",
        remedy="give it to the agent with `ssh-add PATH`, connect the hardware key, or name its "
        f"file with --key PATH or `{SETTING}` in the configuration",
    )


def configured_key() -> Path | None:
    """Return the file that the configuration names as `signing_key`, or None."""
    try:
        value = tomllib.loads(config_file().read_text(encoding="utf-8")).get(SETTING)
    except (OSError, ValueError):
        return None  # `watchkeeper config check` says what is wrong with it
    return Path(value).expanduser() if isinstance(value, str) and value else None


async def sign_with(key: Key, message: bytes, *, namespace: str, quiet: bool = False) -> str:
    """Return an armoured signature; raise `Invalid` that says what ssh-keygen says.

    A passphrase is asked for on the terminal itself; `quiet` keeps ssh-keygen away from it.
    """
    if key.file is not None:
        return await _sign(message, namespace, key.file, quiet)
    with tempfile.TemporaryDirectory(prefix="watchkeeper-") as place:
        public = Path(place, "key.pub")
        public.write_text(key.public + "\n", encoding="utf-8")
        return await _sign(message, namespace, public, quiet)


async def _held_by_agent() -> Sequence[Key]:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return ()
    try:
        code, listed, _ = await _run(("ssh-add", "-L"), b"", LIST_SECONDS, quiet=True)
    except (OSError, TimeoutError):
        return ()
    lines = listed.decode(errors="replace").splitlines() if code == 0 else []
    return [
        Key(fingerprint(line), _comment(line), public=plain_key(line), touch=_is_hardware(line))
        for line in lines
        if fingerprint(line)
    ]


async def _read_file(path: Path) -> Key:
    """Return a key file's fingerprint, which ssh-keygen reads without its passphrase."""
    given = ("ssh-keygen", "-l", "-f", str(path))
    try:
        code, said, complaint = await _run(given, b"", LIST_SECONDS, quiet=True)
    except FileNotFoundError:
        raise _no_keygen() from None
    except TimeoutError:
        raise Invalid("the key cannot be read", where=str(path)) from None
    words = said.decode(errors="replace").split()
    if code != 0 or len(words) < 2:
        raise _refused(path, complaint or said)
    return Key(words[1], " ".join(words[2:-1]), path, touch=words[-1].endswith("-SK)"))


async def _sign(message: bytes, namespace: str, key: Path, quiet: bool) -> str:
    given = ("ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key))
    try:
        code, signature, complaint = await _run(given, message, SIGN_SECONDS, quiet=quiet)
    except FileNotFoundError:
        raise _no_keygen() from None
    except TimeoutError:
        raise Invalid("the key was not unlocked or touched in time", where=str(key)) from None
    if code != 0:
        raise _refused(key, complaint)
    return signature.decode("ascii", "replace")


async def _run(
    command: Sequence[str], given: bytes, seconds: float, *, quiet: bool
) -> tuple[int, bytes, bytes]:
    """Run a command to its end, or kill it when time is up or nobody waits any more."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=quiet,  # without a terminal there is nothing to ask on or to draw on
    )
    try:
        out, complaint = await asyncio.wait_for(process.communicate(given), seconds)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, out, complaint


def _refused(key: Path, complaint: bytes) -> Invalid:
    said = complaint.decode(errors="replace").strip().splitlines()
    if b"incorrect passphrase" in complaint:
        return Invalid(
            "the key is locked: its passphrase was not given",
            where=str(key),
            remedy="give the key to the agent with `ssh-add PATH`, or sign from the command line",
        )
    return Invalid(
        f"ssh-keygen signs nothing: {make_safe(said[-1] if said else 'no reason', limit=200)}",
        where=str(key),
        remedy="look at the key with `ssh-keygen -l -f PATH`, or name another with --key; one "
        "with a passphrase can be given to the agent with `ssh-add PATH`",
    )


def _no_keygen() -> Invalid:
    return Invalid("there is no ssh-keygen here", remedy="install OpenSSH's client")


def _usual_files() -> list[Path]:
    return [Path.home() / ".ssh" / name for name in _USUAL]


def _is_hardware(line: str) -> bool:
    return line.startswith("sk-")


def _comment(line: str) -> str:
    parts = line.split(maxsplit=2)
    return make_safe(parts[2], limit=60) if len(parts) > 2 else ""


def _listed(fingerprints: Collection[str]) -> str:
    return ", ".join(sorted(fingerprints)[:5])
