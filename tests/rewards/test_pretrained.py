"""Files come from a folder, from this machine's copy of the hub, or from the hub; whatever fails is a sentence."""

import shutil

import pytest
from huggingface_hub import constants

from rlr_core.errors import RLRError
from rlr_core.pretrained import CLIP_FILES, WEIGHTS, fetch, missing
from tests.rewards.hub import COMMIT, serve
from tests.rewards.models import write_clip

TINY = "someone/tiny-clip"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """What is on the hub: a CLIP, and beside it a pickle that nobody needs."""
    folder = tmp_path_factory.mktemp("published")
    write_clip(folder)
    (folder / "pytorch_model.bin").write_bytes(b"never to be fetched")
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """This machine's own copy of the hub, empty at first."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def online(monkeypatch):
    """Go on line, to a hub at an address of this machine."""

    def go(address: str) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")

    return go


def test_a_model_is_downloaded_once_without_its_pickle_and_then_used_from_this_machine(published, cache, online, monkeypatch):
    with serve(TINY, published) as hub:
        online(hub.address)
        assert missing(TINY, CLIP_FILES) is None
        assert hub.requests == []  # asking whether it can run asks no network
        folder = fetch(TINY, CLIP_FILES)
        for file in CLIP_FILES:
            assert (folder / file).read_bytes() == (published / file).read_bytes()
        assert not (folder / "pytorch_model.bin").exists()
        asked = len(hub.requests)
        assert fetch(TINY, CLIP_FILES) == folder
        assert len(hub.requests) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert missing(TINY, CLIP_FILES) is None
    assert fetch(TINY, CLIP_FILES) == folder


def test_files_that_an_earlier_use_did_not_need_are_fetched_later(published, cache, online):
    with serve(TINY, published) as hub:
        online(hub.address)
        fetch(TINY, (WEIGHTS,))
        folder = fetch(TINY, CLIP_FILES)
        assert all((folder / file).is_file() for file in CLIP_FILES)
        assert sum(request.endswith(WEIGHTS) for request in hub.requests) <= 2  # HEAD and GET, not again


def test_a_copy_of_which_nothing_else_is_known_is_completed(published, cache, online):
    """As older programs leave it: a revision and some of its files, but no list of what belongs to it."""
    kept = cache / "models--someone--tiny-clip"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(COMMIT)
    (kept / "snapshots" / COMMIT).mkdir(parents=True)
    shutil.copy(published / WEIGHTS, kept / "snapshots" / COMMIT / WEIGHTS)
    assert "HF_HUB_OFFLINE forbids the download" in missing(TINY, CLIP_FILES)
    assert fetch(TINY, (WEIGHTS,)) == kept / "snapshots" / COMMIT
    with serve(TINY, published) as hub:
        online(hub.address)
        folder = fetch(TINY, CLIP_FILES)
    assert all((folder / file).is_file() for file in CLIP_FILES)


def test_an_id_that_the_hub_does_not_know_is_named(published, cache, online):
    with serve(TINY, published) as hub:
        online(hub.address)
        with pytest.raises(RLRError, match="There is no model someone/else on the Hugging Face hub"):
            fetch("someone/else", CLIP_FILES)


def test_a_model_on_the_hub_without_safetensors_is_refused(cache, online, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pytorch_model.bin").write_bytes(b"a pickle")
    with serve("someone/old", tmp_path / "old") as hub:
        online(hub.address)
        with pytest.raises(
            RLRError, match="There is no model.safetensors of someone/old on this machine, and the Hugging Face hub gave none"
        ):
            fetch("someone/old", (WEIGHTS,))


def test_a_hub_out_of_reach_is_a_sentence(cache, online):
    online("http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(RLRError, match=r"someone/tiny-clip is not complete on this machine and could not be downloaded \(.*connect to"):
        fetch(TINY, CLIP_FILES)


def test_offline_what_is_not_here_is_told_before_anything_is_loaded(cache):
    assert missing(TINY, CLIP_FILES) == (
        "someone/tiny-clip is not on this machine and HF_HUB_OFFLINE forbids the download; unset HF_HUB_OFFLINE once, or give a folder."
    )
    with pytest.raises(RLRError, match="HF_HUB_OFFLINE forbids the download"):
        fetch(TINY, CLIP_FILES)


@pytest.mark.parametrize("source", ["", "nowhere", "/no/such/folder", "a/b/c", "https://huggingface.co/a/b"])
def test_what_is_neither_a_folder_nor_an_id_is_told(source):
    assert "is neither a folder on this machine nor an id such as owner/name" in missing(source, CLIP_FILES)


def test_a_folder_names_all_that_it_lacks(tmp_path, published):
    assert missing(str(published), CLIP_FILES) is None
    assert fetch(str(published), CLIP_FILES) == published
    (tmp_path / "config.json").touch()
    reason = missing(str(tmp_path), CLIP_FILES)
    assert "lacks preprocessor_config.json, tokenizer.json, model.safetensors; put them there" in reason
