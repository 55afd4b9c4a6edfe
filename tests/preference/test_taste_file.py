"""A taste file gives back exactly what went in, and refuses everything else with one sentence."""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from rlr_core.errors import RLRError
from rlr_core.preference import taste_file
from rlr_core.preference.evidence import Answer, Ranking, Stars, Thumb, Upload
from rlr_core.preference.material import Material
from rlr_core.preference.taste_file import ABOUT, TasteFile
from rlr_core.rng import generator

EVIDENCE = (
    *(Answer(row, row + 1, "ab"[row % 2], left="a") for row in range(8)),
    Answer(2, 3, "tie"),
    Answer(4, 5, "both_bad", left="b", rater="bea"),
    Thumb(6, True),
    Thumb(7, False, rater="bea"),
    Stars(1, 4),
    Ranking((3, 9, 5, 0), 2),
    Upload(8, False),
)


@pytest.fixture(scope="module")
def file():
    features = torch.randn(26, 90, generator=generator(0, "features"))
    material = Material(features[:10], EVIDENCE, features[10:], "statistics")
    return TasteFile("emoji", ("a cat", "a dog"), material, material.fit())


@pytest.fixture(scope="module")
def content(file):
    return file.to_bytes()


def taken_apart(content):
    tensors, header = load(content), json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return tensors, json.loads(header["__metadata__"][ABOUT])


def changed(content, tensors=None, taste=None, about=None, drop="", metadata=None):
    """The file with some entries replaced or one left out."""
    old_tensors, old = taken_apart(content)
    new = {**old, "taste": {**old["taste"], **(taste or {})}, **(about or {})}
    kept = {name: tensor.contiguous() for name, tensor in {**old_tensors, **(tensors or {})}.items() if name != drop}
    text = json.dumps({name: entry for name, entry in new.items() if name != drop})
    return save(kept, metadata or {ABOUT: text, "note": "secret"})


def test_what_went_in_comes_out_bit_for_bit(file, content):
    read = TasteFile.read(content)
    assert read.material.evidence == EVIDENCE
    assert (read.encoder, read.base_model, read.prompts) == ("statistics", "emoji", ("a cat", "a dog"))
    assert torch.equal(read.material.features, file.material.features)
    assert torch.equal(read.material.reference, file.material.reference)
    assert read.to_bytes() == content


def test_a_refit_from_the_file_is_the_posterior_that_was_exported(file, content):
    read = TasteFile.read(content)
    for taste in (read.taste, read.material.fit()):
        assert all(torch.equal(tensor, file.taste.parts()[0][name]) for name, tensor in taste.parts()[0].items())
        assert taste.parts()[1] == file.taste.parts()[1]


def test_no_picture_and_nothing_unknown_is_kept(file, content):
    more = changed(content, {"picture": torch.ones(3, 4, 4)}, about={"colour": "red"})
    assert TasteFile.read(more).to_bytes() == content


