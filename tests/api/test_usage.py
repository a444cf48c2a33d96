"""What agents say they used is bounded, so that no sum of it breaks what people look at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.wire.decisions import LARGEST_USAGE

BEYOND = (LARGEST_USAGE + 1, 2**63 - 1, 2**64 - 1, -1)


def test_no_claim_of_usage_breaks_the_fleet(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.apply(*world(), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    for measure in ("cost_micros", "input_tokens", "output_tokens"):
        decision = run.decide("books.echo")["decision"]
        for amount in BEYOND:
            claim = {"status": "succeeded", "usage": {measure: amount}}
            run.caller.problem("POST", f"/v1/decisions/{decision}/outcome", claim, status=400)
            asked = {"kind": "model", "name": "small-fast", "estimate": {measure: amount}}
            run.caller.problem("POST", "/v1/decide", asked, status=400)
        run.settle(decision, usage={measure: LARGEST_USAGE})
    (row,) = plane.operator.get("/v1/agents")["rows"]
    assert row["spend_day_micros"] == pytest.approx(LARGEST_USAGE)
    assert plane.operator.get(f"/v1/runs/{run.id}")["spend_micros"] == LARGEST_USAGE
