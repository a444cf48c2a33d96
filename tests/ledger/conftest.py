"""The log of a ledger on disk, which tests of this room add to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ledger.ground import open_log
from watchkeeper.ledger.log import Log


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    (tmp_path / "plane").mkdir()
    opened = await open_log(tmp_path / "plane")
    yield opened
    await opened.store.close()
