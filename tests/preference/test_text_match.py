"""A taste for pictures that match their prompts, and what is made of pictures that have none."""

from pathlib import Path

import torch

from rlr_core.preference.evidence import Answer, Upload
from rlr_core.preference.features import MATCH_THEME, UNKNOWN_MATCH, column_themes
from rlr_core.preference.rater import informative, load_rater
from rlr_core.preference.taste import fit_taste
from rlr_core.rng import generator
from tests.preference.pictures import draw_pictures, to_pil

RATER = Path(__file__).parent / "raters" / "matches_prompt.py"
ASKED = ("red heart", "green tree", "blue car", "yellow star")
NUM_QUESTIONS, NUM_ANSWERS = 80, 30


def foretold(encoder, pictures, prompts, seen, outcomes, truth):
    """Share of the unanswered questions foretold by a taste that is told the prompts `seen`."""
    with torch.no_grad():
        a, b = (encoder(side, seen) for side in pictures)
    evidence = [Answer(row, NUM_ANSWERS + row, outcome) for row, outcome in enumerate(outcomes)]
    shown = torch.cat([a[:NUM_ANSWERS], b[:NUM_ANSWERS]])
    found, _ = fit_taste(shown, evidence, shown).difference(a[NUM_ANSWERS:], b[NUM_ANSWERS:])
    return float(((found > 0) == (truth > 0)).float().mean())


def test_who_likes_what_matches_its_prompt_is_understood_by_the_prompts_alone(encoder):
    """Noisy answers of a rater about random pictures, each two asked with one of four prompts; chance is 0.5."""
    pictures = draw_pictures(2 * NUM_QUESTIONS, seed=5).split(NUM_QUESTIONS)
    prompts = [ASKED[number % len(ASKED)] for number in range(NUM_QUESTIONS)]
    questions = [(to_pil(a), to_pil(b), prompt) for a, b, prompt in zip(*pictures, prompts, strict=True)]
    rater = informative(load_rater(RATER), questions)
    outcomes = [rater.answer(*question, generator(0, "rater", number)) for number, question in enumerate(questions[:NUM_ANSWERS])]
    truth = torch.tensor([rater.utility(a, prompt) - rater.utility(b, prompt) for a, b, prompt in questions[NUM_ANSWERS:]])
    own, others = (foretold(encoder, pictures, prompts, seen, outcomes, truth) for seen in (prompts, prompts[1:] + prompts[:1]))
    assert own > 0.85 > 0.65 > others


def test_a_picture_without_a_prompt_counts_as_matching_as_well_as_usual(encoder):
    """The base model's own pictures match their prompt far less than the unknown's number: uploads must not make a virtue of that."""
    with torch.no_grad():
        features = encoder(draw_pictures(30), ["a train at night"] * 24 + [None] * 6)
    match = column_themes(features.shape[1]).index(MATCH_THEME)
    usual = features.clone()
    usual[24:, match] = features[:24, match].mean()
    assert features[24:, match].eq(UNKNOWN_MATCH).all() and features[:24, match].max() < UNKNOWN_MATCH - 1
    uploads = [Upload(24 + number, liked=False) for number in range(6)]
    taste, expected = (fit_taste(seen, uploads, features[:24]) for seen in (features, usual))
    torch.testing.assert_close(taste.weights, expected.weights, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(taste.mean(features), taste.mean(usual))
    torch.testing.assert_close(taste.std(features), taste.std(usual))
