"""The workspace's SQLite database: opening, migrating, and transactions for many threads and processes."""

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock, local

from rlr_core.errors import RLRError
from rlr_core.session.files import explained
from rlr_core.session.schema import MIGRATIONS

# synchronous = FULL: an acknowledged answer survives a power cut; WAL alone would only survive a crash of the program.
PRAGMAS = ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")


class Database:
    """studio.db in the folder `root`, made and brought up to date when opened.

    Readers never wait. Writers of this process queue at a lock, those of other processes at SQLite's. A commit returns once it is on the
    disk.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._idle: deque[sqlite3.Connection] = deque()
        self._writing = RLock()
        self._thread = local()
        with explained(root):
            root.mkdir(parents=True, exist_ok=True)
        with self.write() as connection:
            self._migrate(connection)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; inside a transaction of this thread, the one that sees what it wrote."""
        current = getattr(self._thread, "connection", None)
        if current is not None:
            yield current
            return
        with explained(self.root):
            connection = self._take()
            try:
                yield connection
            finally:
                self._idle.append(connection)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: kept as a whole at the end of the block, or not at all if it raises. An inner block joins the outer one."""
        current = getattr(self._thread, "connection", None)
        if current is not None:
            yield current
            return
        with self._writing, self.read() as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._thread.connection = connection
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has already rolled back after some errors, a full disk among them.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._thread.connection = None

    def close(self) -> None:
        """Close all connections; none may be in use."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.root / "studio.db", isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            for pragma in PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise RLRError(
                f"The workspace {self.root} was written by a newer studio (schema {version}; this one knows up to {len(MIGRATIONS)}): "
                "update the studio, or choose another folder with --workspace."
            )
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
