"""What a plane is started with: flag before environment before file before default."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from watchkeeper.core.addresses import place_of
from watchkeeper.core.errors import Invalid
from watchkeeper.core.places import config_file, state_directory
from watchkeeper.plane.state import PlaneFile

if TYPE_CHECKING:
    from watchkeeper.decide.telemetry.carrying import Protocol, Target
    from watchkeeper.tools.secrets.vault import VaultSettings

MEBIBYTE = 1 << 20
USUAL_PORT = 8750
_MOST_DAYS = 3650
USUAL_ENVIRONMENT = "local"
RehearsalMode = Literal["running", "frozen"]
TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_ENVIRONMENT_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,39}$")
_KEY_PLACE = re.compile(r"^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*|keyring:.+)$")
_TOKEN_PLACE = re.compile(
    r"^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*|sealed:[a-z0-9][a-z0-9._-]{0,62})$"
)
_PUBLIC_URL = re.compile(r"https://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?")
_NAMESPACE = re.compile(r"[A-Za-z0-9._/-]{0,200}")
_DATABASE = re.compile(r"^(sqlite|postgresql)(\+\w+)?://")


@dataclass(frozen=True)
class Settings:
    """Validated settings of one plane; sizes in bytes, durations in seconds."""

    state: Path
    environment: str = ""
    """Empty: as the last plane of this state directory, or else `local`."""
    plane: str = "plane-1"
    port: int | None = None
    """TCP port on 127.0.0.1; 0 lets the system choose. None: as the last plane of this state
    directory, so that agents find a plane that was restarted; or else 8750."""
    public_url: str = ""
    """What agents and verifiers elsewhere call the plane, through a proxy that ends TLS:
    `https://HOST[:PORT]`. Empty: http on 127.0.0.1."""
    trust_domain: str = ""
    """The trust domain of SPIFFE ids; empty: `ENVIRONMENT.watchkeeper`."""
    database: str = ""
    """Store URL; empty means SQLite inside the state directory."""
    rehearsal_clock: RehearsalMode | None = None
    max_body: int = MEBIBYTE
    max_gateway_body: int = 4 * MEBIBYTE
    max_connections: int = 2000
    stop_seconds: int = 5
    """How long calls in flight may finish when the plane stops."""
    log_bytes: int = 8 * MEBIBYTE
    sealing_key: str = ""
    """Where the key is that seals secrets: file:PATH, env:NAME or keyring:NAME; empty: a file
    in the state directory."""
    vault_url: str = ""
    vault_token: str = ""
    """Reference to the token of the vault: env:NAME, file:PATH or sealed:NAME."""
    vault_namespace: str = ""
    vault_allow_private: bool = False
    """Whether the vault's host name may lead inside a private network."""
    heartbeat_url: str = ""
    """Asked with GET whenever an audit found that everything that waits has its timer: a service
    outside that raises an alarm once it is not asked any more."""
    anchor_file: str = ""
    """A file elsewhere that signed checkpoints of the ledger are appended to."""
    anchor_git: str = ""
    """A git remote whose branch `watchkeeper` they are pushed to."""
    anchor_witness: str = ""
    """URL of a witness that cosigns them."""
    anchor_witness_key: str = ""
    """The witness's verifier key, as `watchkeeper witness key` prints it."""
    anchor_tsa: str = ""
    """URL of an RFC 3161 time-stamp authority."""
    anchor_tsa_certificate: str = ""
    """File with the certificate (PEM) that the authority signs with."""
    trace_days: int = 30
    """How long spans are kept; what they are of stays in the ledger."""
    content_days: int = 7
    """How long what models and tools were told, and said, is kept."""
    personal_days: int = _MOST_DAYS
    """How long the vault keeps the personal data that entries of the ledger commit to."""
    trace_percent: int = 100
    """Of how many runs in a hundred the calls that went well are kept as spans; what was refused,
    held, approved or failed always is."""
    otlp_url: str = ""
    """Where the plane's spans are sent as OTLP: the base address of a collector."""
    otlp_protocol: str = "http/protobuf"
    """How they are sent: http/protobuf or grpc."""
    otlp_headers: str = ""
    """Reference to a secret `NAME=VALUE,…` that is sent with them: env:NAME, file:PATH or
    sealed:NAME."""
    otlp_allow_private: bool = False
    """Whether the collector's host name may lead inside a private network."""
    detached: bool = False

    def __post_init__(self) -> None:
        if self.environment and not _ENVIRONMENT_NAME.match(self.environment):
            raise _bad("environment", "use 1 to 40 lower-case letters, digits, dot, _ or -")
        if self.trust_domain and not TRUST_DOMAIN.fullmatch(self.trust_domain):
            raise _bad("trust_domain", "use 1 to 255 of a-z, 0-9, dot, dash and underscore")
        if self.public_url and not _PUBLIC_URL.fullmatch(self.public_url):
            raise _bad("public_url", "use https://HOST or https://HOST:PORT, in lower case")
        if not _ENVIRONMENT_NAME.match(self.plane):
            raise _bad("plane", "use 1 to 40 lower-case letters, digits, dot, _ or -")
        if self.port is not None and not 0 <= self.port <= 65_535:
            raise _bad("port", "use a port from 1 to 65535, or 0 for any free one")
        if self.database and not _DATABASE.match(self.database):
            raise _bad("database", "use sqlite:///PATH or postgresql://HOST/NAME")
        if self.rehearsal_clock not in (None, "running", "frozen"):
            raise _bad("rehearsal_clock", "use running or frozen")
        for name in ("max_body", "max_gateway_body", "log_bytes"):
            if not 1024 <= getattr(self, name) <= 1 << 30:
                raise _bad(name, "use 1 KiB to 1 GiB, in bytes")
        if not 8 <= self.max_connections <= 100_000:
            raise _bad("max_connections", "use 8 to 100000")
        self._check_secrets()
        self._check_otlp()
        self._check_anchors()
        if self.heartbeat_url:
            try:
                place_of(self.heartbeat_url)
            except Invalid as error:
                raise _bad("heartbeat_url", error.message) from None
        for name in ("trace_days", "content_days", "personal_days"):
            if not 1 <= getattr(self, name) <= _MOST_DAYS:
                raise _bad(name, f"use 1 to {_MOST_DAYS} days")
        if not 0 <= self.trace_percent <= 100:
            raise _bad("trace_percent", "use 0 to 100")
        if not 0 <= self.stop_seconds <= 300:
            raise _bad("stop_seconds", "use 0 to 300 seconds")

    def _check_anchors(self) -> None:
        for name, other in (
            ("anchor_witness", "anchor_witness_key"), ("anchor_tsa", "anchor_tsa_certificate")
        ):  # fmt: skip
            if bool(getattr(self, name)) != bool(getattr(self, other)):
                missing = other if getattr(self, name) else name
                raise _bad(missing, f"an anchor of this kind needs both {name} and {other}")
            if url := getattr(self, name):
                try:
                    place_of(url)
                except Invalid as error:
                    raise _bad(name, error.message) from None
        if self.anchor_git.startswith("-"):
            raise _bad("anchor_git", "use a URL or a path of a git repository")

    def _check_otlp(self) -> None:
        if self.otlp_headers and not (self.otlp_url and _TOKEN_PLACE.match(self.otlp_headers)):
            raise _bad("otlp_headers", "use env:NAME, file:PATH or sealed:NAME, with an otlp_url")
        if self.otlp_protocol not in ("http/protobuf", "grpc"):
            raise _bad("otlp_protocol", "use http/protobuf or grpc")
        if self.otlp_url:
            try:
                place = place_of(self.otlp_url)
            except Invalid as error:
                raise _bad("otlp_url", error.message) from None
            if self.otlp_protocol == "grpc" and self.otlp_url.rstrip("/").lower() != place.origin:
                raise _bad("otlp_url", f"over gRPC it is {place.origin}: no path, and with a port")

    def _check_secrets(self) -> None:
        if self.sealing_key and not _KEY_PLACE.match(self.sealing_key):
            raise _bad("sealing_key", "use file:PATH, env:NAME or keyring:NAME")
        if bool(self.vault_url) != bool(self.vault_token):
            name = "vault_token" if self.vault_url else "vault_url"
            raise _bad(name, "a vault needs both vault_url and vault_token")
        if self.vault_token and not _TOKEN_PLACE.match(self.vault_token):
            raise _bad("vault_token", "use env:NAME, file:PATH or sealed:NAME")
        if self.vault_url:
            try:
                place_of(self.vault_url)
            except Invalid as error:
                raise _bad("vault_url", error.message) from None
        if not _NAMESPACE.fullmatch(self.vault_namespace):
            raise _bad("vault_namespace", "use letters, digits, dots, dashes, _ and /")

    @property
    def vault(self) -> VaultSettings | None:
        """The vault that references may name, or None."""
        if not self.vault_url:
            return None
        # imported here: settings are read before anything else, and are to stay light
        from watchkeeper.tools.secrets.vault import VaultSettings

        return VaultSettings(
            self.vault_url, self.vault_token, self.vault_namespace, self.vault_allow_private
        )

    @property
    def export(self) -> Target | None:
        """Where spans are exported to, or None."""
        if not self.otlp_url:
            return None
        from watchkeeper.decide.telemetry.carrying import Target

        protocol: Protocol = "grpc" if self.otlp_protocol == "grpc" else "http/protobuf"
        return Target(self.otlp_url, self.otlp_headers, self.otlp_allow_private, protocol)

    def like(self, last: PlaneFile | None) -> Settings:
        """Return these settings with what they leave open taken from the last plane here."""
        port = urlsplit(last.http).port if last else None
        return replace(
            self,
            environment=self.environment or (last.environment if last else USUAL_ENVIRONMENT),
            port=self.port if self.port is not None else port or USUAL_PORT,
        )

    @property
    def trusts(self) -> str:
        """The trust domain in use."""
        return self.trust_domain or f"{self.environment or USUAL_ENVIRONMENT}.watchkeeper"

    @property
    def database_url(self) -> str:
        """The store URL in use."""
        return self.database or f"sqlite:///{self.state / 'plane.sqlite3'}"


