"""The ledger's own check, its checkpoints and what they prove."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid
from watchkeeper.ledger.anchors.service import Standing, anchored_where, name_of
from watchkeeper.ledger.checkpoints import checkpoints_before, count_checkpoints, read_keys
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.audit import (
    AcceptForks,
    AnchorRow,
    CheckpointRow,
    Consistency,
    LogKeyRow,
    Progress,
    Proof,
    RotateLogKey,
    Verification,
)
from watchkeeper.wire.pages import Page

_BEYOND = 1 << 62


async def verification(call: Call) -> Verification:
    """Recompute every hash of the ledger, away from the event loop."""
    audit = call.rooms.audit
    found, troubles = await audit.verify()
    what = found.what
    return Verification(
        ok=found.ok,
        entries=found.entries,
        first_bad=found.first_bad,
        what=f"{what}: {found.detail}" if what else None,
        head=found.head_chain,
        checkpoints=found.checkpoints,
        anchored=found.anchored,
        anchors=tuple(_show_anchor(one, troubles) for one in audit.anchoring.standings),
        notes=found.notes,
    )


async def progress(call: Call) -> Progress:
    """Say how far it is."""
    what, done, total = call.rooms.audit.progress or ("entries", 0, 0)
    return Progress(what=what, done=done, total=total)


async def checkpoints(call: Call) -> Page[CheckpointRow]:
    """List checkpoints, newest first."""
    before, limit = call.whole("before") or _BEYOND, call.limit()
    store = call.rooms.store

    def query(tx: Transaction) -> tuple[list[Row], int, dict[int, list[Row]]]:
        found = checkpoints_before(tx, before, limit + 1)
        where = anchored_where(tx, found[-1].id, found[0].id) if found else {}
        return found, count_checkpoints(tx), where

    found, total, where = await store.read(query)
    more = len(found) > limit
    return Page[CheckpointRow](
        rows=tuple(_show(row, where.get(row.id, ())) for row in found[:limit]),
        next=str(found[limit - 1].id) if more else None,
        total=total,
        sequence=store.head,
    )


async def make_checkpoint(call: Call) -> CheckpointRow:
    """Sign and anchor the ledger now."""
    made = await call.rooms.audit.sign_now()
    where = await call.rooms.store.read(lambda tx: anchored_where(tx, made.id, made.id))
    return _show(made, where.get(made.id, ()))


async def keys(call: Call) -> Page[LogKeyRow]:
    """List the keys, newest first."""
    found = await call.rooms.store.read(read_keys)
    rows = tuple(
        LogKeyRow(
            origin=row.origin,
            key=row.key,
            cause=row.cause,
            reason=row.reason,
            made_at=row.made_at,
            lost_size=row.lost_size,
            accepted_by=row.accepted_by,
        )
        for row in found[::-1]
    )
    return Page[LogKeyRow](rows=rows, total=len(rows), sequence=call.rooms.store.head)


async def proof(call: Call) -> Proof:
    """Prove that an entry is in the log."""
    text = call.path("sequence")
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Invalid("an entry is named by its number", where="path: sequence")
    return Proof(sequence=int(text), text=await call.rooms.audit.prove(int(text)))


async def consistency(call: Call) -> Consistency:
    """Prove that the log only grew."""
    old, new = call.whole("old"), call.whole("new")
    if old is None or new is None:
        raise Invalid("two sizes are needed: old and new", where="query")
    found = await call.rooms.audit.compare(old, new)
    hashes = tuple(base64.b64encode(one).decode() for one in found.hashes)
    return Consistency(old=found.old, new=found.new, hashes=hashes)


async def rotate_key(call: Call) -> Page[LogKeyRow]:
    """Sign with a new key from now on."""
    body: RotateLogKey = call.body
    await call.rooms.audit.log.rotate(actor=call.actor, reason=body.reason)
    return await keys(call)


async def accept_forks(call: Call) -> Page[LogKeyRow]:
    """Write down that somebody knows why the ledger was forked."""
    body: AcceptForks = call.body
    await call.rooms.audit.log.keys.accept_forks(actor=call.actor, reason=body.reason)
    return await keys(call)


def _show_anchor(one: Standing, troubles: Mapping[str, str]) -> AnchorRow:
    name = name_of(one.anchor)
    problem = troubles.get(name) or (one.problem.message if one.problem is not None else None)
    return AnchorRow(
        anchor=name,
        kind=one.anchor.kind,
        place=one.anchor.place,
        size=one.size,
        at=one.last.at if one.last is not None else None,
        problem=problem,
    )


def _show(row: Row, anchored: Iterable[Row]) -> CheckpointRow:
    return CheckpointRow(
        checkpoint=row.id,
        at=row.at,
        origin=row.origin,
        size=row.size,
        root=row.root,
        note=row.note,
        anchored=tuple(one.anchor for one in anchored),
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/audit/verification",
        "audit",
        verification,
        "Verify the ledger: entries, chain, log, checkpoints, anchors; name the first bad entry.",
        answers=Verification,
        tags=("ledger",),
    ),
    Operation(
        "GET",
        "/v1/audit/verification/progress",
        "audit",
        progress,
        "How far the verification is that runs now.",
        answers=Progress,
        tags=("ledger",),
    ),
    Operation(
        "GET",
        "/v1/audit/checkpoints",
        "audit",
        checkpoints,
        "List signed checkpoints, newest first.",
        answers=Page[CheckpointRow],
        query=("before", "limit"),
        tags=("ledger",),
    ),
    Operation(
        "POST",
        "/v1/audit/checkpoints",
        "audit",
        make_checkpoint,
        "Sign and anchor the ledger as it stands.",
        answers=CheckpointRow,
        tags=("ledger",),
        looks_only=True,
    ),
    Operation(
        "GET",
        "/v1/audit/keys",
        "audit",
        keys,
        "List the keys that sign or have signed checkpoints, newest first.",
        answers=Page[LogKeyRow],
        tags=("ledger",),
        by_team=True,  # they are public: whoever takes evidence away has to verify it
    ),
    Operation(
        "GET",
        "/v1/audit/proofs/{sequence}",
        "audit",
        proof,
        "Prove that an entry is in the log (C2SP tlog-proof).",
        answers=Proof,
        tags=("ledger",),
    ),
    Operation(
        "GET",
        "/v1/audit/consistency",
        "audit",
        consistency,
        "Prove that the log only grew between two checkpoints.",
        answers=Consistency,
        query=("old", "new"),
        tags=("ledger",),
    ),
    Operation(
        "POST",
        "/v1/audit/key/rotate",
        "keys",
        rotate_key,
        "Sign checkpoints with a new key from now on.",
        answers=Page[LogKeyRow],
        takes=RotateLogKey,
        tags=("ledger",),
    ),
    Operation(
        "POST",
        "/v1/audit/forks/accept",
        "keys",
        accept_forks,
        "Write down why the ledger was forked.",
        answers=Page[LogKeyRow],
        takes=AcceptForks,
        tags=("ledger",),
    ),
)
