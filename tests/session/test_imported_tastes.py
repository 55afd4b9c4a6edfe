import hashlib

import pytest

from rlr_core.errors import RLRError

CONTENT = b"a taste"


@pytest.fixture
def taste(store, session):
    return store.add_taste(session.id, CONTENT, "emoji", 30)


def test_a_taste_is_kept_under_the_hash_of_its_content(root, store, session, taste):
    assert taste.file_id == hashlib.sha256(CONTENT).hexdigest()
    assert (root / "tastes" / f"{taste.file_id}.safetensors").read_bytes() == CONTENT
    assert store.imported_tastes(session.id) == (taste,)
    assert store.taste_content(taste) == CONTENT
    assert (taste.base_model, taste.num_said) == ("emoji", 30)


def test_the_same_taste_counts_once_in_a_session_and_once_in_each(store, session, taste):
    assert store.add_taste(session.id, CONTENT, "emoji", 30) == taste
    other = store.create_session("emoji", ("a cat",))
    assert store.add_taste(other.id, CONTENT, "emoji", 30).id != taste.id
    assert store.imported_tastes(session.id) == (taste,)


def test_a_removed_taste_is_gone_and_may_come_again(store, session, taste):
    other = store.create_session("emoji", ("a cat",))
    store.remove_taste(other.id, taste.id)
    assert store.imported_tastes(session.id) == (taste,), "another session cannot remove it"
    for _ in range(2):
        store.remove_taste(session.id, taste.id)
        assert store.imported_tastes(session.id) == ()
    again = store.add_taste(session.id, CONTENT, "emoji", 30)
    assert store.imported_tastes(session.id) == (again,) and again.id != taste.id


def test_a_lost_file_is_a_sentence(root, store, taste):
    (root / "tastes" / f"{taste.file_id}.safetensors").unlink()
    with pytest.raises(RLRError, match="is gone: put a copy of its file back, or remove it"):
        store.taste_content(taste)