def read_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    file: Path | None = None,
) -> Settings:
    """Combine flags (those not None), ``WATCHKEEPER_*`` variables and the file's ``[plane]``.

    Raises :class:`Invalid` that names the flag, variable or file of a bad value.
    """
    known = {field.name: str(field.type) for field in fields(Settings)}
    chosen: dict[str, tuple[Any, str]] = {}
    path = file if file is not None else config_file()
    for name, value in _from_file(path).items():
        if name not in known or name == "detached":
            raise Invalid(
                f"unknown setting {name!r:.60} in [plane]",
                where=str(path),
                remedy="known settings: " + ", ".join(sorted(known)),
            )
        chosen[name] = (value, f"{path}: plane.{name}")
    for name in known:
        variable = f"WATCHKEEPER_{name.upper()}"
        if environ.get(variable):
            # this variable holds the key itself, and so says where the key is
            value = f"env:{variable}" if name == "sealing_key" else environ[variable]
            chosen[name] = (value, variable)
    for name, value in flags.items():
        if value is not None:
            chosen[name] = (value, f"--{name.replace('_', '-')}")
    values = {name: _convert(known[name], *found) for name, found in chosen.items()}
    values["state"] = state_directory(values.get("state"))
    try:
        return Settings(**values)
    except Invalid as error:
        source = chosen.get(error.where or "", (None, error.where))[1]
        raise Invalid(error.message, where=source, remedy=error.remedy) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"cannot read the configuration: {error}", where=str(path)) from None
    table = document.get("plane", {})
    if not isinstance(table, dict):
        raise Invalid("[plane] must be a table", where=str(path))
    return cast(dict[str, Any], table)


def _convert(kind: str, value: Any, source: str) -> Any:
    if kind.startswith("int"):
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,12}", str(value)):
            raise Invalid(f"not a whole number: {value!r:.40}", where=source)
        return int(value)
    if kind == "bool":
        if isinstance(value, bool):
            return value
        if str(value).lower() not in ("0", "1", "false", "true"):
            raise Invalid(f"not true or false: {value!r:.40}", where=source)
        return str(value).lower() in ("1", "true")
    if not isinstance(value, str | Path):
        raise Invalid(f"not text: {value!r:.40}", where=source)
    return str(value)


def _bad(name: str, remedy: str) -> Invalid:
    return Invalid(f"bad value for {name}", where=name, remedy=remedy)
