"""Whose a key is, by an allowed_signers file as OpenSSH reads it (ssh-keygen(1))."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable

_SIGNER = re.compile(r'[ \t]*(?:"([^"]*)"|([^\s#"]\S*))[ \t]+(\S.*)')
_OPTIONS = re.compile(r'((?:[^\s"\\]|\\"|\\|"(?:[^"\\]|\\"|\\)*")+)[ \t]+(\S.*)')
_OPTION = re.compile(
    r'(?:cert-authority|(namespaces|valid-after|valid-before)="((?:[^"\\]|\\"|\\)*)")(?:,|\Z)',
    re.IGNORECASE,
)
_STAMP = re.compile(r"([0-9]{8}|[0-9]{12}|[0-9]{14})(Z?)")


def allows(signers: str, person: str, key: str, namespace: str, at: int) -> bool:
    """Whether a file has a key as a person's for a namespace at a time (Unix, in seconds).

    Lines with authorities count for nobody: certificates are not looked at.
    """
    return any(_allows(line, person, key, namespace, at) for line in signers.splitlines())


def _allows(line: str, person: str, key: str, namespace: str, at: int) -> bool:
    read = _SIGNER.fullmatch(line.rstrip())
    if read is None or not _listed(person, read[1] if read[1] is not None else read[2]):
        return False
    kind, coded, rest, options = *key.split()[:2], read[3], ""
    if rest.split(maxsplit=1)[0] != kind:
        parted = _OPTIONS.fullmatch(rest)
        if parted is None:
            return False
        options, rest = parted[1], parted[2]
    if rest.split()[:2] != [kind, coded]:
        return False
    place, known = 0, dict[str, str]()
    while place < len(options):
        option = _OPTION.match(options, place)
        if option is None or option[1] is None or option[1].lower() in known:
            return False
        known[option[1].lower()] = option[2].replace('\\"', '"')
        place = option.end()
    after, before = (_seconds(known.get(name)) for name in ("valid-after", "valid-before"))
    if "namespaces" in known and not _listed(namespace, known["namespaces"]):
        return False
    return (after is None or at >= after) and (before is None or at <= before)


def _seconds(stamp: str | None) -> float | None:
    """Return a time in seconds; of what is none, one that is never now."""
    if stamp is None:
        return None
    read = _STAMP.fullmatch(stamp)
    try:
        parts = time.strptime((read[1] if read else "").ljust(14, "0"), "%Y%m%d%H%M%S")
        return calendar.timegm(parts) if read and read[2] else time.mktime(parts)
    except (ValueError, OverflowError):
        return float("nan")


def _listed(text: str, patterns: str) -> bool:
    """Whether a list of patterns has a text, and none that begins with `!` does."""
    matching = [one for one in patterns.split(",") if _matches(text, one.removeprefix("!"))]
    return bool(matching) and not any(one.startswith("!") for one in matching)


def _matches(text: str, pattern: str) -> bool:
    parts: Iterable[str] = (
        ".*" if one == "*" else "." if one == "?" else re.escape(one) for one in pattern
    )
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
