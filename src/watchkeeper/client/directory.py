"""Reading a directory of contracts, policies and cases."""

from __future__ import annotations

from pathlib import Path

from watchkeeper.core.errors import Invalid
from watchkeeper.wire.plane import File

SUFFIXES = (".yaml", ".yml", ".cedar")
_LARGEST = 1_000_000


def read_directory(directory: Path) -> tuple[File, ...]:
    """Read what can be applied, in a stable order; raise `Invalid` naming the file."""
    if not directory.exists():
        raise Invalid(
            "there is no such directory",
            where=str(directory),
            remedy="name a directory that holds contracts or policies",
        )
    if directory.is_file():
        paths, base = [directory], directory.parent
    else:
        paths = sorted(
            path
            for path in directory.rglob("*")
            if path.suffix in SUFFIXES and path.is_file() and not _hidden(path, directory)
        )
        base = directory
    if not paths:
        raise Invalid(
            f"no {', '.join('*' + suffix for suffix in SUFFIXES)} file",
            where=str(directory),
            remedy="name a directory that holds contracts or policies",
        )
    files = []
    for path in paths:
        name = path.relative_to(base).as_posix()
        try:
            if path.stat().st_size > _LARGEST:
                raise Invalid(f"larger than {_LARGEST:,} bytes", where=str(path))
            files.append(File(path=name, text=path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"cannot be read: {error}", where=str(path)) from None
    return tuple(files)


def _hidden(path: Path, directory: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(directory).parts)
