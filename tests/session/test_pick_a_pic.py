import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageChops

from rlr_core.errors import RLRError
from rlr_core.session import pick_a_pic
from tests.session.conftest import add_pairs

CHOICES = ("a", "b", "tie", "both_bad", "skip")
# Names and types of yuvalkirstain/pickapic_v2, but for the row numbers that pandas left in it.
COLUMNS = {
    "are_different": "bool", "best_image_uid": "string", "caption": "string", "created_at": "timestamp[ns]", "has_label": "bool",
    "image_0_uid": "string", "image_0_url": "string", "image_1_uid": "string", "image_1_url": "string", "jpg_0": "binary",
    "jpg_1": "binary", "label_0": "double", "label_1": "double", "model_0": "string", "model_1": "string", "ranking_id": "int64",
    "user_id": "int64", "num_example_per_prompt": "int64",
}  # fmt: skip


@pytest.fixture
def pairs(store, session):
    made = add_pairs(store, session, 6)
    for pair, choice in zip(made, CHOICES, strict=False):
        store.answer(pair.id, choice, rater="bea" if choice == "tie" else "me")
    return made


@pytest.fixture
def written(store, session, pairs):
    file = io.BytesIO()
    assert pick_a_pic.write(file, store, session) == 4
    file.seek(0)
    return file


def jpeg(colour="red", size=(8, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def parquet(rows=1, **columns):
    """A small file; columns that are None are left out."""
    values = {"jpg_0": jpeg(), "jpg_1": jpeg("blue"), "label_0": 1.0, "label_1": 0.0, "has_label": True, "user_id": 7, "model_0": "sd"}
    values |= columns
    file = io.BytesIO()
    pq.write_table(pa.table({name: [value] * rows for name, value in values.items() if value is not None}), file)
    file.seek(0)
    return file


def test_the_columns_are_pick_a_pics(written):
    assert {field.name: str(field.type) for field in pq.ParquetFile(written).schema_arrow} == COLUMNS


def test_every_answer_but_a_skipped_one_is_a_row(session, pairs, written):
    rows = pq.read_table(written).to_pylist()
    assert [(row["label_0"], row["label_1"]) for row in rows] == [(1, 0), (0, 1), (0.5, 0.5), (0.5, 0.5)]
    assert [row["best_image_uid"] for row in rows] == [pairs[0].image_a, pairs[1].image_b, "", ""]
    assert [row["user_id"] for row in rows] == [0, 0, 1, 0]
    assert [row["ranking_id"] for row in rows] == [0, 1, 2, 3]
    assert {row["num_example_per_prompt"] for row in rows} == {4}
    first = rows[0]
    assert (first["image_0_uid"], first["image_1_uid"], first["caption"]) == (pairs[0].image_a, pairs[0].image_b, "a cat")
    assert (first["model_0"], first["model_1"], first["has_label"], first["are_different"]) == ("emoji", "emoji", True, True)
    assert first["created_at"].timestamp() == pytest.approx(pairs[0].created_at, abs=86_400)
    with Image.open(io.BytesIO(first["jpg_0"]), formats=["JPEG"]) as left:
        assert left.getpixel((1, 1))[0] > 250


def test_what_was_written_is_read_back(store, pairs, written):
    read = list(pick_a_pic.read(written))
    assert [(pair.outcome, pair.rater, pair.model) for pair in read] == [
        ("a", "user 0", "emoji"), ("b", "user 0", "emoji"), ("tie", "user 1", "emoji"), ("tie", "user 0", "emoji"),
    ]  # fmt: skip
    assert {pair.prompt for pair in read} == {"a cat"}
    difference = ImageChops.difference(read[0].images[0], store.open_image(pairs[0].image_a))
    assert max(high for _, high in difference.getextrema()) <= 3


def test_rows_without_a_label_are_left_out_and_optional_columns_may_be_missing():
    assert list(pick_a_pic.read(parquet(has_label=False))) == []
    (pair,) = pick_a_pic.read(parquet(has_label=None, user_id=None, model_0=None))
    assert (pair.outcome, pair.rater, pair.model, pair.prompt) == ("a", "user 0", "unknown", None)


@pytest.mark.parametrize(("caption", "prompt"), [("a cat", "a cat"), ("x" * 501, "x" * 500), ("", None), (7, None)])
def test_a_caption_is_the_prompt_if_it_is_text(caption, prompt):
    assert [pair.prompt for pair in pick_a_pic.read(parquet(caption=caption))] == [prompt]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (lambda: io.BytesIO(b""), "no whole parquet file"),
        (lambda: io.BytesIO(b"PAR1 and no more"), "no whole parquet file"),
        (lambda: io.BytesIO(parquet().getvalue()[:-20]), "no whole parquet file"),
        (lambda: parquet(jpg_1=None, label_0=None), "has no column jpg_1, label_0"),
        (lambda: parquet(label_0=0.7), r"Row 1 of the parquet file has the labels \(0.7, 0.0\)"),
        (lambda: parquet(label_0="1"), "has the labels"),
        (lambda: parquet(label_0=float("nan")), "has the labels"),
        (lambda: parquet(label_0=[1.0]), "has the labels"),
        (lambda: parquet(jpg_0="picture.jpg"), "lacks a picture in jpg_0 or jpg_1"),
        (lambda: parquet(jpg_0=b"no picture"), "Row 1 of the parquet file: The upload is not a whole picture"),
        (lambda: parquet(jpg_0=jpeg(size=(7000, 6000))), "million pixels"),
        (lambda: parquet(rows=5001, jpg_0=b"", jpg_1=b""), "5001 rows, more than the 5000"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(file, words):
    with pytest.raises(RLRError, match=words) as refusal:
        list(pick_a_pic.read(file()))
    assert "\n" not in str(refusal.value)


def test_without_answers_there_is_nothing_to_write(store, session):
    add_pairs(store, session, 1)
    with pytest.raises(RLRError, match="There are 0 answers"):
        pick_a_pic.write(io.BytesIO(), store, session)
