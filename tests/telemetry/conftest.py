from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("telemetry"), clock="frozen").start()
    try:
        running.apply(*world(), policy__cedar=POLICY)
        yield running
    finally:
        running.close()
