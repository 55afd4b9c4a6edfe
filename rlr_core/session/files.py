"""Files of a workspace: whole or absent, and every name checked before it becomes a path."""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from rlr_core.errors import NotKept, RLRError

FULL = "The disk of the workspace {root} is full, so nothing more can be kept: free some space, or start with --workspace on another disk."
READ_ONLY = "The workspace {root} cannot be written to: allow writing there, or choose another folder with --workspace."
NOT_A_FOLDER = "The workspace {root} cannot be a folder, because a file lies at or above that path: choose another with --workspace."
NOT_A_STUDIO = "{root}/studio.db is not a studio's database, or it is damaged: put a copy back, or choose another folder with --workspace."
FAULTY = (
    "The disk of the workspace {root} fails to read or write: see that it is neither full nor broken, or choose another with --workspace."
)
BUSY = "The workspace {root} is being written to by another program for too long: close that program and try again."

OS_SENTENCES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
    errno.EIO: FAULTY,
    errno.ENOTDIR: NOT_A_FOLDER,
    errno.EEXIST: NOT_A_FOLDER,
}
SQLITE_SENTENCES = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: READ_ONLY,
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_NOTADB: NOT_A_STUDIO,
    sqlite3.SQLITE_CORRUPT: NOT_A_STUDIO,
    sqlite3.SQLITE_IOERR: FAULTY,
    sqlite3.SQLITE_BUSY: BUSY,
}


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn what the disk of the workspace `root` refuses into NotKept with its sentence; anything else passes unchanged."""
    try:
        yield
    except (OSError, sqlite3.Error) as problem:
        sentence = _sentence(problem)
        if sentence is None:
            raise
        raise NotKept(sentence.format(root=root)) from problem


def _sentence(problem: OSError | sqlite3.Error) -> str | None:
    if isinstance(problem, OSError):
        return OS_SENTENCES.get(problem.errno or 0)
    # The low byte is the primary code; the rest says where in SQLite it was met.
    return SQLITE_SENTENCES.get(getattr(problem, "sqlite_errorcode", 0) & 0xFF)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `path` so that, whenever the power fails, it is there as a whole or not at all."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that is `path` once the block is over and it is on the disk; if the block raises, nothing has changed."""
    temporary = NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False)
    try:
        with temporary as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary.name, path)
    except BaseException:
        Path(temporary.name).unlink()
        raise
    _sync_folder(path.parent)


def move_whole(source: Path, path: Path) -> None:
    """Move a file within a disk so that, whenever the power fails, `path` is there as a whole or not at all."""
    with source.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(source, path)
    _sync_folder(path.parent)


@contextmanager
def writable(path: Path, what: str) -> Iterator[None]:
    """Say what it means that `what` cannot be written to `path`, which a person chose."""
    try:
        yield
    except OSError as problem:
        raise RLRError(
            f"{what} cannot be written to {path} ({problem.strerror}): choose a place that exists, can be written to and has room."
        ) from problem


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows gives no handle on a folder; NTFS journals the rename itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checked_name(name: str, digits: int, what: str) -> str:
    """`name` if it consists of just so many hexadecimal digits, so that it can be part of a path."""
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", name):
        raise RLRError(f"{name!r} names no {what}: a name has {digits} hexadecimal digits; take one that the studio has given.")
    return name
