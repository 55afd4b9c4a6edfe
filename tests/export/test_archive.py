"""Archives that are not what they should be: refused with a sentence, and nothing of them is left. No model is needed."""

import hashlib
import io
import json
import sqlite3
import zipfile
from contextlib import closing

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from rlr_core.config import RoundConfig
from rlr_core.errors import RLRError
from rlr_core.export.archive import MANIFEST, VERSION, read_archive, write_archive
from rlr_core.session.events import RoundEnded, TasteFitted
from rlr_core.session.records import BlindPair, ComparisonRecord, SampleRecord, UploadRecord
from rlr_core.session.store import Store
from rlr_core.session.transfer import LEFT_OUT, TABLES
from tests.session.conftest import add_pairs


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "workspace")
    yield made
    made.close()


@pytest.fixture
def session(store):
    """A session with a row in every table that an archive carries."""
    session = store.create_session("emoji", ("a cat", "a dog"), seed=7)
    pairs = add_pairs(store, session, 5)
    for pair, choice in zip(pairs, ("a", "b", "tie", "skip"), strict=False):
        store.answer(pair.id, choice, f"press {pair.id}")
    store.undo_last_answer(session.id, "undo")
    store.rate(session.id, "stars", (pairs[0].image_a,), 4)
    store.rate(session.id, "order", (pairs[0].image_b, pairs[0].image_a), 2)
    store.undo_last_rating(session.id)
    liked = UploadRecord(session.id, store.put_image(Image.new("RGB", (6, 6), "gold")).id, liked=True)
    for upload in (liked, UploadRecord(session.id, store.put_image(Image.new("RGB", (6, 6), "teal")).id, liked=False)):
        store.add_upload(upload)
    store.remove_upload(session.id, liked.id)
    taste = store.add_taste(session.id, b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "sd15", 12)
    store.remove_taste(session.id, store.add_taste(session.id, b"\x03\x00\x00\x00\x00\x00\x00\x00{} ", "sd15", 3).id)
    store.report(session.id, TasteFitted(3, 1, 0.75, imported=(taste.id,)))
    rounds = [store.create_round(session.current_round_id, RoundConfig()) for _ in range(3)]
    for each in rounds:
        save_file({"adapter/x": torch.ones(2)}, store.round_folder(each.id) / "state.safetensors")
        store.add_metrics(each.id, 1, {"kl": 1.5, "reward_mean": 0.5})
    for each in rounds[:2]:
        store.report(session.id, RoundEnded(each.id, "done", "Done."))
    answers = [{"key": pairs[0].id, "prompt": "a cat", "step": 3, "preference": 1.0}]
    (store.round_folder(rounds[0].id) / "answers.json").write_text(json.dumps(answers))
    save_file({"states": torch.ones(2)}, store.trajectory_path(pairs[0].id))
    store.set_current_round(rounds[1].id)
    store.create_blend(rounds[0].id, rounds[1].id, 0.25, 0.1, b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    store.note_round(rounds[0].id, "“quoted” & <b>")
    store.delete_round(rounds[2].id)
    store.add_sample(SampleRecord(session.id, rounds[0].id, f"after {rounds[0].id}", "a cat", 7, pairs[0].image_a))
    store.report(session.id, TasteFitted(3, 1, 0.75))
    comparison = ComparisonRecord(session.id, session.current_round_id, rounds[0].id, 16, store.last_end(rounds[0].id))
    store.add_comparison(comparison)
    for number in range(2):
        blind = BlindPair(comparison.id, number, "a cat", 2**62 + number, pairs[0].image_a, pairs[0].image_b, is_later_left=True)
        store.add_blind_pair(blind)
        store.answer_blind(blind.id, "b", f"blind {number}")
    store.undo_last_blind_answer(comparison.id, "undo blind")
    return session


@pytest.fixture
def archive(store, session, tmp_path):
    path = tmp_path / "session.zip"
    write_archive(store, session.id, path)
    return path


@pytest.fixture
def elsewhere(tmp_path):
    made = Store(tmp_path / "elsewhere")
    yield made
    made.close()


def rewritten(path, change_rows=None, **files):
    """A copy of an archive with other rows, and with files added, replaced, or left out where None; "/" is written as "__"."""
    copy = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        entries = {name: old.read(name) for name in old.namelist()}
        if change_rows:
            manifest = json.loads(entries[MANIFEST])
            change_rows(manifest)
            entries[MANIFEST] = json.dumps(manifest).encode()
        for name, content in (entries | {name.replace("__", "/"): content for name, content in files.items()}).items():
            if content is not None:
                new.writestr(name, content)
    return copy


def without_numbers(rows):
    """The rows without what SQLite numbers anew."""
    numbered = ("answer_id", "rating_id", "blind_answer_id", "last_event")
    return {
        table: [
            {key: value for key, value in row.items() if key not in numbered and not (key == "id" and isinstance(value, int))}
            for row in each
        ]
        for table, each in rows.items()
    }


def refuse(elsewhere, path, match):
    """The archive is refused, and the workspace is as empty as before."""
    with pytest.raises(RLRError, match=match):
        read_archive(elsewhere, path)
    assert elsewhere.sessions() == ()
    assert list((elsewhere.root / "rounds").iterdir()) == [] and list((elsewhere.root / "trajectories").iterdir()) == []


def test_every_table_is_carried_or_left_out_on_purpose(store):
    with closing(sqlite3.connect(store.root / "studio.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {each for each in tables if not each.startswith("sqlite_")} == set(TABLES) | set(LEFT_OUT)


def test_every_row_comes_back_under_a_fresh_name(store, session, archive, elsewhere):
    opened = read_archive(elsewhere, archive)
    before, after = store.dump_session(session.id), elsewhere.dump_session(opened.id)
    assert all(before[table] for table in TABLES), [table for table in TABLES if not before[table]]
    assert {table: len(rows) for table, rows in after.items()} == {table: len(rows) for table, rows in before.items()}
    names = {old["id"]: new["id"] for table in TABLES for old, new in zip(before[table], after[table], strict=True) if "id" in old}
    text = json.dumps(without_numbers(before))
    for old, new in names.items():
        if isinstance(old, str):
            text = text.replace(old, new)
    assert json.loads(text) == without_numbers(after)
    changed = {old for old, new in names.items() if old != new and isinstance(old, str)}
    assert changed == {row["id"] for table in TABLES for row in before[table] if len(str(row.get("id", ""))) == 16}
    assert [each.status for each in elsewhere.rounds(opened.id)] == ["done", "done", "done", "done"]
    assert [each.note for each in elsewhere.rounds(opened.id)] == ["", "“quoted” & <b>", "", ""]
    assert elsewhere.rounds(opened.id)[3].blend_share == 0.25
    assert [each.choice for each in elsewhere.pairs(opened.id)] == ["a", "b", "tie", None, None]
    assert [each.value for each in elsewhere.ratings(opened.id)] == [4] and len(elsewhere.uploads(opened.id)) == 1
    first = elsewhere.rounds(opened.id)[1]
    (answer,) = json.loads((elsewhere.round_folder(first.id) / "answers.json").read_text())
    (taste,) = elsewhere.imported_tastes(opened.id)
    assert elsewhere.taste_content(taste) == store.taste_content(store.imported_tastes(session.id)[0])
    assert answer["key"] == elsewhere.pairs(opened.id)[0].id
    assert elsewhere.trajectory_path(answer["key"]).exists()


def test_it_opens_in_its_own_workspace_and_more_than_once(store, session, archive):
    first, second = read_archive(store, archive), read_archive(store, archive)
    assert len({session.id, first.id, second.id}) == len(store.sessions()) == 3
    assert len(store.pairs(session.id)) == len(store.pairs(second.id)) == 5


def test_a_round_that_ran_when_it_was_saved_is_interrupted(store, session, tmp_path, elsewhere):
    store.create_round(session.current_round_id, RoundConfig())
    write_archive(store, session.id, tmp_path / "running.zip")
    opened = read_archive(elsewhere, tmp_path / "running.zip")
    assert elsewhere.rounds(opened.id)[-1].status == "interrupted"


def test_an_archive_of_a_newer_studio_is_refused(archive, elsewhere):
    newer = rewritten(archive, lambda manifest: manifest.update(version=VERSION + 1))
    refuse(elsewhere, newer, rf"saved by a newer studio \(version {VERSION + 1}; this one reads up to {VERSION}\): update the studio")


def test_an_older_archive_is_read(archive, elsewhere):
    def older(manifest):
        manifest["version"] = 1
        for row in manifest["rows"]["answers"]:
            del row["rater"]
        del manifest["rows"]["blends"], manifest["rows"]["round_notes"]

    opened = read_archive(elsewhere, rewritten(archive, older))
    assert [each.choice for each in elsewhere.pairs(opened.id)] == ["a", "b", "tie", None, None]


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 100])
def test_what_is_no_zip_is_refused(elsewhere, tmp_path, content):
    (tmp_path / "wrong.zip").write_bytes(content)
    refuse(elsewhere, tmp_path / "wrong.zip", "This is no whole archive")
    refuse(elsewhere, tmp_path / "missing.zip", "There is no file")


def test_an_archive_cut_short_or_changed_is_refused(archive, elsewhere, tmp_path):
    content = archive.read_bytes()
    (tmp_path / "short.zip").write_bytes(content[: len(content) // 2])
    refuse(elsewhere, tmp_path / "short.zip", "This is no whole archive")
    place = content.index(b"IDAT") + 8
    (tmp_path / "flipped.zip").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    refuse(elsewhere, tmp_path / "flipped.zip", "This is no whole archive|is damaged")


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "/etc/passwd", "images/../../x.png", "rounds/..%2f/state.safetensors", "rounds/0/x.pkl", "C:\\x", "images__a.png"],
)
def test_a_name_that_no_session_has_is_refused(archive, elsewhere, tmp_path, name):
    refuse(elsewhere, rewritten(archive, None, **{name: b"x"}), "which no session has")
    assert not (tmp_path / "evil.png").exists()


def test_a_file_of_an_unknown_round_is_refused(archive, elsewhere):
    refuse(elsewhere, rewritten(archive, None, **{f"rounds__{'0' * 16}__state.safetensors": b"x"}), "of which its session knows nothing")


def test_a_file_that_comes_twice_is_refused(archive, elsewhere):
    with zipfile.ZipFile(archive, "a") as opened, pytest.warns(UserWarning, match="Duplicate"):
        opened.writestr(MANIFEST, "{}")
    refuse(elsewhere, archive, "one twice")


def test_a_bomb_is_not_unpacked(archive, elsewhere):
    copy = archive.with_name("bomb.zip")
    copy.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(copy, "a", zipfile.ZIP_DEFLATED) as opened:
        for number in range(8):
            opened.writestr(f"trajectories/{number:016x}.safetensors", bytes(20 << 20))
    refuse(elsewhere, copy, "would swell from")
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(f"images/{'0' * 64}.png", bytes(21 << 20))
    refuse(elsewhere, copy, "more than the 21 MB that are read")


def png(width, height):
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def named(content):
    return f"images__{hashlib.sha256(content).hexdigest()}.png"


@pytest.mark.parametrize("content", [png(9000, 9000), png(20000, 20000), b"no picture", b""], ids=["large", "bomb", "text", "empty"])
def test_a_picture_of_another_kind_or_size_is_refused(archive, elsewhere, content):
    refuse(elsewhere, rewritten(archive, None, **{named(content): content}), "is no PNG of a size")


def test_a_picture_that_is_not_what_its_hash_says_is_refused(archive, elsewhere):
    refuse(elsewhere, rewritten(archive, None, **{f"images__{'0' * 64}.png": png(4, 4)}), "not what its name says")


def test_a_missing_picture_is_told(store, session, archive, elsewhere):
    image = store.pairs(session.id)[0].image_a
    refuse(elsewhere, rewritten(archive, None, **{f"images__{image}.png": None}), "lacks 1 of its 4 pictures")


def test_tensors_that_are_none_are_refused(store, session, archive, elsewhere):
    name = f"rounds__{store.rounds(session.id)[1].id}__state.safetensors"
    refuse(elsewhere, rewritten(archive, None, **{name: b"\x80\x04cos\nsystem\n"}), "is damaged")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("answers", "session_id"),
        ("answers", "pair_id"),
        ("pairs", "session_id"),
        ("pairs", "repeats"),
        ("samples", "round_id"),
        ("uploads", "image_id"),
        ("metrics", "round_id"),
        ("deleted_rounds", "round_id"),
        ("blends", "other_id"),
        ("sessions", "current_round_id"),
    ],
)
def test_a_row_that_points_at_somebody_elses_is_refused(store, session, archive, elsewhere, tmp_path, table, column):
    """The attack: a row of a stranger's archive that claims to belong to a session, a question or a picture that is there already."""
    theirs = {
        "session_id": session.id,
        "pair_id": store.pairs(session.id)[0].id,
        "repeats": store.pairs(session.id)[0].id,
        "round_id": session.current_round_id,
        "other_id": session.current_round_id,
        "current_round_id": session.current_round_id,
        "image_id": store.put_image(Image.new("RGB", (9, 9), "purple")).id,
    }
    strange = tmp_path / "strange.zip"
    write_archive(elsewhere, read_archive(elsewhere, archive).id, strange)
    attack = rewritten(strange, lambda manifest: manifest["rows"][table][0].update({column: theirs[column]}))
    before = store.dump_session(session.id)
    with pytest.raises(RLRError, match=f"in its table '{table}'.*not there"):
        read_archive(store, attack)
    assert store.dump_session(session.id) == before and len(store.sessions()) == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda rows: rows.update(spies=[]), "tables are not those"),
        (lambda rows: rows.update(pairs=["x"]), "tables are not those"),
        (lambda rows: rows.update(sessions=[]), "exactly one session"),
        (lambda rows: rows["pairs"][0].update(sequence=1), "columns that this studio does not know"),
        (lambda rows: rows["pairs"][0].update({"x); DROP TABLE pairs; --": 1}), "columns that this studio does not know"),
        (lambda rows: rows["pairs"][0].update(step="three"), "step = 'three' cannot be right"),
        (lambda rows: rows["pairs"][0].update(step=2**70), "not there, or comes twice"),
        (lambda rows: rows["pairs"][0].update(prompt="\ud800"), "not there, or comes twice"),
        (lambda rows: rows["pairs"].append(rows["pairs"][0]), "not there, or comes twice"),
        (lambda rows: rows["undone_answers"][0].update(answer_id=999), "not there, or comes twice"),
        (lambda rows: rows["answers"][0].update(choice="c"), "are none that can be given"),
        (lambda rows: rows["ratings"][0].update(value=9), "are none that can be given"),
        (lambda rows: rows["sessions"][0].update(sampler="{}"), "makes no sense"),
        (lambda rows: rows["sessions"][0].update(prompts="[3]"), "are none that can be given"),
        (lambda rows: rows["rounds"][1].update(config='{"schema_version": 1, "batch_size": -4}'), "makes no sense"),
        (lambda rows: rows["events"][0].update(payload="[]"), "makes no sense"),
        (lambda rows: rows["events"][0].update(payload='{"x": 1}'), "makes no sense"),
    ],
)
def test_rows_that_make_no_session_are_refused(archive, elsewhere, change, match):
    refuse(elsewhere, rewritten(archive, lambda manifest: change(manifest["rows"])), match)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"{}", "of another program"),
        (b"[1]", "of another program"),
        (b'{"format": "RLR Studio session", "version": true}', "of another program"),
        (b"{" * 100_000, "cannot be read"),
        (b"\xff", "cannot be read"),
        (None, "has no manifest.json"),
    ],
)
def test_another_manifest_is_refused(archive, elsewhere, content, match):
    refuse(elsewhere, rewritten(archive, None, **{MANIFEST: content}), match)


def test_a_full_disk_leaves_no_session(archive, small_disk):
    store = Store(small_disk / "workspace")
    noise = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256)) * 8
    with pytest.raises(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(noise[:4096])
    with pytest.raises(RLRError, match="is full|fails to read or write"):
        read_archive(store, archive)
    assert store.sessions() == () and not list(small_disk.rglob("*.part"))
    assert [path for path in (small_disk / "workspace" / "rounds").iterdir()] == []
    store.close()
