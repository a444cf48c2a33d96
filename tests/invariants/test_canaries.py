"""Secrets and people planted wherever an agent or a tool can put words: where they are not after.

A secret is in no file of the state, no answer, no output. Of an agent with strict redaction no
personal data is either, but in the requests that people decide on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.command import on
from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world

_numbers = itertools.count(1)


class Planted:
    """Hands out canaries, a different one for every place."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.people: dict[str, str] = {}

    def secret(self, place: str) -> str:
        """A secret for one place, each in another form."""
        number = next(_numbers)
        forms = (
            f"ghp_{number:04d}{'aB3' * 12}",
            f"wkr_{number:04d}{'canary_Z-9' * 3}{'q' * 9}",
            f"glpat-{number:04d}canaryCANARY99xx",
            f"sk-proj-{number:04d}CANARYcanaryCANARY",
        )
        made = forms[number % len(forms)]
        self.secrets[place] = made
        return made

    def person(self, place: str) -> str:
        """A mail address for one place."""
        made = f"canary{next(_numbers)}@people.example"
        self.people[place] = made
        return made

    def words(self, place: str) -> str:
        """Words with one of both."""
        return f"key {self.secret(place)} of {self.person(place)}"


def tools() -> str:
    """The upstream's tools; `vaulted` may take secrets, and may not give them."""
    documents: list[dict[str, Any]] = []
    common = {"upstream": "books", "does": "Answers.", "access": "read", "risk": "low"}
    for name, upstream_tool, more in (
        ("books.vaulted", "echo", {"data": {"in": ["secret", "email"]}}),
        ("books.failing", "fail", {"data": {"in": ["secret", "email"]}}),
        ("books.grave", "echo", {"data": {"in": ["secret", "email"]}, "risk": "critical",
                                 "display": "Say {text}", "access": "write"}),
        ("books.misfit", "echo", {"data": {"in": ["secret", "email"]},
                                  "output_schema": {"properties": {"result": {"maxLength": 3}}}}),
    ):  # fmt: skip
        documents.append({**common, "name": name, "upstream_tool": upstream_tool, **more})
    return "\n---\n".join(json.dumps({"tool": document}) for document in documents)


NAMES = ("vaulted", "failing", "grave", "misfit", "echo")


def agent(name: str, level: str) -> str:
    return agent_document(name, tools=NAMES) + f"  logging: {{pii_redaction: {level}}}\n"


async def work(plane: Plane, agent_name: str, planted: Planted) -> tuple[Run, list[str]]:
    """Have an agent put canaries everywhere; return its run, and what it was told."""
    enrolled = plane.enrol(agent_name)
    run = enrolled.open_run(
        planted.words("goal"), business_object={"kind": "ticket", "id": planted.words("object")}
    )
    told: list[str] = []
    explained: Any = {"watchkeeper/explanation": planted.words("explanation")}
    async with run.mcp() as client:

        async def call(tool: str, **arguments: Any) -> None:
            result = await client.call_tool(f"books.{tool}", arguments, meta=explained)
            told.append(result.model_dump_json())

        await call("vaulted", text=planted.words("passed argument and result"))
        await call("vaulted", text=json.dumps({"inner": planted.words("json in text")}))
        await call("vaulted", text="x", **{planted.words("key"): {"deep": [planted.words("deep")]}})
        await call("failing", message=planted.words("tool error"))
        await call("misfit", text=planted.words("withheld result"))
        await call("echo", text=planted.words("denied argument"))
        await call("grave", text=planted.words("held argument"))
        await call("echo", text=7, **{planted.words("schema key"): planted.words("schema value")})
    asked = run.decide(
        "books.vaulted", {"text": planted.words("asked")}, explanation=planted.words("why")
    )
    refused = run.caller.http.post(
        "/v1/decide",
        json={"name": "books.vaulted", "arguments": {}, "idempotency_key": planted.secret("key")},
    )
    assert refused.status_code == 400, refused.text
    if asked["verdict"] == "permit":
        run.settle(
            asked["decision"],
            "failed",
            error=planted.words("reported error"),
            result_digest=planted.secret("digest"),
        )
    run.caller.post(
        f"/v1/runs/{run.id}/close", {"outcome": "failed", "summary": planted.words("summary")}
    )
    return run, told


