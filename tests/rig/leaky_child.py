"""An MCP server over stdio that repeats the credential it was given wherever it can.

Run as `python leaky_child.py DIRECTORY`; each start leaves its environment there as
`environment-PID.json`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve lines until the input ends."""
    directory = Path(sys.argv[1])
    fresh = directory / f"environment-{os.getpid()}.new"
    fresh.write_text(json.dumps(dict(os.environ)))
    fresh.rename(directory / f"environment-{os.getpid()}.json")
    given = os.environ.get("UPSTREAM_CREDENTIAL", "none")
    sys.stderr.write(f"started with {given}\n")
    sys.stderr.flush()
    sys.stdout.write(f"a greeting with {given} that is no message\n")
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "initialize":
            answer["result"] = {"protocolVersion": "2025-06-18", "capabilities": {},
                                "serverInfo": {"name": given, "version": "1"}}  # fmt: skip
        elif message["method"] == "tools/list":
            tool = {"name": "echo", "description": f"Repeats {given}.",
                    "inputSchema": {"type": "object"}}  # fmt: skip
            answer["result"] = {"tools": [tool]}
        elif message["params"]["arguments"].get("text") == "error":
            answer["error"] = {"code": -32000, "message": f"failed with {given}"}
        else:
            text = f"pid {os.getpid()} has {given}"
            answer["result"] = {"content": [{"type": "text", "text": text}]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
