"""What goes into the store comes out again, after reopening too."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rlr_core.config import AdapterConfig, FeatureConfig, RoundConfig, SamplerConfig
from rlr_core.errors import RLRError
from rlr_core.session.records import MetricRecord, SampleRecord, UploadRecord
from rlr_core.session.store import Store
from tests.session.conftest import add_pairs


def test_everything_is_there_after_reopening(root, store):
    adapter, sampler = AdapterConfig(rank=4), SamplerConfig(num_inference_steps=9, guidance_scale=2.5, eta=0.5)
    features = FeatureConfig("clip", {"source": "owner/model"})
    session = store.create_session("sd15", ("a cat", 'a "dog"; it’s 🐶'), 3, adapter, sampler, features)
    pairs = add_pairs(store, session, 3)
    store.answer(pairs[1].id, "both_bad")
    made = store.create_round(session.current_round_id, RoundConfig(reward="brightness", estimator_settings={"chunk": 4}, seed=9))
    store.set_current_round(made.id)
    store.add_metrics(made.id, 1, {"reward": 0.25, "kl": 1.5})
    upload = UploadRecord(session.id, pairs[0].image_a, liked=True)
    store.add_upload(upload)
    sample = SampleRecord(session.id, made.id, "before", "a cat", 2**63 - 1, pairs[0].image_b)
    store.add_sample(sample)
    store.close()

    again = Store(root)
    reread = again.session(session.id)
    assert (reread.base_model, reread.prompts, reread.seed) == (session.base_model, session.prompts, 3)
    assert (reread.adapter, reread.sampler, reread.current_round_id) == (adapter, sampler, made.id)
    assert reread.features == features
    assert [pair.choice for pair in again.pairs(session.id)] == [None, "both_bad", None]
    assert again.pair(pairs[0].id) == pairs[0]
    assert again.round(made.id).config == made.config and again.round(made.id).parent_id == session.current_round_id
    assert again.metrics(made.id) == (MetricRecord(made.id, 1, "kl", 1.5), MetricRecord(made.id, 1, "reward", 0.25))
    assert again.uploads(session.id) == (upload,) and again.samples(session.id) == (sample,)
    assert again.image(sample.image_id).width == 4
    again.close()


def test_a_session_begins_at_the_base_model(store, session):
    (base,) = store.rounds(session.id)
    assert (base.id, base.number, base.parent_id, base.config, base.status) == (session.current_round_id, 0, None, None, "done")


def test_rounds_form_a_tree(store, session):
    base = session.current_round_id
    first = store.create_round(base, RoundConfig())
    second = store.create_round(first.id, RoundConfig())
    branch = store.create_round(base, RoundConfig())
    assert [each.number for each in store.rounds(session.id)] == [0, 1, 2, 3]
    assert [each.id for each in store.lineage(second.id)] == [base, first.id, second.id]
    assert [each.id for each in store.lineage(branch.id)] == [base, branch.id]


def test_undoing_a_round_goes_back_to_its_parent(store, session):
    made = store.create_round(session.current_round_id, RoundConfig())
    store.set_current_round(made.id)
    store.set_current_round(made.parent_id)
    assert store.session(session.id) == session
    assert store.round(made.id) in store.rounds(session.id)


def test_sessions_do_not_mix(store, session):
    other = store.create_session("emoji", ("a pear",))
    add_pairs(store, session, 2)
    (pair,) = add_pairs(store, other, 1)
    assert pair.number == 0 and [each.id for each in store.pairs(other.id)] == [pair.id]
    assert store.sessions() == (session, other)


def test_round_numbers_are_given_once_to_many_threads(store, session):
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: store.create_round(session.current_round_id, RoundConfig()), range(24)))
    assert sorted(each.number for each in made) == list(range(1, 25))


def test_open_pairs_are_those_of_the_round(store, session):
    add_pairs(store, session, 2)
    made = store.create_round(session.current_round_id, RoundConfig())
    store.set_current_round(made.id)
    new = add_pairs(store, store.session(session.id), 1)
    assert list(store.open_pairs(session.id, made.id)) == new


def test_a_repeated_update_replaces_its_figures(store, session):
    round_id = session.current_round_id
    for update, value in ((1, 0.5), (2, 0.75), (2, 0.8)):
        store.add_metrics(round_id, update, {"reward": value})
    assert store.series(round_id, "reward") == ((1, 0.5), (2, 0.8))
    assert store.series(round_id, "kl") == ()


def test_a_picture_belongs_to_the_prompt_it_was_first_made_for(store, session):
    """Whatever the order of the rows, and whatever is made later; an uploaded picture, and another session's, has none."""
    (pair,) = add_pairs(store, session, 1)
    shown, uploaded, other = (store.put_image(Image.new("RGB", (3, 3), colour)).id for colour in ("green", "pink", "black"))
    for prompt, made_at, image in (("z", 20.0, shown), ("y", 10.0, shown), ("x", 30.0, shown), ("b", 5.0, other), ("a", 5.0, other)):
        store.add_sample(SampleRecord(session.id, session.current_round_id, "preview", prompt, 0, image, created_at=made_at))
    store.add_sample(
        SampleRecord(session.id, session.current_round_id, "preview", "a dog", 0, pair.image_a, created_at=pair.created_at + 1)
    )
    store.add_upload(UploadRecord(session.id, uploaded, True))
    assert store.image_prompts(session.id) == {pair.image_a: "a cat", pair.image_b: "a cat", shown: "y", other: "a"}
    assert store.image_prompts(store.create_session("emoji", ("a pear",)).id) == {}


