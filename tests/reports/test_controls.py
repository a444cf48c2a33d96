"""The mapping of controls names what there is, and nothing that there is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import watchkeeper
from watchkeeper.decide.reports.mapping import ControlMap, control_map
from watchkeeper.registry.documents import KINDS

QUERY = {"says": "calls", "types": ["decision."]}
CLAIM = {"claim": "it is so", "shown_by": ["calls"]}


def made(query: object = QUERY, claim: object = CLAIM, **more: object) -> ControlMap:
    control = {"id": "C1", "title": "t", "claims": [claim], **more}
    framework = {"id": "F", "title": "t", "controls": [control]}
    return ControlMap.model_validate({"queries": {"calls": query}, "frameworks": [framework]})


def test_it_covers_what_it_says() -> None:
    found = {one.id: [control.id for control in one.controls] for one in control_map().frameworks}
    assert found["OWASP-ASI"] == [f"ASI{number:02}" for number in range(1, 11)]
    articles = {one.partition("(")[0] for one in found["EU-AI-ACT"]}
    assert articles == {"Art. 12", "Art. 14", "Art. 19"}
    assert {one.partition(".")[0] for one in found["SOC2"]} == {"CC6", "CC7", "CC8"}
    for framework in control_map().frameworks:
        for control in framework.controls:
            assert control.claims or control.gaps, control.id


def test_each_type_that_a_query_names_is_recorded_somewhere() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in Path(watchkeeper.__file__).parent.rglob("*.py")
    )
    for name, query in control_map().queries.items():
        assert query.types or query.of != "entries", name
        for type_ in query.types:
            kind, _, what = type_.rpartition(".")
            if what in ("applied", "removed") and (not kind or kind in KINDS):
                continue
            known = f'"{type_}' if type_.endswith(".") else f'"{type_}"'
            assert known in source, (name, type_)
        for needle in filter(None, (query.containing, query.without)):
            assert needle.partition(":")[0] in source, (name, needle)


def test_a_mapping_that_does_not_fit_together_is_refused() -> None:
    made()
    wrong: tuple[dict[str, Any], ...] = (
        {"claim": {**CLAIM, "shown_by": ["other"]}},
        {"claim": {**CLAIM, "shown_by": []}},
        {"claim": {**CLAIM, "none_of": "other"}},
        {"claim": {**CLAIM, "because": "x"}},
        {"query": {**QUERY, "of": "dreams"}},
        {"gap": "misspelled"},
    )
    for one in wrong:
        with pytest.raises(ValidationError):
            made(**one)
