"""One plane for all tests of bundles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.evidence.ground import Ground, prepare


@pytest.fixture(scope="package")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    found = prepare(tmp_path_factory.mktemp("evidence"))
    yield found
    found.plane.close()
