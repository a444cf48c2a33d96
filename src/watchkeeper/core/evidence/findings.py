"""What a check of a bundle found."""

from __future__ import annotations

MOST_ERRORS = 50


class Findings:
    """What is proven, what is not, and what does not hold."""

    def __init__(self) -> None:
        self.proven: list[str] = []
        self.unproven: list[str] = []
        self.failed: list[str] = []

    def fail(self, what: str) -> None:
        """Note what does not hold; the first ones are kept."""
        if len(self.failed) < MOST_ERRORS:
            self.failed.append(what)


def written(found: Findings) -> str:
    """Return findings as text, with nothing in it that a terminal obeys."""
    lines = [f"FAILED   {one}" for one in found.failed]
    lines += [f"proven   {one}" for one in found.proven]
    lines += [f"not      {one}" for one in found.unproven]
    lines.append("This bundle does not hold." if found.failed else "What is checked holds.")
    return "".join("".join(c if c.isprintable() else "?" for c in one) + "\n" for one in lines)
