"""`hook`: what a coding agent runs before each tool; it lets nothing pass on any doubt.

It hands what the agent's hook was given to the plane (`/hooks/TOOL`) and prints the plane's answer.
Everything that is not a whole answer of a plane ends with exit code 2, which blocks the tool, and
with words on standard error.

Agents start it before every tool, so it is one file that needs nothing but the interpreter's
built-in modules, and runs without the rest of this package: `python -I -S hook.py`. So started it
reads no environment, no working directory and no site packages that a repository could bring along.
"""

from __future__ import annotations

# nothing but what is compiled in, or nearly: `signal`, `socket` and `json` take longer to
# import than the plane takes to decide
import _signal  # type: ignore[import-not-found]
import _socket
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

TOOLS = ("claude", "codex", "gemini", "cursor")
BLOCKED = 2
"""The exit code that blocks in every one of them; others let the tool run."""
LARGEST_INPUT = 4 * 1024 * 1024
LARGEST_ANSWER = 1024 * 1024
LARGEST_ENROLMENT = 4096
TRACE_LENGTH = 55
LARGEST_TABLE = 4 * 1024 * 1024
INPUT_SECONDS = 10
PATIENCE_SECONDS = 40
"""How long a held call is waited for: with what follows below the time-outs of all these tools,
which let the tool run when they give up on a hook."""
ANSWER_SECONDS = 8
"""What the plane may take beyond that."""
BEYOND_PATIENCE = INPUT_SECONDS + ANSWER_SECONDS
LONGEST_PATIENCE = 3600
_USAGE = (
    "usage: watchkeeper hook claude|codex|gemini|cursor [--enrolment FILE] [--patience SECONDS]"
    " [--gateway NAME]\n"
    "       watchkeeper hook token|header [--enrolment FILE] [--session NAME]\n"
    "       watchkeeper hook resume SESSION [--enrolment FILE]\n"
    "see `watchkeeper help hooks`"
)


_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENS = b"0A"
_HERE = (
    b"0100007F", b"00000000", b"0" * 32, b"0000000000000000FFFF00000100007F",
)  # fmt: skip
"""How these tables write 127.0.0.1 and any address, as such and as IPv6 has them."""


class Doubt(Exception):
    """Why nothing may pass, in words."""


def main(arguments: list[str]) -> NoReturn:
    """Ask the plane and end; with 2 unless it said that the tool may run."""
    try:
        _give_up_after(INPUT_SECONDS, "the agent's hook did not say in time what it is about")
        code = _ask(arguments)
    except Doubt as doubt:
        code = _block(str(doubt))
    except BaseException as error:
        code = _block(f"the hook failed: {type(error).__name__}")
    posix._exit(code)


def _ask(arguments: list[str]) -> int:
    what, options, names = _read_options(arguments)
    if what in TOOLS and not names:
        patience = _whole(options.get("patience"), PATIENCE_SECONDS)
        query = f"form=command&patience={patience}" + _unattended(what)
        if "gateway" in options:
            query += f"&gateway={_plain(options['gateway'], '--gateway')}"
        target, body, seconds = f"/hooks/{what}?{query}", _read_input(), patience
    elif what in ("token", "header") and not names:
        target, body, seconds = "/hooks/token", b"", 0
        if "session" in options:
            target += f"?session={_plain(options['session'], '--session')}"
    elif what == "resume" and len(names) == 1:
        target, body, seconds = f"/hooks/resume?session={_plain(names[0], 'SESSION')}", b"", 0
    else:
        raise Doubt(_USAGE)
    url, credential, user = _identity(options.get("enrolment"))
    waited = seconds + ANSWER_SECONDS
    _give_up_after(waited, f"the plane at {url} did not answer within {waited} seconds")
    code, answer = _read_answer(_exchange(url, target, credential, body, user))
    if what in TOOLS and code == 0 and not (answer[:1] == b"{" and answer[-1:] == b"}"):
        raise Doubt("the plane's answer is none")
    if what == "header" and code == 0:
        answer = b'{"Authorization": "Bearer ' + answer.strip() + b'"}\n'
    _write(2 if code == BLOCKED else 1, answer)
    return code


def _read_options(arguments: list[str]) -> tuple[str, dict[str, str], list[str]]:
    options: dict[str, str] = {}
    names: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            names.append(word)
            continue
        name, sign, value = word[2:].partition("=")
        if not sign:
            value = rest.pop(0) if rest else ""
        if name not in ("enrolment", "patience", "gateway", "session") or not value:
            raise Doubt(_USAGE)
        options[name] = value
    return (names[0] if names else ""), options, names[1:]


