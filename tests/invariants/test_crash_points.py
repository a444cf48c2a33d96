"""A ledger that ends with SIGKILL before or after a step of its log, its keys or its anchor."""

from __future__ import annotations

import json
from pathlib import Path

from tests.rig.process import clean_environment, run_to_end


def test_nothing_signed_or_acknowledged_is_lost_at_any_step(tmp_path: Path) -> None:
    """Some of the steps; by hand all of them."""
    done = run_to_end("-m", "tests.benchmarks.crash_points", "31", env=clean_environment(tmp_path))
    found = json.loads(done.stdout)
    assert found["wrong"] == [], done.stderr
    assert found["ends"] > 5
