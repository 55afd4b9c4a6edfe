"""Forms made from settings."""

import gradio as gr
import pytest

from app import forms
from app.pages.learn import dealt, fill
from rlr_core.config import RoundConfig, SamplerConfig
from rlr_core.drift import DriftSettings
from rlr_core.errors import InvalidSettings, RLRError
from rlr_core.rewards.composite import CompositeSettings


def test_every_setting_has_a_control_with_its_default_help_and_range():
    with gr.Blocks():
        made = forms.controls(SamplerConfig)
    assert list(made) == ["num_inference_steps", "guidance_scale", "eta"]
    steps = made["num_inference_steps"]
    assert steps.value == 20 and steps.precision == 0
    assert steps.label == "Number of inference steps (T)"
    assert steps.info == "Denoising steps for a picture. From 2 to 1,000."


def test_a_unit_and_a_shortened_word_are_written_out():
    assert forms.title(forms.field_of(RoundConfig, "kl_budget")) == "KL budget (nats)"
    assert forms.title(forms.field_of(RoundConfig, "ema_decay")) == "EMA decay"


def test_what_the_controls_hold_makes_the_settings():
    values = {"reward": "taste", "num_updates": 3, "kl_budget": 7, "learning_rate": None, "estimator": ""}
    assert forms.read(RoundConfig, values) == RoundConfig(num_updates=3, kl_budget=7.0)


def test_every_problem_is_said_at_once():
    with pytest.raises(InvalidSettings) as problem:
        forms.read(RoundConfig, {"num_updates": 0, "batch_size": 2.5, "kl_budget": -1, "colour": "red"})
    assert "colour" in problem.value.problems
    with pytest.raises(InvalidSettings) as problem:
        forms.read(RoundConfig, {"num_updates": 0, "batch_size": 2.5, "kl_budget": -1})
    assert set(problem.value.problems) == {"num_updates", "batch_size", "kl_budget"}


def test_presets_fill_the_form_and_unknown_ones_are_refused(studio):
    presets = studio.presets()
    assert list(presets) == ["careful", "normal", "bold"]
    assert fill(presets, "bold", ["kl_budget", "reward"]) == [presets["bold"].kl_budget, "taste"]
    with pytest.raises(RLRError, match="careful, normal, bold"):
        fill(presets, "reckless", ["kl_budget"])


def test_only_what_differs_from_the_defaults_is_taken_over():
    assert forms.changed(DriftSettings, {"saturation": 0.5, "contrast": 1, "edges": None, "dark": ""}) == {"contrast": 1.0}


def test_numbers_by_name_are_written_one_a_line():
    with gr.Blocks():
        made = forms.controls(CompositeSettings)
    assert list(made) == ["weights", "units"]
    assert made["weights"].value == "text_match = 1\ncolourfulness = 0.3"
    assert made["weights"].info.endswith("avoided instead of sought. One a line: name = number.")
    assert forms.changed(CompositeSettings, {"weights": "text_match = 1\ncolourfulness = 0.3", "units": ""}) == {}
    typed = {"weights": " taste=1\n\n simplicity = -0.5 ", "units": "taste = 0.1"}
    assert forms.changed(CompositeSettings, typed) == {"weights": {"taste": 1.0, "simplicity": -0.5}, "units": {"taste": 0.1}}


@pytest.mark.parametrize("line", ["taste", "taste = much", "= ", "taste: 1"])
def test_a_line_without_a_number_is_told_of(line):
    with pytest.raises(InvalidSettings, match=f"weights: the line '{line.strip()}' has no number"):
        forms.changed(CompositeSettings, {"weights": f"text_match = 1\n{line}"})


def test_before_the_libraries_are_loaded_no_plug_in_is_known(studio):
    assert studio.estimators() == [] and studio.reward_settings("taste") is None and studio.estimator_settings("ppo") is None


def test_the_controls_values_are_dealt_to_whom_they_belong():
    values = ["jpeg_size", 3, {"quality": 60}, {"num_flips": 2}, 0.7]
    assert dealt(values, ["reward", "num_updates"], ["saturation"]) == (
        {"reward": "jpeg_size", "num_updates": 3},
        {"quality": 60},
        {"num_flips": 2},
        {"saturation": 0.7},
    )
