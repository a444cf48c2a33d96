"""One agent as a process: it is given addresses and a one-time secret, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from pathlib import Path

import aiohttp

from watchkeeper.client.agent import AgentClient
from watchkeeper.core.errors import Unavailable
from watchkeeper.demo.agents.habits import Lavishness
from watchkeeper.demo.agents.profile import Profile
from watchkeeper.demo.agents.worker import SLOW_SECONDS, Worker
from watchkeeper.demo.agents.worklist import Worklist
from watchkeeper.demo.sample import read_work

log = logging.getLogger("watchkeeper.demo")


async def run_agent(
    profile: Profile,
    *,
    url: str,
    secret: str,
    notes: Path,
    pace: float,
    seed: int,
    context: ssl.SSLContext | None = None,
) -> None:
    """Enrol with the secret, then work until told to end by SIGTERM or SIGINT.

    Raises the plane's error if it refuses the secret.
    """
    working = asyncio.current_task()
    assert working is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    worklist = Worklist(read_work(profile.name), notes)
    lavishness = Lavishness(*(profile.lavish or ()))
    async with AgentClient(url) as plane, aiohttp.ClientSession() as session:
        await _redeem(plane, secret)
        log.info("%s: enrolled", profile.name)
        async with asyncio.TaskGroup() as group:
            for hand in range(profile.at_once):
                worker = Worker(
                    profile,
                    plane,
                    session,
                    worklist,
                    pace,
                    seed + 1000 * hand,
                    context,
                    lavishness,
                )
                group.create_task(worker.work())


async def _redeem(plane: AgentClient, secret: str) -> None:
    while True:
        try:
            await plane.redeem(secret)
        except Unavailable as error:
            log.info("the plane is out of reach: %s", error)
            await asyncio.sleep(SLOW_SECONDS)
        else:
            return
