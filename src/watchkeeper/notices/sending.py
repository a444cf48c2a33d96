"""Handing a message to the notification library, which is blocking: in few threads, each confined.

The library is an extra (`watchkeeper[notify]`) and is loaded when the first message goes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from watchkeeper.core.errors import Invalid, Unavailable, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.notices.answers import bound_answers
from watchkeeper.notices.confinement import confined
from watchkeeper.notices.kinds import check_url
from watchkeeper.notices.model import Message

AT_ONCE = 12
"""How many messages are handed over at once."""
AT_ONCE_EACH = 3
"""Of them by one channel: one that never answers must not hold up the others."""
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 8.0
ROOM_SECONDS = 2.0
"""How long a message waits for others to be handed over."""
TELL_SECONDS = 18.0
"""How long a message may take in all; the library gives up each step of it sooner."""
_FEW_CHARACTERS = 300
_LONGEST_WORDS = 300


class Undecided(Unavailable):
    """Nobody knows whether the message arrived."""

    default_code = "unknown"


class Busy(Unavailable):
    """Too many messages are being handed over; nothing was tried."""

    default_code = "busy"


def is_installed() -> bool:
    """Return whether the notification library is there, without loading it."""
    return importlib.util.find_spec("apprise") is not None


def not_installed() -> Unavailable:
    """Return the error for a plane without the library."""
    return Unavailable(
        "nobody can be told: the notification library is not installed",
        code="extra_missing",
        rule="notice/library",
        remedy="install watchkeeper[notify] where the plane runs, then restart it",
    )


class Sender:
    """Hands messages over, a few at once."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._running: Counter[str] = Counter()

    async def tell(self, url: str, message: Message, *, allow_private: bool) -> None:
        """Hand a message over; return once the service has taken it.

        Raises `Invalid` for a URL that is not taken, `Undecided` when time ran out, `Busy` when
        nothing was tried, and `Unavailable` when it was not taken; no error quotes the URL.
        """
        check_url(url, allow_private=allow_private)
        if not is_installed():
            raise not_installed()
        if self._running[url] >= AT_ONCE_EACH:
            raise Busy("this channel is slow; it is tried again")
        self._running[url] += 1
        try:
            await asyncio.wait_for(self._free.acquire(), ROOM_SECONDS)
        except BaseException as error:
            self._leave(url)
            if isinstance(error, TimeoutError):
                raise Busy("other channels are slow; it is tried again") from None
            raise
        work = _in_thread(lambda: _tell(url, message, allow_private))
        # a thread cannot be ended: its place is taken until it is through
        work.add_done_callback(lambda done: self._end(url, done))
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await asyncio.shield(work)
        except TimeoutError:
            raise Undecided(
                f"it did not answer in {TELL_SECONDS:g} s; the message may have arrived"
            ) from None

    def _leave(self, url: str) -> None:
        self._running[url] -= 1
        if not self._running[url]:
            del self._running[url]

    def _end(self, url: str, done: asyncio.Future[None]) -> None:
        self._leave(url)
        self._free.release()
        if not done.cancelled():
            done.exception()  # seen, where nobody waits for it any more


def _in_thread(work: Callable[[], None]) -> asyncio.Future[None]:
    """Run blocking work in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the plane has ended meanwhile
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="notice", daemon=True).start()
    return done


def _tell(url: str, message: Message, allow_private: bool) -> None:
    with _listening() as heard:
        try:
            plugin = _open(url, allow_private=allow_private)
            with confined(allow_private=allow_private) as here:
                short = 0 < plugin.body_maxlen < _FEW_CHARACTERS
                taken = plugin.notify(
                    title="" if short else message.title,
                    body=message.short if short else message.body,
                    notify_type="warning",
                    body_format="text",
                )
                refused = here.refused
        except WatchkeeperError:
            raise
        except Exception as error:  # a library of many authors: whatever it raises, nothing breaks
            raise Unavailable(f"the notification library failed: {type(error).__name__}") from None
    if refused is not None:
        raise Invalid(refused, rule="egress/address")
    if not taken:
        raise Unavailable(heard.last or "the service did not take the message")


def _open(url: str, *, allow_private: bool) -> Any:
    """Load the library and read a URL; the icons it would point to are left out."""
    from apprise import Apprise, AppriseAsset
    from apprise.common import PersistentStoreMode

    bound_answers()
    asset = AppriseAsset(
        app_id="Watchkeeper",
        app_desc="Watchkeeper",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        http_redirects=False,
        default_service_retry=0,
        storage_mode=PersistentStoreMode.MEMORY,
        language="en",
        allow_templates=False,
    )
    plugin = Apprise.instantiate(url, asset=asset)
    if plugin is None:
        raise Invalid(
            "the notification library cannot read its URL",
            rule="notice/url",
            remedy="compare it with the library's description of that kind",
        )
    # what the URL itself asks for counts for nothing here
    plugin.redirects = False
    plugin.verify_certificate = plugin.verify_certificate or not allow_private
    plugin.socket_connect_timeout = CONNECT_SECONDS
    plugin.socket_read_timeout = ANSWER_SECONDS
    return plugin


class _Ear(logging.Handler):
    """Keeps the last warning of the library in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last: str | None = None
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it if it is of this thread."""
        if record.thread == self._thread:
            said = " ".join(record.getMessage().split())
            self.last = make_safe(said.rstrip("."), limit=_LONGEST_WORDS)

    def __enter__(self) -> _Ear:
        logger = logging.getLogger("apprise")
        logger.propagate = False  # it may quote answers, and its words are ours to choose
        logger.addHandler(self)
        return self

    def __exit__(self, *exc: object) -> None:
        logging.getLogger("apprise").removeHandler(self)


def _listening() -> _Ear:
    return _Ear()
