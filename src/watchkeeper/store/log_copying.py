"""Copies SQLite's write-ahead log into the database, in a thread beside the writer.

The thread copies nearly all; the writer then copies the little that was committed meanwhile, so
that the log begins anew. SQLite before 3.51.3 may lose commits where one connection begins a
checkpoint of a log that is copied already while another begins that log anew
(https://sqlite.org/wal.html#walresetbug). Hence no two copy at once, and the thread is started
only straight after a commit that is in the log and not yet copied.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from watchkeeper.store.batch import first_line
from watchkeeper.store.sqlite import connect

FRAMES = 4000
"""Pages of log that are copied at once, 16 MB: the same few change with every batch, so copied
once per so many they cost less than the batch itself."""
_MOST_BEYOND = 3 * FRAMES
"""Pages past which the writer waits for the thread, or copies alone."""
_HEADER, _FRAME_HEADER = 32, 24
_SALT_AT, _FRAME_SALT_AT, _SALT = 16, 8, 8
_COPY = "PRAGMA wal_checkpoint(PASSIVE)"
_ALONE = "the writer copies its log alone, which holds up decisions: %s"
_log = logging.getLogger(__name__)


class LogCopying:
    """The log of one writer. Commits are as durable without it: it syncs what it copies itself."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._page: int = writer.execute("PRAGMA page_size").fetchone()[0]
        self._file = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        self._due = FRAMES
        self._threads: ThreadPoolExecutor | None = None
        self._under_way: Future[None] | None = None

    def committed(self, *, events: bool) -> None:
        """Look at the log after a commit; one with `events` has surely added to it."""
        if self._under_way is not None:
            if self._under_way.done() or self._holds(self._due + _MOST_BEYOND):
                self.settle()
        elif self._holds(self._due):
            if events:
                self._start()
            elif self._holds(self._due + _MOST_BEYOND):
                self._end()

    def settle(self) -> None:
        """End what is under way."""
        if self._under_way is None:
            return
        under_way, self._under_way = self._under_way, None
        if not under_way.cancel() and (error := under_way.exception()) is not None:
            _log.warning(_ALONE, first_line(error))
        self._end()

    def close(self) -> None:
        """End what is under way; what is left is copied when the writer's connection closes."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        os.close(self._file)

    def _start(self) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="log")
        try:
            self._under_way = self._threads.submit(self._copy)
        except RuntimeError as error:  # no thread is to be had
            self._threads.shutdown(cancel_futures=True)
            self._threads = None
            _log.warning(_ALONE, first_line(error))
            self._end()

    def _copy(self) -> None:
        connection, driver = connect(self._path)
        with closing(driver), closing(connection):
            driver.execute(_COPY).fetchone()

    def _end(self) -> None:
        """Copy the rest on the writer; what readers still need of the log stays there."""
        try:
            busy, frames, copied = self._writer.execute(_COPY).fetchone()
        except sqlite3.Error as error:
            _log.warning("the log cannot be copied and grows: %s", first_line(error))
            self._due += FRAMES
            return
        self._due = FRAMES if not busy and copied == frames else max(frames, self._due) + FRAMES

    def _holds(self, frames: int) -> bool:
        """Whether the log is so long: later frames in its file are of earlier logs."""
        place = _HEADER + (frames - 1) * (_FRAME_HEADER + self._page) + _FRAME_SALT_AT
        salt = os.pread(self._file, _SALT, place)
        return len(salt) == _SALT and salt == os.pread(self._file, _SALT, _SALT_AT)
