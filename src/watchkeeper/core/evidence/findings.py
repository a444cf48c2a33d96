"""What a check of a bundle found."""

from __future__ import annotations

MOST_ERRORS = 50


class Findings:
    """What is proven, what is not, and what does not hold."""

    def __init__(self) -> None:
        self.proven: list[str] = []
        self.unproven: list[str] = []
        self.failed: list[str] = []
        self.trusted = False
        """Whether a key from elsewhere signed it."""

    def fail(self, what: str) -> None:
        """Note what does not hold; the first ones are kept."""
        if len(self.failed) < MOST_ERRORS:
            self.failed.append(what)


def written(found: Findings) -> str:
    """Return findings as text, with nothing in it that a terminal obeys."""
    lines = [f"FAILED   {one}" for one in found.failed]
    lines += [f"proven   {one}" for one in found.proven]
    lines += [f"not      {one}" for one in found.unproven]
    if found.failed:
        lines.append("This bundle does not hold.")
    elif found.trusted:
        lines.append("What is checked holds.")
    else:
        lines.append("It agrees with itself. Whose it is only --key can prove.")
    return "".join("".join(c if c.isprintable() else "?" for c in one) + "\n" for one in lines)
