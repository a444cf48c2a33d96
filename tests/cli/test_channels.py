"""`channels` as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.cli.command import on
from tests.rig.plane import Plane
from tests.rig.sinks import web_sink
from watchkeeper.cli import exits


def test_channels_are_listed_and_tried(make_plane: Callable[..., Plane]) -> None:
    with web_sink() as web:
        plane = make_plane()
        assert "nobody is told" in on(plane, "channels", "list").out
        put = on(plane, "secrets", "put", "tell-chat", typed=web.url("planted-canary") + "\n")
        assert put.code == exits.OK, put.err
        for name, private in (("chat", True), ("inside", False)):
            document = {"name": name, "url": "sealed:tell-chat", "allow_private": private}
            plane.apply(json.dumps({"channel": document}))
        plane.apply(json.dumps({"person": {"name": "ada", "contacts": [{"channel": "chat"}]}}))
        listed = on(plane, "channels", "list")
        assert listed.code == exits.OK
        assert "chat" in listed.out
        assert "ada" in listed.out
        assert "0 of 30" in listed.out
        tried = on(plane, "channels", "test", "chat")
        assert tried.code == exits.OK, tried.err
        assert tried.out.startswith("chat: the service took the message")
        again = on(plane, "channels", "test", "chat")
        assert again.code == exits.CONFLICT
        refused = on(plane, "channels", "test", "inside")
        assert refused.code == exits.REFUSED
        assert "allow_private: true" in refused.err
        assert on(plane, "channels", "test", "nothing").code == exits.NOT_FOUND
        shown = on(plane, "channels", "list", "--json").json()
        assert {row["name"]: row["told_hour"] for row in shown["rows"]} == {"chat": 1, "inside": 0}
        web.status = 500
        plane.advance(60)
        failed = on(plane, "channels", "test", "chat", "--json")
        assert failed.code == exits.REFUSED
        assert "500" in failed.json()["text"]
        for ended in (put, listed, tried, refused, failed):
            assert "planted-canary" not in ended.out + ended.err