def test_the_last_word_on_an_upload_counts(store, session):
    first, second = (store.put_image(Image.new("RGB", (3, 3), colour)) for colour in ("red", "blue"))
    for image, liked in ((first, True), (second, True), (first, False)):
        store.add_upload(UploadRecord(session.id, image.id, liked))
    assert [(upload.image_id, upload.liked) for upload in store.uploads(session.id)] == [(second.id, True), (first.id, False)]


def test_every_word_and_every_word_taken_back_is_counted(store, session):
    (pair,) = add_pairs(store, session, 1)
    picture = store.put_image(Image.new("RGB", (3, 3)))
    upload = UploadRecord(session.id, picture.id, True)
    words = (
        lambda: store.answer(pair.id, "a"),
        lambda: store.answer(pair.id, "skip"),
        lambda: store.undo_last_answer(session.id),
        lambda: store.add_upload(upload),
        lambda: store.remove_upload(session.id, upload.id),
        lambda: store.rate(session.id, "stars", (pair.image_a,), 2),
        lambda: store.undo_last_rating(session.id),
    )
    assert store.num_changes(session.id) == 0
    for number, say in enumerate(words, start=1):
        say()
        assert store.num_changes(session.id) == number
    assert store.num_changes(store.create_session("emoji", ("a pear",)).id) == 0


def test_a_removed_upload_is_forgotten_until_it_is_given_again(store, session):
    picture = store.put_image(Image.new("RGB", (3, 3)))
    words = [UploadRecord(session.id, picture.id, liked) for liked in (True, False, True)]
    for upload in words[:2]:
        store.add_upload(upload)
    other = store.create_session("emoji", ("a pear",))
    store.remove_upload(other.id, words[1].id)
    assert store.uploads(session.id) == (words[1],)
    for _ in range(2):
        store.remove_upload(session.id, words[1].id)
        assert store.uploads(session.id) == ()
    store.add_upload(words[2])
    assert store.uploads(session.id) == (words[2],)


def test_unknown_names_are_refused_with_a_sentence(store):
    for look_up, what in ((store.session, "session"), (store.round, "round"), (store.pair, "pair"), (store.image, "picture")):
        with pytest.raises(RLRError, match=f"There is no {what} 'x'"):
            look_up("x")


def test_a_picture_is_named_by_its_bytes_and_kept_once(root, store):
    picture = Image.linear_gradient("L").resize((7, 5))
    record = store.put_image(picture)
    content = store.image_path(record.id).read_bytes()
    assert record.id == hashlib.sha256(content).hexdigest() and (record.width, record.height) == (7, 5)
    assert store.put_image(picture) == store.put_image(content) == record
    assert [path.name for path in (root / "images").iterdir()] == [f"{record.id}.png"]
    with Image.open(store.image_path(record.id)) as kept:
        assert kept.tobytes() == picture.convert("RGB").tobytes()


def test_what_lies_beside_the_pixels_is_not_kept(store):
    buffer, secrets = io.BytesIO(), PngInfo()
    secrets.add_text("Location", "52.5163, 13.3777")
    exif = Image.Exif()
    exif[0x010E] = "at home"
    Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=secrets, exif=exif, icc_profile=b"profile of a camera")
    with Image.open(buffer) as picture:
        record = store.put_image(picture)
    with Image.open(store.image_path(record.id)) as kept:
        kept.load()
        assert kept.info == {} and not kept.getexif()


def test_threads_may_keep_the_same_picture_at_once(root, store):
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda number: store.put_image(Image.new("RGB", (64, 64), (number % 4, 0, 0))), range(64)))
    assert len(made) == 4 == len(list((root / "images").iterdir()))


def test_a_damaged_picture_is_refused_and_nothing_is_kept(root, store):
    content = store.image_path(store.put_image(Image.effect_noise((32, 32), 50)).id).read_bytes()
    flipped = content[:60] + bytes([content[60] ^ 255]) + content[61:]
    for damaged in (b"", b"GIF89a", content[:-30], content[:100], flipped):
        with pytest.raises(RLRError, match="not a whole PNG"):
            store.put_image(damaged)
    assert len(list((root / "images").iterdir())) == 1


@pytest.mark.parametrize(
    "name", ["", "..", "../studio.db", "/etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "../" + "a" * 61, "a" * 64 + "/..", "é" * 64]
)
def test_no_name_leads_out_of_the_workspace(root, store, name):
    with pytest.raises(RLRError, match="names no picture"):
        store.image_path(name)
    with pytest.raises(RLRError, match="names no round"):
        store.round_folder(name)
    with pytest.raises(RLRError, match="names no pair"):
        store.trajectory_path(name)
    assert list((root / "rounds").iterdir()) == []


def test_folders_of_rounds_and_files_of_trajectories(root, store, session):
    (pair,) = add_pairs(store, session, 1)
    folder = store.round_folder(session.current_round_id)
    assert folder.is_dir() and folder == store.round_folder(session.current_round_id) == root / "rounds" / session.current_round_id
    assert store.trajectory_path(pair.id) == root / "trajectories" / f"{pair.id}.safetensors"
