"""Opening, migrating, transactions, and what is said when a workspace cannot be used."""

import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from PIL import Image

from rlr_core.config import AdapterConfig, FeatureConfig, SamplerConfig, to_json
from rlr_core.errors import RLRError
from rlr_core.session.database import Database
from rlr_core.session.schema import MIGRATIONS
from rlr_core.session.store import Store
from tests.session.conftest import add_pairs

OPEN_AND_CREATE = """
import sys
from pathlib import Path
from rlr_core.session.store import Store

sys.stdin.readline()
print(Store(Path(sys.argv[1])).create_session("emoji", ("a cat",)).id)
"""


def version(root) -> int:
    with closing(sqlite3.connect(root / "studio.db")) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_an_empty_database_is_brought_up_to_date(root):
    root.mkdir()
    sqlite3.connect(root / "studio.db").close()
    assert version(root) == 0
    Store(root).close()
    assert version(root) == len(MIGRATIONS)


def test_every_older_version_is_brought_up_to_date(root, tmp_path):
    Store(root).close()
    for old in range(len(MIGRATIONS)):
        folder = tmp_path / f"version {old}"
        folder.mkdir()
        with closing(sqlite3.connect(folder / "studio.db")) as connection:
            for statements in MIGRATIONS[:old]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {old}")
        Store(folder).close()
        assert tables(folder) == tables(root)


def test_a_session_from_before_features_could_be_chosen_goes_by_the_embedded_ones(root):
    before = next(version for version, statements in enumerate(MIGRATIONS) if "ADD COLUMN features" in statements[0])
    root.mkdir()
    with closing(sqlite3.connect(root / "studio.db")) as connection:
        for statement in (each for statements in MIGRATIONS[:before] for each in statements):
            connection.execute(statement)
        settings = to_json(AdapterConfig()), to_json(SamplerConfig())
        connection.execute("INSERT INTO sessions VALUES (1, 's', 'emoji', ?, ?, '[\"a cat\"]', 0, 0.0, 'r')", settings)
        connection.execute("INSERT INTO rounds VALUES (1, 'r', 's', NULL, 0, NULL, 0.0)")
        connection.execute(f"PRAGMA user_version = {before}")
        connection.commit()
    store = Store(root)
    assert store.session("s").features == FeatureConfig("embedded_clip")
    assert store.session("s").prompts == ("a cat",)
    store.close()


def tables(root) -> list[tuple]:
    with closing(sqlite3.connect(root / "studio.db")) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_opening_again_keeps_everything(root, store, session):
    again = Store(root)
    assert again.sessions() == (session,)
    again.close()


def test_four_processes_may_make_one_workspace(root, python):
    processes = [python(OPEN_AND_CREATE, root) for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    made = {process.stdout.readline().strip() for process in processes}
    store = Store(root)
    assert {session.id for session in store.sessions()} == made and len(made) == 4
    store.close()


def test_a_commit_is_synced_to_the_disk(root):
    database = Database(root)
    with database.read() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    database.close()


def test_a_transaction_is_kept_as_a_whole_or_not_at_all(store, session):
    (pair,) = add_pairs(store, session, 1)
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.answer(pair.id, "a")
        store.add_metrics(session.current_round_id, 1, {"reward": 0.5})
        assert store.pair(pair.id).choice == "a"  # its own thread sees it
        with ThreadPoolExecutor(1) as other:
            assert other.submit(store.pair, pair.id).result().is_open  # others do not, and need not wait
        raise ZeroDivisionError
    assert store.pair(pair.id).is_open and store.metrics(session.current_round_id) == ()
    with store.transaction():
        store.answer(pair.id, "a")
        store.add_metrics(session.current_round_id, 1, {"reward": 0.5})
    assert store.pair(pair.id).choice == "a" and len(store.metrics(session.current_round_id)) == 1


def test_a_row_that_points_at_nothing_is_refused(store, session):
    with pytest.raises(sqlite3.IntegrityError):
        store.add_metrics("0" * 16, 1, {"reward": 0.5})
    assert store.sessions() == (session,)


def test_a_newer_schema_is_refused_and_left_alone(root):
    Store(root).close()
    with closing(sqlite3.connect(root / "studio.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(RLRError, match="newer studio .schema 99.*update the studio"):
        Store(root)
    assert version(root) == 99


@pytest.mark.parametrize("content", [b"this is a diary, not a database\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(root, content):
    root.mkdir()
    (root / "studio.db").write_bytes(content)
    with pytest.raises(RLRError, match=r"studio.db is not a studio's database, or it is damaged.*--workspace"):
        Store(root)
    assert (root / "studio.db").read_bytes() == content


def test_a_database_damaged_inside_is_refused(root, store, session):
    add_pairs(store, session, 40)
    store.close()
    content = (root / "studio.db").read_bytes()
    (root / "studio.db").write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    with pytest.raises(RLRError, match="damaged"):
        Store(root).pairs(session.id)


@pytest.mark.parametrize("below", ["", "workspace"])
def test_a_workspace_at_or_below_a_file_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(RLRError, match="cannot be a folder, because a file lies"):
        Store(tmp_path / "file" / below)


def test_a_database_that_may_not_grow_says_that_the_disk_is_full(root):
    database = Database(root)
    with database.read() as connection:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite then answers as on a full disk
    with pytest.raises(RLRError, match=r"disk of the workspace .* is full.*free some space"), database.write() as connection:
        for number in range(1000):
            connection.execute("INSERT INTO images (id, width, height) VALUES (?, 1, 1)", (f"{number:064}",))
    with database.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM images").fetchone()[0] == 0
    database.close()


def test_a_full_disk_loses_nothing_that_was_kept(small_disk):
    store = Store(small_disk)
    session = store.create_session("emoji", ("a cat",))
    pairs = add_pairs(store, session, 5)
    for pair in pairs:
        store.answer(pair.id, "a")
    noise = Image.effect_noise((300, 300), 80)
    kept = []
    with pytest.raises(RLRError, match=r"is full.*free some space|fails to read or write"):
        for angle in range(100):
            kept.append(store.put_image(noise.rotate(angle)))
    assert kept and all(store.image_path(image.id).stat().st_size > 0 for image in kept)
    assert not list((small_disk / "images").glob(".*"))
    with pytest.raises(RLRError, match="is full|fails to read or write"):
        for number in range(10_000):
            store.answer(pairs[0].id, "ab"[number % 2])
    store.image_path(kept.pop().id).unlink()
    store.answer(pairs[1].id, "b")
    assert [pair.choice for pair in store.pairs(session.id)[1:]] == ["b", "a", "a", "a"]
    store.close()


def test_a_full_disk_is_named_when_opening(small_disk):
    with pytest.raises(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    with pytest.raises(RLRError, match=r"is full.*free some space|fails to read or write"):
        Store(small_disk / "workspace")


@pytest.mark.parametrize("existing", [False, True])
def test_a_read_only_disk_is_named(small_disk, existing):
    workspace = small_disk / "workspace"
    if existing:
        Store(workspace).close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(RLRError, match="cannot be written to: allow writing there, or choose another"):
        Store(workspace)
