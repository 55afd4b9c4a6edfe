"""A session's rows as plain data and back again: what an archive carries.

Rows leave as mappings from column to value, in order, and come back under fresh names: every id of 16 hexadecimal digits, wherever it
is written, and every number that SQLite gives. A row may only point at rows that come with it. So rows from outside can never touch what
is there. What they may hold is decided here and by the schema, never by the archive: the tables, their columns and the columns' types.
"""

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlr_core.errors import RLRError
from rlr_core.session.records import new_id
from rlr_core.session.rows import insert

Rows = dict[str, list[dict[str, Any]]]

_ROUNDS = "SELECT id FROM rounds WHERE session_id = ?1"
_COMPARISONS = "SELECT id FROM comparisons WHERE session_id = ?1"
_IMAGES = f"""SELECT image_a FROM pairs WHERE session_id = ?1 UNION SELECT image_b FROM pairs WHERE session_id = ?1
    UNION SELECT image_id FROM samples WHERE session_id = ?1 UNION SELECT image_id FROM uploads WHERE session_id = ?1
    UNION SELECT earlier_image FROM blind_pairs WHERE comparison_id IN ({_COMPARISONS})
    UNION SELECT later_image FROM blind_pairs WHERE comparison_id IN ({_COMPARISONS})"""
# Every table that belongs to a session, in an order in which each row comes after those it points at; ?1 is the session's id.
TABLES = {
    "images": f"id IN ({_IMAGES})",
    "sessions": "id = ?1",
    "rounds": "session_id = ?1",
    "deleted_rounds": f"round_id IN ({_ROUNDS})",
    "round_notes": f"round_id IN ({_ROUNDS})",
    "blends": f"round_id IN ({_ROUNDS})",
    "pairs": "session_id = ?1",
    "answers": "session_id = ?1",
    "undone_answers": "answer_id IN (SELECT id FROM answers WHERE session_id = ?1)",
    "ratings": "session_id = ?1",
    "rated_images": "rating_id IN (SELECT id FROM ratings WHERE session_id = ?1)",
    "undone_ratings": "rating_id IN (SELECT id FROM ratings WHERE session_id = ?1)",
    "uploads": "session_id = ?1",
    "removed_uploads": "upload_id IN (SELECT id FROM uploads WHERE session_id = ?1)",
    "imported_tastes": "session_id = ?1",
    "removed_tastes": "taste_id IN (SELECT id FROM imported_tastes WHERE session_id = ?1)",
    "samples": "session_id = ?1",
    "metrics": f"round_id IN ({_ROUNDS})",
    "events": "session_id = ?1",
    "comparisons": "session_id = ?1",
    "blind_pairs": f"comparison_id IN ({_COMPARISONS})",
    "blind_answers": f"comparison_id IN ({_COMPARISONS})",
    "undone_blind_answers": f"blind_answer_id IN (SELECT id FROM blind_answers WHERE comparison_id IN ({_COMPARISONS}))",
}
# Presses are told apart only while a browser may send them again, and exports are made anew; so these stay where they are.
LEFT_OUT = ("undo_presses", "undo_rating_presses", "undo_blind_presses", "exports")
_LEFT_OUT_COLUMNS = ("sequence", "press_id", "writer")
# Rows that SQLite numbers, and rows that have names of their own.
_NUMBERED_TABLES = ("answers", "ratings", "events", "round_notes", "blind_answers")
_TYPES: dict[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (int, float)}
_NAME = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_NAMED_TABLES = ("sessions", "rounds", "pairs", "uploads", "imported_tastes", "samples", "comparisons", "blind_pairs")


@dataclass
class Renaming:
    """Fresh names for a session's rows.

    Attributes:
        names: new id by old id.
        numbers: by table, new number by old number; filled while rows go in.
        images: the pictures that the rows bring; their names, which follow from their content, stay.
    """

    names: Mapping[str, str]
    numbers: dict[str, dict[int, int]] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, rows: Rows) -> "Renaming":
        """Fresh names for all ids that the rows give."""
        given = [row.get("id") for table in _NAMED_TABLES for row in rows.get(table, ())]
        return cls({each: new_id() for each in given if isinstance(each, str) and _NAME.fullmatch(each)})

    def reference(self, table: str, name: Any) -> Any:  # noqa: ANN401 - a name or a number
        """What points at a row of `table` from now on; KeyError if the rows do not bring it."""
        if table == "images":
            if name not in self.images:
                raise KeyError(name)
            return name
        return self.numbers[table][name] if table in _NUMBERED_TABLES else self.names[name]

    def text(self, text: str) -> str:
        """The text with every old id in it made new."""
        return _NAME.sub(lambda found: self.names.get(found[0], found[0]), text)


