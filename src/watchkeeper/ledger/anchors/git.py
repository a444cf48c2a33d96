"""A git remote: one branch, of which each commit holds a newer signed checkpoint."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.core.errors import Invalid, Unavailable
from watchkeeper.core.text import make_safe
from watchkeeper.ledger.anchors.model import Ahead, Held, Publishing, Receipt
from watchkeeper.ledger.checkpoints import read_signed
from watchkeeper.ledger.notes import LARGEST_NOTE, NoteKey

BRANCH = "refs/heads/watchkeeper"
_TIP = "refs/anchor/tip"
_SECONDS = 30
_LARGEST = 1 << 20
_SHOWN = 50
"""Commits of which the checkpoint is looked at."""
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_AUTHOR_NAME": "watchkeeper",
    "GIT_AUTHOR_EMAIL": "watchkeeper@localhost",
    "GIT_COMMITTER_NAME": "watchkeeper",
    "GIT_COMMITTER_EMAIL": "watchkeeper@localhost",
    "LC_ALL": "C",
}


class GitAnchor:
    """Pushes checkpoints to a branch that is never forced; `git` is the command line's."""

    kind = "git"
    every_seconds = 300

    def __init__(self, remote: str, directory: Path) -> None:
        self._remote = remote
        self._directory = directory
        self.place = remote.rpartition("@")[2]  # what is before may be a secret

    async def publish(self, one: Publishing) -> str:
        """Push a commit with the checkpoint; return its id."""
        tip = await self._fetch()
        if tip:
            self._check(await self._note_of(tip), one)
        blob = await self._git("hash-object", "-w", "--stdin", given=one.note.encode())
        tree = await self._git("mktree", given=f"100644 blob {blob}\tcheckpoint\n".encode())
        said = f"{one.checkpoint.size} entries of {one.checkpoint.origin}\n"
        parent = ("-p", tip) if tip else ()
        commit = await self._git("commit-tree", tree, *parent, given=said.encode())
        await self._git("push", "-q", "--", self._remote, f"{commit}:{BRANCH}")
        return commit

    async def held(self, keys: Sequence[NoteKey], receipts: Sequence[Receipt]) -> list[Held]:
        """Return the newest checkpoints of the branch."""
        tip = await self._fetch()
        if not tip:
            if receipts:
                raise Unavailable("the branch with the checkpoints is gone", where=self.place)
            return []
        newest = await self._git("rev-list", f"--max-count={_SHOWN}", tip)
        return [
            Held(f"commit {commit[:12]} of {self.place}", await self._note_of(commit))
            for commit in newest.split()
        ]

    def _check(self, note: str, one: Publishing) -> None:
        try:
            checkpoint, signed = read_signed(note)
            ours = checkpoint.origin == one.checkpoint.origin and signed.signers(one.keys)
        except Invalid:
            return
        if ours and checkpoint.size > one.checkpoint.size:
            raise Ahead(self.place, checkpoint.size, one.checkpoint.size)

    async def _fetch(self) -> str:
        """Return the id of the branch's newest commit, with all of it here; empty: none yet."""
        if not (self._directory / "HEAD").exists():
            await self._git("init", "-q", "--bare", str(self._directory), inside=False)
        if not await self._git("ls-remote", "--", self._remote, BRANCH):
            return ""
        await self._git("fetch", "-q", "--no-tags", "--", self._remote, f"+{BRANCH}:{_TIP}")
        return await self._git("rev-parse", _TIP)

    async def _note_of(self, commit: str) -> str:
        size = await self._git("cat-file", "-s", f"{commit}:checkpoint")
        if int(size) > LARGEST_NOTE:
            raise Unavailable("its checkpoint is too large", where=self.place)
        return await self._git("cat-file", "blob", f"{commit}:checkpoint", whole=True)

    async def _git(
        self, *arguments: str, given: bytes = b"", inside: bool = True, whole: bool = False
    ) -> str:
        """Run git and return what it prints; raise `Unavailable` with what it complains of."""
        place = ("--git-dir", str(self._directory)) if inside else ()
        try:
            process = await asyncio.create_subprocess_exec(
                "git", *place, *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"git cannot be run: {error.strerror}", where=self.place) from None
        try:
            async with asyncio.timeout(_SECONDS):
                out, err = await process.communicate(given)
        except TimeoutError:
            raise Unavailable(f"git took over {_SECONDS} s", where=self.place) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or len(out) > _LARGEST:
            lines = err.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
            why = str(make_safe(lines[-1].replace(self._remote, self.place), limit=200))
            raise Unavailable(f"git {arguments[0]}: {why}", where=self.place)
        text = out.decode("utf-8", "replace")
        return text if whole else text.strip()
