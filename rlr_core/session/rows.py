"""Between records and rows: a column is called as the field, and settings, lists and mappings are kept as JSON."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from sqlite3 import Connection, Row
from typing import Any, TypeVar, get_type_hints

from rlr_core.config import AdapterConfig, FeatureConfig, RoundConfig, SamplerConfig, from_json, to_json

Record = TypeVar("Record")
Reader = Callable[[Any], Any]

READERS: dict[Any, Reader] = {
    AdapterConfig: partial(from_json, AdapterConfig),
    SamplerConfig: partial(from_json, SamplerConfig),
    FeatureConfig: partial(from_json, FeatureConfig),
    RoundConfig | None: partial(from_json, RoundConfig),
    tuple[str, ...]: lambda text: tuple(json.loads(text)),
    Mapping[str, Any]: json.loads,
    bool: bool,
}


def insert(connection: Connection, table: str, **values: Any) -> int:  # noqa: ANN401 - whatever SQLite or `_column` can hold
    """Add one row, the values by column; its number is returned."""
    columns = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f":{name}" for name in values)
    cursor = connection.execute(
        f"INSERT INTO {table} ({columns}) VALUES ({places})", {name: _column(value) for name, value in values.items()}
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def records(kind: type[Record], rows: Iterable[Row]) -> tuple[Record, ...]:
    """One record of `kind` for every row; the rows have a column for every field."""
    return tuple(record(kind, row) for row in rows)


def record(kind: type[Record], row: Row, **derived: Any) -> Record:  # noqa: ANN401
    """The row as a record of `kind`; `derived` gives the fields that have no column."""
    stored = ((name, reader) for name, reader in _fields(kind) if name not in derived)  # type: ignore[arg-type]
    return kind(**{name: _value(reader, row[name]) for name, reader in stored}, **derived)


@cache
def _fields(kind: type) -> tuple[tuple[str, Reader | None], ...]:
    """A record's fields and what reads their columns, None where these are as they should be; found once, since it takes longer than
    reading a row."""
    hints = get_type_hints(kind)
    return tuple((each.name, READERS.get(hints[each.name])) for each in fields(kind))


def _column(value: Any) -> Any:  # noqa: ANN401
    if is_dataclass(value):
        return to_json(value)
    if isinstance(value, tuple | Mapping):
        return json.dumps(value)
    return value


def _value(reader: Reader | None, column: Any) -> Any:  # noqa: ANN401
    return column if column is None or reader is None else reader(column)
