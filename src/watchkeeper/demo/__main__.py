"""Entry of the demo's own processes: `python -m watchkeeper.demo fleet|documents DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

USAGE = "usage: python -m watchkeeper.demo fleet|documents DIRECTORY\n"


def main(arguments: list[str]) -> int:
    """Run the fleet's supervisor, or the stdio tool server that the plane starts."""
    if len(arguments) != 2:
        sys.stderr.write(USAGE)
        return 2
    what, directory = arguments[0], Path(arguments[1])
    if what == "fleet":
        from watchkeeper.demo.supervisor import supervise

        return supervise(directory)
    if what == "documents":
        from watchkeeper.demo.stdio import serve_documents

        return serve_documents(directory)
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