def _unattended(tool: str) -> str:
    """Tell the plane where nobody sits at the agent: a held call is then put away (`defer`)."""
    if tool != "claude" or posix.environ.get(b"CLAUDE_CODE_SESSION_ATTENDED") != b"0":
        return ""
    return "&unattended=1"


def _identity(enrolment: str | None) -> tuple[str, str, str]:
    """Return where the plane is, the agent's credential, and the user that the plane runs as.

    With an enrolment file the environment is not looked at: a repository's settings can set it.
    """
    user = ""
    if enrolment is not None:
        known = _read_enrolment(enrolment)
        url, credential = known.get("WATCHKEEPER_URL", ""), known.get("WATCHKEEPER_CREDENTIAL", "")
        where, user = enrolment, known.get("WATCHKEEPER_PLANE_UID", "")
    else:
        url = posix.environ.get(b"WATCHKEEPER_URL", b"").decode()
        credential = posix.environ.get(b"WATCHKEEPER_CREDENTIAL", b"").decode()
        where = "environment"
    for name, value in (("WATCHKEEPER_URL", url), ("WATCHKEEPER_CREDENTIAL", credential)):
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise Doubt(f"{where}: {name} is missing or is none; see `watchkeeper help hooks`")
    return url, credential, user


def _read_enrolment(path: str) -> dict[str, str]:
    """Read `NAME=value` lines of a file that only its owner, who runs this, can read."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
        facts = posix.fstat(descriptor)
        text = posix.read(descriptor, LARGEST_ENROLMENT).decode()
    except (OSError, ValueError) as error:
        raise Doubt(f"{path}: the enrolment cannot be read ({type(error).__name__})") from None
    if facts.st_uid != posix.geteuid() or facts.st_mode & 0o077:
        raise Doubt(f"{path}: others can read or change the enrolment; `chmod 600` it")
    pairs = (line.partition("=") for line in text.splitlines() if line[:1] != "#")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read_input() -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := posix.read(0, 65_536):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_INPUT:
            raise Doubt(f"the hook's input is larger than {LARGEST_INPUT:,} bytes")
    if not size:
        raise Doubt("the agent's hook said nothing of what it is about")
    return b"".join(chunks)


def _exchange(url: str, target: str, credential: str, body: bytes, user: str) -> bytes:
    """Send one request and return everything that comes back, up to a bound."""
    host, connection = _connect(url)
    head = (
        f"POST {target} HTTP/1.0\r\nhost: {host}\r\nauthorization: Bearer {credential}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{_caller()}\r\n"
    )
    try:
        _check_listener(url, user)
        connection.sendall(head.encode() + body)
        chunks: list[bytes] = []
        size = 0
        while chunk := connection.recv(65_536):
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_ANSWER:
                raise Doubt(f"the answer of {url} is too large")
    except OSError as error:
        raise Doubt(f"the plane at {url} broke off ({error.strerror})") from None
    finally:
        connection.close()
    return b"".join(chunks)


def _caller() -> str:
    """Return the header that names the span which the agent was started in, if it was in one.

    The environment is believed in this alone: the plane draws it in traces, and nothing hangs
    on it.
    """
    text = posix.environ.get(b"TRACEPARENT", b"")
    if len(text) != TRACE_LENGTH or text.strip(b"0123456789abcdef-"):
        return ""
    return f"traceparent: {text.decode()}\r\n"


def _connect(url: str) -> tuple[str, _socket.socket]:
    """Connect to `http://` on this machine, `https://`, or `unix:PATH`; else raise `Doubt`."""
    try:
        if url.startswith("unix:"):
            local = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            local.connect(url[5:])
            return "localhost", local
        scheme, _, rest = url.partition("://")
        host = rest.rstrip("/")
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdigit():
            name, port = host, {"http": "80", "https": "443"}.get(scheme, "")
        if not name or not port or any(sign in host for sign in "/@?#\\"):
            raise Doubt(
                f"{url}: no address of a plane; it is http://127.0.0.1:PORT or https://HOST"
            )
        if scheme == "http" and name in ("127.0.0.1", "localhost"):
            plain = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            plain.connect(("127.0.0.1", int(port)))
            return host, plain
        if scheme == "https":
            return host, _connect_encrypted(name, int(port))
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise Doubt(f"the plane does not answer at {url} ({said}); nothing passes") from None
    raise Doubt(f"{url}: the credential is not sent in the clear beyond this machine; use https")


def loopback_port(url: str) -> int | None:
    """Return the port of an address in the clear on this machine, or None of any other."""
    scheme, _, rest = url.partition("://")
    name, _, port = rest.rstrip("/").rpartition(":")
    if scheme != "http" or not port.isdigit():
        name, port = rest.rstrip("/"), "80"
    return int(port) if scheme == "http" and name in ("127.0.0.1", "localhost") else None


def _check_listener(url: str, user: str) -> None:
    """Raise `Doubt` where another user than the plane's listens: while a plane is down, anybody
    on this machine can take its port and be sent the credential.
    """
    port = loopback_port(url)
    users = listeners(port) if port is not None else None
    if users is None:
        return
    known = {0, posix.geteuid(), *([int(user)] if user.isdigit() else [])}
    for other in users - known:
        raise Doubt(
            f"user {other} listens at {url}, not the plane's: nothing is sent there; "
            "if the plane runs as that user, enrol the agent again"
        )
    if not users:
        raise Doubt(f"the plane at {url} is gone; nothing passes")


def listeners(port: int) -> frozenset[int] | None:
    """Return the users that take connections to a port of this machine; None: it does not say."""
    told = False
    for path in _TABLES:
        try:
            descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            continue
        told = True
        try:
            users = _read_listeners(descriptor, b":%04X" % port)
        finally:
            posix.close(descriptor)
        if users:
            return frozenset(users)
    return frozenset() if told else None


def _read_listeners(descriptor: int, end: bytes) -> set[int]:
    users: set[int] = set()
    rest = b""
    left = LARGEST_TABLE
    # in small parts: listeners come first, and the rest takes the system a while to write
    while left > 0 and (chunk := posix.read(descriptor, 4096)):
        left -= len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            fields = line.split(None, 8)
            if len(fields) < 9:
                continue
            if fields[3] != _LISTENS:
                if users:
                    return users
            elif fields[1][-5:] == end and fields[1][:-5] in _HERE:
                users.add(int(fields[7]))
    return users


def _connect_encrypted(name: str, port: int) -> _socket.socket:
    import socket
    import ssl

    plain = socket.create_connection((name, port))
    return ssl.create_default_context().wrap_socket(plain, server_hostname=name)


def _read_answer(raw: bytes) -> tuple[int, bytes]:
    """Return the exit code that the plane asks for and what is to be printed with it.

    Raises `Doubt` unless it is a whole answer of a plane's hook address.
    """
    if not raw:
        raise Doubt("the plane broke off without an answer")
    head, gap, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() in headers:
            raise Doubt("the plane's answer is not understood: a header came twice")
        headers[name.lower()] = value.strip()
    parts = first.split(b" ", 2)
    if not gap or len(parts) < 2 or not parts[0].startswith(b"HTTP/1."):
        raise Doubt("what answers at the plane's address is no plane")
    if parts[1] != b"200":
        raise Doubt(f"the plane refused: {parts[1].decode('latin-1')} {_words(body)}")
    if headers.get(b"content-length") != str(len(body)).encode():
        raise Doubt("the plane's answer broke off")
    code = headers.get(b"watchkeeper-exit")
    if code not in (b"0", b"2"):
        raise Doubt("what answers at the plane's address does not know hooks")
    return int(code), body


def _words(body: bytes) -> str:
    return body[:500].decode("utf-8", "replace")


def _whole(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= LONGEST_PATIENCE):
        raise Doubt(f"--patience is a number of seconds, at most {LONGEST_PATIENCE}")
    return int(text)


def _plain(text: str, what: str) -> str:
    """Return a name that needs no quoting in an address."""
    if len(text) > 128 or not all(c.isascii() and (c.isalnum() or c in "._:-") for c in text):
        raise Doubt(f"{what}: letters, digits, dots, colons and dashes only")
    return text


def _give_up_after(seconds: int, words: str) -> None:
    """Block once the time is up, whatever is being waited for, and when told to end."""

    def give_up(number: int, frame: object) -> None:
        said = words if number == _signal.SIGALRM else "the hook was told to end"
        posix._exit(_block(said))

    for number in (_signal.SIGALRM, _signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        _signal.signal(number, give_up)
    _signal.alarm(seconds)


def _block(words: str) -> int:
    """Say why nothing passes, as far as anybody listens."""
    safe = "".join(c if c.isprintable() or c == "\n" else "?" for c in words)
    try:
        _write(2, f"watchkeeper: {safe}\n".encode("utf-8", "replace"))
    except BaseException:
        return BLOCKED
    return BLOCKED


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[posix.write(descriptor, data) :]


if __name__ == "__main__":
    main(sys.argv[1:])
