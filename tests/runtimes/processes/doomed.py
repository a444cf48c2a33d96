"""A plane in small that starts a supervised process and is killed: `STATE READY [MARK]`.

With `MARK` it is killed between starting the process and putting it on record; the command would
write that file.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.runtimes.ground import pid_of, speaking_to
from watchkeeper.registry.runtimes import SupervisedProcess
from watchkeeper.runtimes.processes.child import spawn

COMMAND = ("sh", "-c", "while :; do sleep 100; done")


async def main() -> None:
    state, ready, *mark = (Path(argument) for argument in sys.argv[1:])
    if mark:
        state.mkdir()
        described = SupervisedProcess(command=("touch", str(mark[0])))
        child = spawn(described, state / "output.log", "prc_none", {})
        ready.write_text(json.dumps({"process": child.pid}), encoding="utf-8")
        await asyncio.Event().wait()
    process = {"command": COMMAND, "grace_seconds": 0}
    async with speaking_to(None, "process", state, process=process) as adapter:
        await adapter.information()
        (run,) = (await adapter.list_runs()).runs
        told = {"process": pid_of(run), "run": run.id}
        ready.write_text(json.dumps(told), encoding="utf-8")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
