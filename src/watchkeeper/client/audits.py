"""The typed client's part on the ledger's proofs."""

from __future__ import annotations

from watchkeeper.client.calls import Calls
from watchkeeper.wire.audit import (
    AcceptForks,
    CheckpointRow,
    Consistency,
    LogKeyRow,
    Progress,
    Proof,
    RotateLogKey,
    Verification,
)
from watchkeeper.wire.base import Sent
from watchkeeper.wire.erasing import (
    EraseSubject,
    ErasureRow,
    HoldRow,
    LiftHold,
    PlaceHold,
    SeekSubject,
    SubjectData,
    SubjectRow,
)
from watchkeeper.wire.pages import Page

VERIFY_SECONDS = 3600.0
SIGN_SECONDS = 60.0


class AuditCalls(Calls):
    """Whether the ledger is what was written, and what proves it."""

    async def verification(self) -> Verification:
        """Verify the whole ledger; takes a while on a long one."""
        return await self._get(Verification, "/v1/audit/verification", wait_seconds=VERIFY_SECONDS)

    async def verification_progress(self) -> Progress:
        """Read how far the verification is that runs now."""
        return await self._get(Progress, "/v1/audit/verification/progress")

    async def checkpoints(
        self, *, before: int | None = None, limit: int | None = None
    ) -> Page[CheckpointRow]:
        """List signed checkpoints, newest first."""
        path = "/v1/audit/checkpoints"
        return await self._get(Page[CheckpointRow], path, before=before, limit=limit)

    async def make_checkpoint(self) -> CheckpointRow:
        """Have the ledger signed and anchored as it stands."""
        path = "/v1/audit/checkpoints"
        return await self._post(CheckpointRow, path, Sent(), wait_seconds=SIGN_SECONDS)

    async def log_keys(self) -> Page[LogKeyRow]:
        """List the keys that sign or have signed checkpoints, newest first."""
        return await self._get(Page[LogKeyRow], "/v1/audit/keys")

    async def inclusion_proof(self, sequence: int) -> Proof:
        """Have it proven that an entry is in the log."""
        path = f"/v1/audit/proofs/{sequence}"
        return await self._get(Proof, path, wait_seconds=SIGN_SECONDS)

    async def consistency_proof(self, old: int, new: int) -> Consistency:
        """Have it proven that the log only grew between two checkpoints."""
        return await self._get(Consistency, "/v1/audit/consistency", old=old, new=new)

    async def rotate_log_key(self, rotate: RotateLogKey) -> Page[LogKeyRow]:
        """Sign checkpoints with a new key from now on."""
        path = "/v1/audit/key/rotate"
        return await self._post(Page[LogKeyRow], path, rotate, wait_seconds=SIGN_SECONDS)

    async def accept_forks(self, accept: AcceptForks) -> Page[LogKeyRow]:
        """Write down why the ledger was forked."""
        return await self._post(Page[LogKeyRow], "/v1/audit/forks/accept", accept)

    async def subjects(self, *, limit: int | None = None) -> Page[SubjectRow]:
        """List people whose data the vault holds or held, newest first."""
        return await self._get(Page[SubjectRow], "/v1/audit/subjects", limit=limit)

    async def preview_erasure(self, seek: SeekSubject) -> SubjectData:
        """Read what the plane keeps of a person."""
        path = "/v1/audit/erasures/preview"
        return await self._post(SubjectData, path, seek, wait_seconds=VERIFY_SECONDS)

    async def erasures(self, *, limit: int | None = None) -> Page[ErasureRow]:
        """List erasures, newest first."""
        return await self._get(Page[ErasureRow], "/v1/audit/erasures", limit=limit)

    async def legal_holds(self) -> Page[HoldRow]:
        """List legal holds, newest first."""
        return await self._get(Page[HoldRow], "/v1/audit/holds")

    async def place_hold(self, place: PlaceHold) -> Page[HoldRow]:
        """Keep something from every purge and erasure."""
        return await self._post(Page[HoldRow], "/v1/audit/holds", place)

    async def lift_hold(self, hold: str, lift: LiftHold) -> Page[HoldRow]:
        """Hold it no more."""
        return await self._post(Page[HoldRow], f"/v1/audit/holds/{hold}/lift", lift)

    async def erase_subject(self, erase: EraseSubject) -> SubjectData:
        """Have it erased; takes a while where there is much."""
        path = "/v1/audit/erasures"
        return await self._post(SubjectData, path, erase, wait_seconds=VERIFY_SECONDS)
