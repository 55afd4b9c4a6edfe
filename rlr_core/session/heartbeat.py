"""Who works in a workspace: a lock that the operating system frees when its process dies, however it dies.

One process at a time may start rounds. It holds a lock on writer.lock and writes a fresh name, its token, beside it; events carry the
token, so a round counts as running only while the very process that started it lives. The lock is SQLite's own (RESERVED, on an empty
database), which works alike on Linux, macOS and Windows.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Lock

from rlr_core.errors import RLRError
from rlr_core.session.files import explained, write_atomically
from rlr_core.session.records import new_id

# A look at the lock takes it for an instant; whoever wants it for good waits that instant out.
PATIENCE_SECONDS = 1.0


class WorkspaceLock:
    """The right to start rounds in the workspace `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.token = ""
        self._connection: sqlite3.Connection | None = None
        self._changing = Lock()

    @property
    def is_held(self) -> bool:
        """This object holds the lock."""
        return self._connection is not None

    def acquire(self) -> None:
        """Take the lock; nothing happens if it is held already. Raises RLRError if another program has it."""
        with self._changing, explained(self.root):
            if self.is_held:
                return
            connection = self._open(PATIENCE_SECONDS)
            if not _try_lock(connection):
                connection.close()
                raise RLRError(
                    f"The workspace {self.root} is in use by another running studio, and only one may train in it: "
                    "close that one, or choose another folder with --workspace."
                )
            self.token = new_id()
            write_atomically(self._token_path, self.token.encode())
            self._connection = connection

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        with self._changing:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
                self.token = ""

    def holder(self) -> str | None:
        """The token of the living process that holds the lock, None if there is none."""
        if self.is_held:
            return self.token
        with explained(self.root), closing(self._open(0.0)) as connection:
            return None if _try_lock(connection) or not self._token_path.exists() else self._token_path.read_text()

    def is_held_by_other(self) -> bool:
        """Another process, or another object of this one, holds the lock."""
        return not self.is_held and self.holder() is not None

    @property
    def _token_path(self) -> Path:
        return self.root / "writer.token"

    def _open(self, timeout: float) -> sqlite3.Connection:
        return sqlite3.connect(self.root / "writer.lock", timeout=timeout, isolation_level=None, check_same_thread=False)


def _try_lock(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as problem:
        if problem.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
