"""Where sealing keys are kept: a private file, a variable, or the system's keyring.

Reading blocks, if briefly; callers do it in a thread.
"""

from __future__ import annotations

import importlib
import os
import stat
from pathlib import Path
from typing import Any, Protocol

from watchkeeper.core.errors import Conflict, Invalid, Unavailable
from watchkeeper.tools.secrets.model import SealingKey
from watchkeeper.tools.secrets.rules import read_keys, write_keys

KEY_FILE = "sealing.key"
_LARGEST = 4096
_SERVICE = "watchkeeper"


class KeySource(Protocol):
    """Where the plane's sealing keys are; the first key is the newest."""

    where: str
    """In words, for errors."""

    def read(self) -> tuple[SealingKey, ...]:
        """Return the keys, none if there are none yet; raise `Unavailable` if unreadable."""
        ...

    def write(self, keys: tuple[SealingKey, ...]) -> None:
        """Replace the keys, durably; raise `Conflict` where the plane cannot."""
        ...


def key_source(setting: str, state: Path) -> KeySource:
    """Return the source that the setting `sealing_key` names; empty: a file of the state."""
    kind, _, place = setting.partition(":")
    if not setting:
        return FileKeys(state / KEY_FILE)
    if kind == "file" and place:
        return FileKeys(Path(place).expanduser())
    if kind == "env" and place:
        return VariableKeys(place)
    if kind == "keyring" and place:
        return KeyringKeys(place)
    raise Invalid(
        "not a place for a sealing key",
        where="sealing_key",
        remedy="use file:PATH, env:NAME or keyring:NAME",
    )


class FileKeys:
    """A file that only the plane's account may read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = str(path)

    def read(self) -> tuple[SealingKey, ...]:
        """Return the keys; raise `Unavailable` for a file that others may read or own."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _unreadable(self.where, error.strerror or "it cannot be read") from None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _unreadable(self.where, "it is no file")
            if found.st_mode & 0o077:
                raise _unreadable(
                    self.where,
                    f"others may read it (mode {found.st_mode & 0o777:04o})",
                    f"chmod 600 {self.where}; if others may have read it, rotate the key and "
                    "every secret",
                )
            if found.st_uid != os.geteuid():
                raise _unreadable(self.where, f"it belongs to user {found.st_uid}")
            text = os.read(descriptor, _LARGEST).decode("ascii", "replace")
        finally:
            os.close(descriptor)
        return _keys_in(text, self.where)

    def write(self, keys: tuple[SealingKey, ...]) -> None:
        """Replace the file in one step; what was there stays until the new is durable."""
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(write_keys(keys))
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise Unavailable(
                f"the sealing key cannot be written: {error.strerror}",
                code="sealing_key_unwritable",
                where=self.where,
            ) from None


class VariableKeys:
    """A variable of the plane's environment, which only whoever starts the plane can change."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.where = f"variable {name}"

    def read(self) -> tuple[SealingKey, ...]:
        """Return the keys."""
        return _keys_in(os.environ.get(self._name, ""), self.where)

    def write(self, keys: tuple[SealingKey, ...]) -> None:
        """Refuse."""
        raise Conflict(
            f"the sealing key is in the {self.where}, which the plane cannot change",
            code="sealing_key_fixed",
            remedy=f"start the plane with the new key first in {self._name} and the old one "
            "behind it, with a comma between, then rotate again",
        )


class KeyringKeys:
    """The keyring of the operating system, by the optional package `keyring`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.where = f"keyring entry {_SERVICE}/{name}"

    def read(self) -> tuple[SealingKey, ...]:
        """Return the keys; raise `Unavailable` where there is no keyring."""
        keyring = self._load()
        try:
            text = keyring.get_password(_SERVICE, self._name)
        except Exception as error:
            raise _unreadable(self.where, type(error).__name__) from None
        return _keys_in(text or "", self.where)

    def write(self, keys: tuple[SealingKey, ...]) -> None:
        """Replace the entry."""
        keyring = self._load()
        try:
            keyring.set_password(_SERVICE, self._name, write_keys(keys))
        except Exception as error:
            raise _unreadable(self.where, type(error).__name__) from None

    def _load(self) -> Any:
        try:
            return importlib.import_module("keyring")
        except ImportError:
            raise _unreadable(
                self.where,
                "the package `keyring` is not installed",
                "install watchkeeper[keyring], or keep the key in a file",
            ) from None


def _keys_in(text: str, where: str) -> tuple[SealingKey, ...]:
    try:
        return read_keys(text)
    except Invalid as error:
        raise _unreadable(where, error.message, error.remedy) from None


def _unreadable(where: str, why: str, remedy: str | None = None) -> Unavailable:
    return Unavailable(
        f"the sealing key cannot be read: {why}",
        code="sealing_key_unreadable",
        where=where,
        remedy=remedy or "make it readable by the account that runs the plane, and by it alone",
    )