def dump(connection: sqlite3.Connection, session_id: str) -> Rows:
    """All rows of a session."""
    rows: Rows = {}
    for table, condition in TABLES.items():
        columns = [name for name in _columns(connection, table) if name not in _LEFT_OUT_COLUMNS]
        listed = ", ".join(f'"{name}"' for name in columns)
        found = connection.execute(f"SELECT {listed} FROM {table} WHERE {condition} ORDER BY rowid", (session_id,))
        rows[table] = [dict(zip(columns, each, strict=True)) for each in found]
    return rows


def restore(connection: sqlite3.Connection, rows: Rows, renaming: Renaming) -> None:
    """Put rows into the database under fresh names; what cannot be a session's rows raises RLRError."""
    for table in TABLES:
        columns = _columns(connection, table)
        for row in rows.get(table, ()):
            _check_row(table, row, columns)
            try:
                _put(connection, table, row, renaming)
            except (sqlite3.IntegrityError, KeyError, OverflowError, UnicodeEncodeError) as problem:
                raise RLRError(f"{_damaged(table)}: a row points at another that is not there, or comes twice.") from problem


def _put(connection: sqlite3.Connection, table: str, row: Mapping[str, Any], renaming: Renaming) -> None:
    values: dict[str, Any] = {name: renaming.text(value) if isinstance(value, str) else value for name, value in row.items()}
    if table == "images":
        connection.execute("INSERT OR IGNORE INTO images (id, width, height) VALUES (:id, :width, :height)", values)
        renaming.images.add(values["id"])
        return
    # A name that the rows did not give is one of somebody else's rows.
    for column, owner in _references(connection, table).items():
        if row.get(column) is not None:
            values[column] = renaming.reference(owner, row[column])
    if table in _NAMED_TABLES:
        values["id"] = renaming.names[row["id"]]
    if table == "events":
        values["writer"] = ""
    if table == "comparisons":
        values["last_event"] = renaming.numbers.get("events", {}).get(row["last_event"], 0)
    if table in _NUMBERED_TABLES:
        number = values.pop("id")
        renaming.numbers.setdefault(table, {})[number] = insert(connection, table, **values)
    else:
        insert(connection, table, **values)


def _references(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns that point at rows, and the tables of those."""
    return dict(connection.execute('SELECT "from", "table" FROM pragma_foreign_key_list(?)', (table,)).fetchall())


def _check_row(table: str, row: object, columns: Mapping[str, tuple[str, bool]]) -> None:
    if not isinstance(row, Mapping) or not row.keys() <= columns.keys() - set(_LEFT_OUT_COLUMNS):
        raise RLRError(f"{_damaged(table)}: a row has columns that this studio does not know.")
    for name, (kind, is_needed) in columns.items():
        value = row.get(name)
        if name in _LEFT_OUT_COLUMNS or (value is None and not is_needed):
            continue
        if isinstance(value, bool) or not isinstance(value, _TYPES[kind]):
            raise RLRError(f"{_damaged(table)}: {name} = {value!r} cannot be right.")


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, tuple[str, bool]]:
    """Each column's type, and whether a row needs it."""
    found = connection.execute('SELECT name, type, "notnull", dflt_value FROM pragma_table_info(?)', (table,))
    return {name: (kind, bool(needed) and default is None) for name, kind, needed, default in found}


def _damaged(table: str) -> str:
    return f"The archive is damaged or not a studio's, in its table '{table}'"


def check_tables(rows: Any) -> Rows:  # noqa: ANN401 - whatever JSON holds
    """The rows in what an archive says; RLRError if they are none."""
    is_sound = isinstance(rows, dict) and rows.keys() <= TABLES.keys() and all(isinstance(each, list) for each in rows.values())
    if not is_sound or not all(isinstance(row, dict) for each in rows.values() for row in each):
        raise RLRError("The archive is damaged or not a studio's: its tables are not those of a session.")
    if len(rows.get("sessions", ())) != 1:
        raise RLRError("The archive is damaged or not a studio's: it does not hold exactly one session.")
    return rows
