"""The lock holds exactly what the project needs, by version and hash, and names no host."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.lock import LOCK, PREFIX, ROOT, locked_versions, split_entries


def _declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    texts = list(project["project"]["dependencies"]) + list(project["dependency-groups"]["build"])
    for extra in extras:
        texts += project["project"]["optional-dependencies"][extra]
    return [Requirement(text) for text in texts if not text.startswith("watchkeeper")]


def _closure(roots: list[Requirement]) -> set[str]:
    found: set[str] = set()
    todo = list(roots)
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        key = f"{name}[{','.join(sorted(requirement.extras))}]"
        if key in found:
            continue
        found.add(key)
        for text in distribution(name).requires or ():
            needed = Requirement(text)
            marker = needed.marker
            wanted = [{"extra": extra} for extra in ({"", *requirement.extras})]
            if marker is None or any(marker.evaluate(environment) for environment in wanted):
                todo.append(needed)
    return {key.partition("[")[0] for key in found}


def test_runtime_part_of_the_lock_is_the_closure_of_what_is_declared() -> None:
    locked = locked_versions(LOCK.read_text(encoding="utf-8"), tests=False)
    missing = _closure(_declared()) - locked.keys()
    assert not missing, f"needed at run time and not locked: {sorted(missing)}"


def test_whole_lock_covers_the_extras() -> None:
    locked = locked_versions(LOCK.read_text(encoding="utf-8"), tests=True)
    missing = _closure(_declared("notify", "postgres", "test")) - locked.keys()
    assert not missing, f"needed by an extra and not locked: {sorted(missing)}"


def test_locked_versions_satisfy_what_is_declared() -> None:
    locked = locked_versions(LOCK.read_text(encoding="utf-8"), tests=True)
    for requirement in _declared("notify", "postgres", "test"):
        pinned = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), f"{requirement} is locked at {pinned}"


def test_every_entry_has_hashes_and_no_host() -> None:
    text = LOCK.read_text(encoding="utf-8")
    assert "://" not in text
    plain = re.sub(f"^{PREFIX}", "", text, flags=re.MULTILINE)
    pinned = re.findall(r"^[a-z0-9][^=\n]*==", plain, re.MULTILINE)
    assert len(pinned) == len(split_entries(plain)) > 50
