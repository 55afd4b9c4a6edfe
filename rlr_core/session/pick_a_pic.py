"""Answers as a parquet file with the columns of the Pick-a-Pic data set (Kirstain et al. 2023, yuvalkirstain/pickapic_v2), out and in.

What a file holds of an answer: label_0 and label_1 are 1 and 0 for "a", 0 and 1 for "b", 1/2 and 1/2 for a tie. "Both are bad" is kept as a
tie, because the format knows no more; a skipped question has no row. The pictures are JPEG, as the columns' names say: win/lose folders
(`win_lose`) have them without loss. Left is picture 0. Imported tastes and ratings are not in it: the former have no pictures, the latter
no pairs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from rlr_core.errors import RLRError
from rlr_core.preference.evidence import Outcome
from rlr_core.session.records import PairRecord, SessionRecord
from rlr_core.session.store import Store
from rlr_core.session.uploads import read_upload

SCHEMA = pa.schema(
    [
        ("are_different", pa.bool_()),
        ("best_image_uid", pa.string()),
        ("caption", pa.string()),
        ("created_at", pa.timestamp("ns")),
        ("has_label", pa.bool_()),
        ("image_0_uid", pa.string()),
        ("image_0_url", pa.string()),
        ("image_1_uid", pa.string()),
        ("image_1_url", pa.string()),
        ("jpg_0", pa.binary()),
        ("jpg_1", pa.binary()),
        ("label_0", pa.float64()),
        ("label_1", pa.float64()),
        ("model_0", pa.string()),
        ("model_1", pa.string()),
        ("ranking_id", pa.int64()),
        ("user_id", pa.int64()),
        ("num_example_per_prompt", pa.int64()),
    ]
)
LABELS: dict[str, tuple[float, float]] = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie": (0.5, 0.5), "both_bad": (0.5, 0.5)}
OUTCOMES: dict[tuple[float, float], Outcome] = {(1.0, 0.0): "a", (0.0, 1.0): "b", (0.5, 0.5): "tie"}
NEEDED = ("jpg_0", "jpg_1", "label_0", "label_1")
READ = (*NEEDED, "caption", "has_label", "user_id", "model_0")
MAX_ROWS = 5000
MAX_NAME = 80  # characters
MAX_PROMPT = 500  # characters; the embedded CLIP reads fewer
ROWS_AT_ONCE = 32
JPEG_QUALITY = 95


@dataclass(frozen=True)
class JudgedPair:
    """A row of such a file: two pictures and which of them is better, by whom; `model` made the first.

    Attributes:
        prompt: what both were asked to show; None where the file does not say.
    """

    images: tuple[Image.Image, Image.Image]
    outcome: Outcome
    rater: str
    model: str
    prompt: str | None


def write(file: IO[bytes], store: Store, session: SessionRecord) -> int:
    """Write all answers given in the session; returns how many. RLRError if there are none."""
    pairs = store.answered_pairs(session.id)
    if not pairs:
        raise RLRError("There are 0 answers in this session, so there is nothing to write: answer a few questions first.")
    raters, models = list(dict.fromkeys(pair.rater for pair in pairs)), model_names(store, session)
    captions = Counter(pair.prompt for pair in pairs)
    with pq.ParquetWriter(file, SCHEMA) as writer:
        for first in range(0, len(pairs), ROWS_AT_ONCE):
            part = pairs[first : first + ROWS_AT_ONCE]
            rows = [_row(store, pair, models[pair.round_id], raters.index(pair.rater), captions[pair.prompt]) for pair in part]
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    return len(pairs)


def model_names(store: Store, session: SessionRecord) -> dict[str, str]:
    """What made the pictures of a round: the base model, and the round's number where it learned."""
    numbers = {record.id: record.number for record in store.rounds(session.id)}
    return {round_id: f"{session.model_name}, round {number}" if number else session.model_name for round_id, number in numbers.items()}


def _row(store: Store, pair: PairRecord, model: str, user: int, same_caption: int) -> dict[str, Any]:
    label_0, label_1 = LABELS[str(pair.choice)]
    return {
        "are_different": pair.image_a != pair.image_b,
        "best_image_uid": pair.preferred or "",
        "caption": pair.prompt,
        "created_at": datetime.fromtimestamp(pair.created_at, UTC).replace(tzinfo=None),
        "has_label": True,
        "image_0_uid": pair.image_a,
        "image_0_url": "",
        "image_1_uid": pair.image_b,
        "image_1_url": "",
        "jpg_0": _jpeg(store.open_image(pair.image_a)),
        "jpg_1": _jpeg(store.open_image(pair.image_b)),
        "label_0": label_0,
        "label_1": label_1,
        "model_0": model,
        "model_1": model,
        "ranking_id": pair.number,
        "user_id": user,
        "num_example_per_prompt": same_caption,
    }


def _jpeg(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def read(file: IO[bytes]) -> Iterator[JudgedPair]:
    """The labelled rows of such a file, in order; whoever the column user_id names is called "user <number>".

    Raises:
        RLRError: it is no parquet, lacks a column, has more than 5000 rows, or a row has no label or picture that can be read.
    """
    try:
        parquet = pq.ParquetFile(file)
        _check(parquet)
        columns = [name for name in READ if name in parquet.schema_arrow.names]
        number = 0
        for batch in parquet.iter_batches(ROWS_AT_ONCE, columns=columns):
            for row in batch.to_pylist():
                number += 1
                if row.get("has_label") is not False:
                    yield _pair(row, number)
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise RLRError(f"The file is no whole parquet file that can be read ({str(problem)[:200]}): give another one.") from problem


def _check(parquet: pq.ParquetFile) -> None:
    absent = [name for name in NEEDED if name not in parquet.schema_arrow.names]
    if absent:
        raise RLRError(f"The parquet file has no column {', '.join(absent)}, so it is none of Pick-a-Pic's kind: give one that has them.")
    if parquet.metadata.num_rows > MAX_ROWS:
        raise RLRError(f"The parquet file has {parquet.metadata.num_rows} rows, more than the {MAX_ROWS} that are read: give a part of it.")


def _pair(row: Mapping[str, Any], number: int) -> JudgedPair:
    labels = row["label_0"], row["label_1"]
    if not all(isinstance(label, int | float) for label in labels) or labels not in OUTCOMES:
        raise RLRError(f"Row {number} of the parquet file has the labels {labels}: they must be 1 and 0, 0 and 1, or 0.5 and 0.5.")
    pictures = row["jpg_0"], row["jpg_1"]
    if not all(isinstance(picture, bytes) for picture in pictures):
        raise RLRError(f"Row {number} of the parquet file lacks a picture in jpg_0 or jpg_1: give a file with the pictures in it.")
    try:
        images = read_upload(pictures[0]), read_upload(pictures[1])
    except RLRError as problem:
        raise RLRError(f"Row {number} of the parquet file: {problem}") from problem
    caption = row.get("caption")
    prompt = caption[:MAX_PROMPT] if isinstance(caption, str) and caption else None
    return JudgedPair(images, OUTCOMES[labels], _name(f"user {row.get('user_id') or 0}"), _name(row.get("model_0") or "unknown"), prompt)


def _name(value: object) -> str:
    return str(value)[:MAX_NAME]
