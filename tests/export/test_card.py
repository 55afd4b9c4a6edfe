"""What a model card says, and that nothing a person typed becomes more than text in it."""

import re
from dataclasses import replace

import pytest
import yaml

from rlr_core.config import RoundConfig
from rlr_core.export.card import CardFacts, CardRound, base_model_names, model_card
from rlr_core.verdict import Verdict

HOSTILE = "`x`\n---\nlicense: mit\n<script>alert(1)</script> | [a](javascript:b) ![c](d)"
FACTS = CardFacts(
    base=base_model_names("sd15"),
    number=2,
    rank=8,
    sampler="20 DDIM steps, guidance 4, eta 1",
    prompts=("a cat", "a dog"),
    rounds=(
        CardRound(1, RoundConfig(), 12, 0.25, 0.5, 34.0),
        CardRound(2, None, 0, None, None, None, "50% of round 1 and 50% of round 0"),
    ),
    evidence="Learned from what a person said: 30 answers, 1 liked picture.",
    agreement_held_out=0.8,
    compared_with=0,
    verdict=Verdict(14, 2, 0),
    differences={"diffusers": 2e-6, "kohya": 3e-6},
)


def front_matter(card):
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card, re.S)[1])


def test_the_front_matter_is_what_the_hub_reads():
    assert front_matter(model_card(FACTS)) == {
        "license": "creativeml-openrail-m",
        "base_model": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "base_model_relation": "adapter",
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "diffusers", "lora", "stable-diffusion", "human-feedback", "reinforcement-learning"],
    }


def test_it_says_how_it_was_taught_and_how_well_that_worked():
    card = model_card(FACTS)
    for words in (
        "30 answers, 1 liked picture",
        "| 1 | taste | automatic | 12 | 0.001 | 0.25 → 0.5 | 34 |",
        "| 2 | 50% of round 1 and 50% of round 0 |",
        "In 16 blind questions against the base model",
        "win rate was 88% (95 % Wilson interval 64% to 97%; 14 wins, 2 losses, 0 ties): better",
        "foretold 80%",
        "diffusers: 2e-06; kohya: 3e-06",
        "rank 8, alpha 8",
        'weight_name="pytorch_lora_weights.safetensors"',
        "CreativeML OpenRAIL-M",
    ):
        assert words in card, words


def test_without_a_comparison_no_win_rate_is_claimed():
    card = model_card(replace(FACTS, verdict=None, agreement_held_out=None))
    assert "not compared blind" in card and "win rate" not in card and "foretold" not in card


@pytest.mark.parametrize("source", ["/home/somebody/secret/my model", "C:/models/mine.safetensors"])
def test_a_model_on_this_machine_is_called_by_its_name_alone(source):
    card = model_card(replace(FACTS, base=base_model_names(source)))
    assert "secret" not in card and "C:/" not in card
    assert front_matter(card)["license"] == "other" and "base_model" not in front_matter(card)


def test_a_model_of_the_hub_is_named_by_its_id_and_its_licence_is_not_guessed():
    matter = front_matter(model_card(replace(FACTS, base=base_model_names("someone/a-model"))))
    assert (matter["base_model"], matter["license"], matter["license_name"]) == ("someone/a-model", "other", "as-the-base-model")


def test_nothing_a_person_typed_becomes_markup():
    card = model_card(replace(FACTS, prompts=(HOSTILE,), base=base_model_names(f"/x/{HOSTILE}"), evidence=HOSTILE))
    assert front_matter(card)["license"] == "other"
    outside_code = re.sub(r"`[^`\n]*`", "", card.replace("```", ""))
    assert not re.search(r"(?<!\\)<script", outside_code)
    assert not re.search(r"(?<!\\)\]\(javascript", outside_code)
    assert card.count("\n---\n") == 1


def test_many_prompts_are_named_in_part():
    assert "and 8 more." in model_card(replace(FACTS, prompts=[f"prompt {number}" for number in range(20)]))
