from pathlib import Path

import pytest
import torch
from PIL import Image

from rlr_core.errors import RLRError
from rlr_core.preference.features import statistics
from rlr_core.preference.rater import Rater, informative, load_rater
from rlr_core.rng import generator
from tests.preference.answers import fit_answers
from tests.preference.pictures import draw_pictures, to_pil

SHIPPED = sorted((Path(__file__).parents[2] / "assets" / "raters").glob("*.py"))
HIDDEN = sorted((Path(__file__).parent / "raters").glob("*.py"))
PICTURE = Image.new("RGB", (64, 64), "white")


def _write(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED + HIDDEN, ids=lambda path: path.stem)
def test_each_rater_gives_differences_of_a_few_logits(path):
    rater = load_rater(path)
    utilities = torch.tensor([rater.utility(to_pil(picture), "a cat") for picture in draw_pictures(60)])
    differences = (utilities[:30] - utilities[30:]).abs()
    assert 0.3 < differences.mean() < 8
    assert isinstance(rater.utility(PICTURE, ""), float)


@pytest.mark.parametrize("path", SHIPPED + HIDDEN, ids=lambda path: path.stem)
def test_forty_answers_of_each_rater_foretell_its_further_answers(path):
    rater = load_rater(path)
    pictures = draw_pictures(240)
    features = statistics(pictures)
    images = [to_pil(picture) for picture in pictures]
    draws = generator(0, "answers")
    outcomes = [rater.answer(images[row], images[row + 40], "", draws) for row in range(40)]
    taste = fit_answers(features[:40], features[40:80], outcomes, features[80:])
    true = torch.tensor([rater.utility(images[row], "") - rater.utility(images[row + 60], "") for row in range(80, 140)])
    learned = taste.difference(features[80:140], features[140:200])[0]
    decided = true != 0
    assert ((learned > 0) == (true > 0))[decided].float().mean() > 0.65


def test_answers_follow_bradley_terry():
    rater = Rater(Path("test.py"), lambda image, prompt: 1.0 if image.size == (2, 2) else 0.0)
    draws = generator(0, "answers")
    better, worse = Image.new("RGB", (2, 2)), Image.new("RGB", (1, 1))
    wins = sum(rater.answer(better, worse, "", draws) == "a" for _ in range(4000))
    assert wins / 4000 == pytest.approx(0.731, abs=0.03)


def test_answers_repeat_with_the_seed_and_huge_utilities_do_not_overflow():
    rater = Rater(Path("test.py"), lambda image, prompt: 1e6 * image.size[0])
    small, large = Image.new("RGB", (1, 1)), Image.new("RGB", (2, 2))
    assert [rater.answer(small, large, "", generator(seed)) for seed in range(5)] == ["b"] * 5
    fair = Rater(Path("test.py"), lambda image, prompt: 0.0)
    first, second = ([fair.answer(small, large, "", draws) for _ in range(20)] for draws in (generator(1), generator(1)))
    assert first == second


def test_temperature_divides_the_logits():
    rater = Rater(Path("test.py"), lambda image, prompt: 10.0 * image.size[0]).at(10.0)
    draws = generator(2, "answers")
    wins = sum(rater.answer(Image.new("RGB", (2, 2)), Image.new("RGB", (1, 1)), "", draws) == "a" for _ in range(4000))
    assert wins / 4000 == pytest.approx(0.731, abs=0.03)


@pytest.mark.parametrize(("unit", "temperature"), [(0.01, 0.005), (1.0, 0.5), (100.0, 1.0)])
def test_an_informative_rater_is_clear_by_two_logits_and_never_noisier_than_its_file(unit, temperature):
    rater = Rater(Path("test.py"), lambda image, prompt: unit * image.size[0])
    pair = (Image.new("RGB", (2, 2)), Image.new("RGB", (1, 1)), "")
    assert informative(rater, [pair]).temperature == pytest.approx(temperature)
    assert informative(rater, []).temperature == 1.0


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_so_many_answers_are_wrong(share):
    rater = Rater(Path("test.py"), lambda image, prompt: 1000.0 * image.size[0]).wrong(share).at(0.5)
    draws = generator(3, "answers")
    wrong = sum(rater.answer(Image.new("RGB", (2, 2)), Image.new("RGB", (1, 1)), "", draws) == "b" for _ in range(2000))
    assert wrong / 2000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_of_wrong_answers_is_a_share(share):
    with pytest.raises(RLRError, match="give a number from 0 to 1"):
        Rater(Path("test.py"), lambda image, prompt: 0.0).wrong(share)


def test_the_prompt_reaches_the_utility(tmp_path):
    rater = load_rater(_write(tmp_path, "def utility(image, prompt):\n    return len(prompt)\n"))
    assert rater.utility(PICTURE, "abc") == 3.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def utility(image, prompt:\n    return 1\n", r"mine.py, line 1: this is not valid Python"),
        ("x = 1\n\nraise KeyError('no')\n", r"mine.py, line 3: the file raised KeyError"),
        ("import not_a_module_at_all\n", r"mine.py, line 1: the file raised ModuleNotFoundError"),
        ("'\0'\n", r"mine.py"),
        ("utility = 3\n", r"defines no function called utility"),
        ("x = 1\n", r"defines no function called utility"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_where(tmp_path, text, sentence):
    with pytest.raises(RLRError, match=sentence):
        load_rater(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return 1 / 0", r"mine.py, line 2: utility raised ZeroDivisionError"),
        ("return sum(range(3), start='x')", r"mine.py, line 2: utility raised TypeError"),
        ("import json; return json.loads('{')", r"mine.py, line 2: utility raised JSONDecodeError"),
        ("return 'nice'", r"utility returned 'nice', which is no number"),
        ("return None", r"utility returned None, which is no number"),
        ("return True", r"utility returned True, which is no number"),
        ("return float('nan')", r"utility returned nan, which cannot be compared"),
        ("return float('-inf')", r"utility returned -inf, which cannot be compared"),
    ],
)
def test_a_utility_that_gives_no_number_says_so(tmp_path, body, sentence):
    rater = load_rater(_write(tmp_path, f"def utility(image, prompt):\n    {body}\n"))
    with pytest.raises(RLRError, match=sentence):
        rater.utility(PICTURE, "")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RLRError, match=r"gone.py is not there"):
        load_rater(tmp_path / "gone.py")


def test_two_raters_do_not_share_names(tmp_path):
    first, second = tmp_path / "one.py", tmp_path / "two.py"
    first.write_text("VALUE = 1.0\ndef utility(image, prompt):\n    return VALUE\n")
    second.write_text("VALUE = 2.0\ndef utility(image, prompt):\n    return VALUE\n")
    raters = load_rater(first), load_rater(second)
    assert [rater.utility(PICTURE, "") for rater in raters] == [1.0, 2.0]
