"""The tool server that the plane itself starts and speaks with over standard input and output."""

from __future__ import annotations

import asyncio
import hmac
import os
import sys
from pathlib import Path

from watchkeeper.demo.credentials import read_credential
from watchkeeper.demo.tool_servers.server import serve_stdio
from watchkeeper.demo.tool_servers.state import ToolState
from watchkeeper.demo.tool_servers.workplaces import WORKPLACES

VARIABLE = "DOCUMENTS_TOKEN"


def serve_documents(directory: Path) -> int:
    """Serve `documents` until standard input ends; refuse without its credential."""
    given = os.environ.get(VARIABLE, "")
    if not hmac.compare_digest(given.encode(), read_credential(directory, "documents").encode()):
        sys.stderr.write(f"documents: {VARIABLE} does not hold the credential\n")
        return 1
    workplace = WORKPLACES["documents"]
    state = ToolState(directory / "documents.sqlite3", workplace)
    try:
        asyncio.run(serve_stdio(workplace, state))
    finally:
        state.close()
    return 0
