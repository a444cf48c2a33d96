"""The receiver that the guide shows: forged, replayed, overtaken and foreign callbacks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from textwrap import dedent
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from tests.outbox.test_callbacks import OTHER, SECRET
from watchkeeper.core.resources import resource_dir
from watchkeeper.outbox.signatures import read_secrets, sign_with_secrets, signed_bytes

Call = tuple[dict[str, str], bytes]


@pytest.fixture
def take() -> Any:
    """`take` as the guide has it."""
    text = (resource_dir("guides") / "callbacks.md").read_text(encoding="utf-8")
    found = re.search(r"    from standardwebhooks.*?return told\n", text, re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(dedent(found[0]), names)  # noqa: S102 - our own guide is what is tried
    return names["take"]


def callback(
    sequence: int,
    *,
    request: str = "req_1",
    secret: str = SECRET,
    id_: str = "",
    ago: int = 0,
    superseded_by: str | None = None,
) -> Call:
    """A callback as the plane sends it."""
    data = {"request": request, "sequence": sequence, "superseded_by": superseded_by}
    body = json.dumps({"type": "t", "data": data}).encode()
    id_ = id_ or f"msg_{sequence}"
    at = int(datetime.now(UTC).timestamp()) - ago
    signature = sign_with_secrets(read_secrets(secret), signed_bytes(id_, at, body))
    headers = {
        "webhook-id": id_, "webhook-timestamp": str(at), "webhook-signature": signature,
    }  # fmt: skip
    return headers, body


def test_news_of_ones_own_requests_is_taken_once_and_in_order(take: Any) -> None:
    mine = {"req_1": 0}
    (headers, body), newer = callback(4), callback(9)
    assert take(SECRET, headers, body, mine)["sequence"] == 4
    assert take(SECRET, headers, body, mine) is None, "replayed"
    assert take(SECRET, *newer, mine)["sequence"] == 9
    assert take(SECRET, *callback(6), mine) is None, "overtaken"
    assert mine == {"req_1": 9}


@pytest.mark.parametrize(
    "changed",
    [{"secret": OTHER}, {"ago": 600}, {"ago": -600}],
    ids=["by another key", "long ago", "ahead of time"],
)
def test_what_is_forged_or_old_is_refused(take: Any, changed: dict[str, Any]) -> None:
    # made here: what was signed when the tests were collected may be on time by now
    with pytest.raises(WebhookVerificationError):
        take(SECRET, *callback(4, **changed), {"req_1": 0})


def test_nothing_of_a_signed_callback_can_be_changed(take: Any) -> None:
    headers, body = callback(4)
    mine: Mapping[str, int] = {"req_1": 0, "req_2": 0}
    for changed, sent in (
        (headers, body.replace(b"req_1", b"req_2")),
        ({**headers, "webhook-id": "msg_other"}, body),
        ({**headers, "webhook-signature": ""}, body),
        ({**headers, "webhook-signature": "v1a," + headers["webhook-signature"][3:]}, body),
        ({k: v for k, v in headers.items() if k != "webhook-timestamp"}, body),
    ):
        with pytest.raises(WebhookVerificationError):
            take(SECRET, changed, sent, mine)


def test_what_stands_for_ones_own_request_is_ones_own(take: Any) -> None:
    mine = {"req_1": 0}
    take(SECRET, *callback(4, superseded_by="req_2"), mine)
    assert take(SECRET, *callback(5, request="req_2"), mine)["request"] == "req_2"


def test_a_callback_about_anothers_request_is_refused(take: Any) -> None:
    with pytest.raises(ValueError, match="not a request of ours"):
        take(SECRET, *callback(4, request="req_2"), {"req_1": 0})