def answers(plane: Plane, run: Run) -> dict[str, str]:
    """Everything that the API and the command line tell of an agent's run, by where."""
    get = plane.operator.get
    requests = get("/v1/requests", state="all", limit=200)["rows"]
    found: dict[str, Any] = {
        "events": plane.events(run=run.id),
        "all events": plane.events(),
        "decisions": get("/v1/decisions", run=run.id, limit=200),
        "run": get(f"/v1/runs/{run.id}"),
        "runs": get("/v1/runs", limit=200),
        "requests": [get(f"/v1/requests/{row['request']}") for row in requests],
        "agent": get(f"/v1/agents/{run.agent.name}"),
    }
    said = {where: json.dumps(answer, ensure_ascii=False) for where, answer in found.items()}
    bundle = plane.operator.http.get(f"/v1/evidence/runs/{run.id}")
    assert bundle.status_code == 200
    said["bundle"] = bundle.content.decode("utf-8", "replace")
    for words in (
        "status",
        "watch",
        "runs",
        f"runs {run.id}",
        "decisions",
        "events",
        "requests list",
        f"agents {run.agent.name}",
        *(f"requests show {row['request']}" for row in requests),
    ):
        ended = on(plane, *words.split())
        assert ended.code == 0, (words, ended.err)
        said[f"watchkeeper {words}"] = ended.out + ended.err
    return said


def files(plane: Plane) -> dict[str, bytes]:
    """Every file that the plane wrote: its database, write-ahead log, logs and output."""
    paths = [path for path in plane.state.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in (*paths, plane.log)}


def leaks(canaries: dict[str, str], places: dict[str, str] | dict[str, bytes]) -> list[str]:
    """Name every canary that is somewhere, and where."""
    return [
        f"{planted} is in {where}"
        for where, said in places.items()
        for planted, canary in canaries.items()
        if (canary in said if isinstance(said, str) else canary.encode() in said)
    ]


async def test_no_secret_is_anywhere_and_strict_records_name_nobody(
    make_plane: Callable[..., Plane], upstream: Upstream, tmp_path: Path
) -> None:
    plane = make_plane()
    plane.apply(
        *world(upstream=upstream_document(url=upstream.url), agent=agent("clerk", "standard")),
        agent("discreet", "strict"),
        tools(),
        policy__cedar=POLICY,
    )
    open_, strict = Planted(), Planted()
    run, told = await work(plane, "clerk", open_)
    strict_run, strict_told = await work(plane, "discreet", strict)

    executed = json.dumps(upstream.executions())
    assert open_.secrets["passed argument and result"] in executed, "what may pass did pass"
    assert open_.secrets["denied argument"] not in executed
    secrets = {f"clerk's {place}": one for place, one in open_.secrets.items()}
    secrets |= {f"discreet's {place}": one for place, one in strict.secrets.items()}
    assert leaks(secrets, {"what the agents were told": " ".join([*told, *strict_told])}) == []
    for one in (run, strict_run):
        assert leaks(secrets, answers(plane, one)) == []
    assert leaks(secrets, files(plane)) == []

    kept = answers(plane, strict_run)
    decided = {"requests", *(where for where in kept if "requests show" in where)}
    decided |= {"watchkeeper requests list", "watchkeeper watch", "watchkeeper status", "bundle"}
    recorded = {where: said for where, said in kept.items() if where not in decided}
    assert leaks(strict.people, recorded) == []
    assert strict.people["held argument"] in kept["requests"], "people decide on what is real"
    assert open_.people["passed argument and result"] in " ".join(told)

    touched = plane.operator.get("/v1/decisions", data="email", within_seconds=3600)["rows"]
    assert {row["agent"] for row in touched} == {"clerk", "discreet"}
    passed = next(row for row in touched if row["run"] == strict_run.id and row["classes_out"])
    assert passed["classes_redacted"] == ["secret", "email"]

    plane.stop()
    assert leaks(secrets, files(plane)) == []