def piece(**fields):
    return {"evidence": [{"kind": "answer", "a": 0, "b": 1, "outcome": "a", "left": "a", "rater": "me", **fields}]}


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: b"", "no whole taste file"),
        (lambda c: c[:100], "no whole taste file"),
        (lambda c: c[:-1], "no whole taste file"),
        (lambda c: c + b"\0", "no whole taste file"),
        (lambda c: b"\xff" * 8 + c[8:], "no whole taste file"),
        (lambda c: b"\x80\x04\x95" + c, "no whole taste file"),
        (lambda c: b"PK\x03\x04" + bytes(200), "no whole taste file"),
        (lambda c: save({"features": torch.ones(2, 2)}), "no whole taste file"),
        (lambda c: changed(c, about={"prompts": 20_000 * ["x" * 480]}), "no whole taste file"),
        (lambda c: changed(c, about={"version": 2}), "version 2, which a newer studio wrote"),
        (lambda c: changed(c, about={"version": 10**400}), "newer studio"),
        (lambda c: changed(c, about={"version": 0}), "no whole taste file"),
        (lambda c: changed(c, about={"version": "1"}), "no whole taste file"),
        (lambda c: changed(c, metadata={ABOUT: "[" * 100_000}), "no whole taste file"),
        (lambda c: changed(c, metadata={ABOUT: '{"version": ' + "9" * 5000 + "}"}), "no whole taste file"),
        (lambda c: changed(c, metadata={ABOUT: "3"}), "no whole taste file"),
        (lambda c: changed(c, about={"taste": 3}), "damaged"),
        (lambda c: changed(c, about={"evidence": [3]}), "damaged"),
        (lambda c: changed(c, drop="evidence"), "damaged"),
        (lambda c: changed(c, drop="features"), "damaged"),
        (lambda c: changed(c, drop="taste.covariance"), "damaged"),
        (lambda c: changed(c, {"features": torch.full((10, 90), NAN)}), "features has numbers that are not finite"),
        (lambda c: changed(c, {"taste.weights": torch.full((90,), torch.inf)}), "taste.weights has numbers that are not finite"),
        (lambda c: changed(c, {"features": torch.ones(10, 91)}), "has the shape"),
        (lambda c: changed(c, {"features": torch.ones(10)}), "has the shape"),
        (lambda c: changed(c, {"features": torch.ones(())}), "damaged"),
        (lambda c: changed(c, {"features": torch.ones(10, 0)}), "has the shape"),
        (lambda c: changed(c, {"features": torch.ones(10, 90, dtype=torch.float64)}), "the type torch.float64"),
        (lambda c: changed(c, {"features": torch.ones(10, 90, dtype=torch.bool)}), "the type torch.bool"),
        (lambda c: changed(c, {"reference": torch.ones(3, 9, 10)}), "has the shape"),
        (lambda c: changed(c, {"reference": torch.ones(1, 90)}), "no spread"),
        (lambda c: changed(c, {"taste.scale": torch.zeros(90)}), "no spread"),
        (lambda c: changed(c, taste={"spread": "nan"}), "damaged"),
        (lambda c: changed(c, taste={"agreement_held_out": "2"}), "out of its range"),
        (lambda c: changed(c, taste={"num_answers": "99"}), "it says to be of 99"),
        (lambda c: changed(c, taste={"raters": '[{"name": 3}]'}), "damaged"),
        (lambda c: changed(c, about={"evidence": []}), "0 answers, ratings and uploads"),
        (lambda c: changed(c, about=piece(kind="vote")), "KeyError"),
        (lambda c: changed(c, about=piece(outcome="c")), "outcome of a piece of evidence is 'c'"),
        (lambda c: changed(c, about=piece(a=True)), "a of a piece of evidence is 'True'"),
        (lambda c: changed(c, about=piece(a=0.5)), "damaged"),
        (lambda c: changed(c, about=piece(a=NAN)), "no whole taste file"),
        (lambda c: changed(c, about=piece(left="c")), "damaged"),
        (lambda c: changed(c, about=piece(rater="x" * 501)), "damaged"),
        (lambda c: changed(c, about=piece(colour="red")), "damaged"),
        (lambda c: changed(c, about={"prompts": [3]}), "no text"),
        (lambda c: changed(c, about={"encoder": None}), "no text"),
    ],
)
def test_hostile_files_are_refused_with_one_sentence(content, change, words):
    with pytest.raises(RLRError, match=re.escape(words)) as refusal:
        TasteFile.read(change(content))
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 1000


@pytest.mark.parametrize("row", [-1, 10, 10**30])
def test_a_row_out_of_range_is_refused(content, row):
    one = {**piece(a=row)["evidence"][0]}
    about = taken_apart(content)[1]["evidence"]
    with pytest.raises(RLRError, match="where there are 10"):
        TasteFile.read(changed(content, about={"evidence": [*about[:-1], one]}))


def test_files_that_would_take_too_long_or_too_much_are_refused(file, content, monkeypatch):
    material = file.material
    crowd = replace(material, evidence=tuple(Thumb(0, True, str(number)) for number in range(201)))
    with pytest.raises(RLRError, match="201 people, more than the 200"):
        replace(file, material=crowd).to_bytes()
    orders = replace(material, evidence=(Ranking(tuple(range(400)), 1),))
    with pytest.raises(RLRError, match="more than can be learned from"):
        replace(file, material=orders).to_bytes()
    monkeypatch.setattr(taste_file, "MAX_BYTES", len(content) - 1)
    for act in (file.to_bytes, lambda: TasteFile.read(content)):
        with pytest.raises(RLRError, match="MB of a taste file"):
            act()


def test_flipped_bits_give_a_sentence_or_a_whole_taste(content):
    draws = generator(0, "damage")
    for _ in range(200):
        damaged = bytearray(content)
        damaged[int(torch.randint(min(len(content), 6000), (), generator=draws))] ^= 1 << int(torch.randint(8, (), generator=draws))
        try:
            TasteFile.read(bytes(damaged)).to_bytes()
        except RLRError:
            continue


def test_features_of_another_encoder_are_refused(file, encoder):
    with pytest.raises(RLRError, match="features called 'statistics', which cannot be compared with 'statistics 2, embedded_clip"):
        file.check_encoder(encoder)
    with pytest.raises(RLRError, match="90 features a picture in place of"):
        replace(file, material=replace(file.material, features_name=encoder.name)).check_encoder(encoder)
    assert encoder(torch.rand(1, 3, 8, 8), [None]).shape == (1, encoder.num_columns)
