"""The verifier as one file, which goes into every bundle and needs nothing of Watchkeeper."""

from __future__ import annotations

import ast
import importlib
import inspect
from functools import cache

_ROOM = "watchkeeper.core.evidence"
_PARTS = ("signatures", "signers", "log", "file", "findings", "votes", "check", "command")


@cache
def single_file() -> bytes:
    """Return the modules of the verifier as one, with what they import of each other left out."""
    imports: set[str] = set()
    parts, head = [], ""
    for name in _PARTS:
        source = inspect.getsource(importlib.import_module(f"{_ROOM}.{name}"))
        lines, tree = source.splitlines(), ast.parse(source)
        head = ast.get_docstring(tree, clean=False) or ""
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom) or node is tree.body[0]:
                start, end = node.lineno - 1, node.end_lineno or node.lineno
                said = " ".join(lines[start:end])
                if not isinstance(node, ast.Expr) and "watchkeeper" not in said:
                    imports.add(said)
                lines[start:end] = [""] * (end - start)
        parts.append("\n".join(lines).strip("\n"))
    imports.discard(future := "from __future__ import annotations")
    text = f'"""{head}"""\n\n{future}\n\n' + "\n".join(sorted(imports, reverse=True))
    ending = 'if __name__ == "__main__":\n    sys.exit(main())\n'
    return "\n\n\n".join([text, *parts, ending]).encode()
