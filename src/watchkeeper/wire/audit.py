"""The ledger's proofs: verification, checkpoints, keys, inclusion and consistency."""

from __future__ import annotations

from watchkeeper.wire.base import Reason, Sent, Shown


class Verification(Shown):
    """What `audit verify` found."""

    ok: bool
    entries: int
    first_bad: int | None = None
    what: str | None = None
    head: str = ""
    checkpoints: int = 0
    """Signed checkpoints, each of which the entries were held against."""
    anchored: int = 0
    """Entries below the last outside anchor; the rest could be truncated without a trace."""
    anchors: tuple[AnchorRow, ...] = ()
    notes: tuple[str, ...] = ()
    """What an auditor should know though nothing is wrong, e.g. a fork that was accepted."""


class AnchorRow(Shown):
    """One place outside where checkpoints are kept."""

    anchor: str
    kind: str
    place: str
    size: int = 0
    """Entries of the last checkpoint that is there."""
    at: int | None = None
    """When it was put there."""
    problem: str | None = None


class Progress(Shown):
    """How far a verification is, or a report; `total` 0: none runs."""

    what: str = "entries"
    """What is looked at now."""
    done: int = 0
    total: int = 0


class CheckpointRow(Shown):
    """One signed checkpoint."""

    checkpoint: int
    at: int
    origin: str
    size: int
    root: str
    note: str
    """The signed note."""
    anchored: tuple[str, ...] = ()
    """The anchors that have it."""


class LogKeyRow(Shown):
    """A key that signs, or has signed, the log's checkpoints."""

    origin: str
    key: str
    """As a verifier key, for witnesses and auditors."""
    cause: str
    reason: str
    made_at: int
    lost_size: int | None = None
    accepted_by: str | None = None


class Proof(Shown):
    """A proof that an entry is in the log, as C2SP tlog-proof."""

    sequence: int
    text: str


class Consistency(Shown):
    """A proof that the log only grew between two checkpoints."""

    old: str
    new: str
    hashes: tuple[str, ...]


class RotateLogKey(Sent):
    """Sign with a new key from now on."""

    reason: Reason


class AcceptForks(Sent):
    """Somebody knows why the ledger was forked, e.g. that it was restored from a copy."""

    reason: Reason


Verification.model_rebuild()
