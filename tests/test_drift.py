"""The gauges on pictures made by hand: each notices what it is for, no other rings, and noise alone rings none."""

import math
from dataclasses import fields, replace

import pytest
import torch

from rlr_core.config import problems
from rlr_core.drift import GAUGES, Drift, DriftSettings, accepted_changes, read
from rlr_core.gauges import PictureSet, blank_share, diversity, gauge_values, lora_norm, measure_drift
from rlr_core.rng import generator
from tests.preference.pictures import draw_pictures

COUNT = 8
SIZE = 64
DISC = torch.stack(torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")).square().sum(0) < 0.5


def picture_set(images, **known) -> PictureSet:
    return PictureSet(images, ("a cat", "a dog") * (len(images) // 2), **known)


def drift_of(start, now, settings=None, **arguments) -> Drift:
    return measure_drift(picture_set(start), picture_set(now), settings or DriftSettings(), **arguments)


def changes(drift: Drift) -> dict[str, float]:
    return {each.gauge: each.change for each in drift.readings}


def ringing(drift: Drift) -> set[str]:
    return {each.gauge for each in drift.alarms}


def luma_of(images):
    return (images * torch.tensor((0.2126, 0.7152, 0.0722)).view(3, 1, 1)).sum(1, keepdim=True)


def saturated(images, factor):
    """The same brightness, the colours `factor` times as far from grey."""
    return luma_of(images) + factor * (images - luma_of(images))


def discs(paper, ink):
    """Grey discs, a little different from picture to picture."""
    levels = torch.linspace(-0.01, 0.01, COUNT).view(COUNT, 1, 1, 1)
    return torch.where(DISC, torch.tensor(ink), torch.tensor(paper)).expand(COUNT, 3, SIZE, SIZE) + levels


def quadrants(*colours):
    picture = torch.ones(3, SIZE, SIZE)
    for (row, column), colour in zip(((0, 1), (1, 0), (1, 1)), colours, strict=True):
        picture[:, row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] = torch.tensor(colour).view(3, 1, 1)
    return picture.repeat(COUNT, 1, 1, 1)


RED, GREEN, BLUE = (0.85, 0.35, 0.35), (0.35, 0.85, 0.35), (0.35, 0.35, 0.85)
WAVES = 0.04 * torch.sin(torch.arange(SIZE) * 2 * math.pi / 8)
GRID = 0.05 * ((torch.arange(SIZE)[:, None] + torch.arange(SIZE)) % 2 * 2 - 1)
PALE = saturated(draw_pictures(COUNT), 0.4)
CASES = {
    "saturation": (PALE, saturated(PALE, 1.8), 0.8),
    "saturation, fewer": (PALE, saturated(PALE, 0.2), -0.8),
    "contrast": (discs(0.6, 0.4), discs(0.85, 0.35), 3 / 2),
    "contrast, fewer": (discs(0.95, 0.4), discs(0.8, 0.6), -7 / 11),
    "edges": (discs(0.9, 0.4), discs(0.9, 0.4) + GRID, None),
    "colours, fewer": (quadrants(RED, GREEN, BLUE), quadrants(RED, RED, RED), None),
    "dark": (discs(0.9, 0.5), discs(0.65, 0.25), None),
    "blank": (discs(0.9, 0.5) + WAVES, discs(0.9, 0.5), None),
}


@pytest.mark.parametrize("case", CASES)
def test_each_gauge_rings_for_what_it_is_for_and_no_other_does(case):
    start, now, change = CASES[case]
    gauge = case.split(",")[0]
    drift = drift_of(start, now)
    assert ringing(drift) == {gauge}
    found = changes(drift)[gauge]
    assert (found < 0) == ("fewer" in case)
    if change is not None:
        assert found == pytest.approx(change, rel=0.02)


def test_stronger_colours_move_neither_contrast_nor_edges_nor_darkness():
    found = changes(drift_of(PALE, saturated(PALE, 2.0)))
    assert found["saturation"] == pytest.approx(1.0, abs=1e-3)
    assert max(abs(found[name]) for name in ("contrast", "edges", "dark")) < 1e-3


def test_equal_pictures_have_not_drifted():
    drift = drift_of(PALE, PALE)
    assert not drift.is_alarming and drift.sentence == ""
    assert all(each.change == each.error == 0 for each in drift.readings)


def test_a_plain_square_rings_as_blank_without_contrast_and_edges():
    pictures = draw_pictures(COUNT)
    plain = pictures.mean((2, 3), keepdim=True).expand_as(pictures)
    assert {"blank", "contrast", "edges"} <= ringing(drift_of(pictures, plain))
    assert blank_share(plain).min() == 1
    assert blank_share(discs(0.9, 0.5))[0] == 1 - 16 / 64  # all squares but those on the circle


def test_a_large_change_of_one_picture_does_not_ring_and_the_same_change_of_all_does():
    weak = saturated(quadrants(RED, GREEN, BLUE), 0.2)
    one = torch.cat([saturated(weak[:1], 5.0), weak[1:]])
    uneven, even = drift_of(weak, one), drift_of(weak, saturated(weak, 1.5))
    assert changes(uneven)["saturation"] == pytest.approx(changes(even)["saturation"], rel=1e-3)
    tight = DriftSettings(saturation=0.4, colours=0.0)
    assert ringing(drift_of(weak, one, tight)) == set()
    assert ringing(drift_of(weak, saturated(weak, 1.5), tight)) == {"saturation"}
    assert ringing(drift_of(weak, one, replace(tight, margin=0.0))) == {"saturation"}


def test_pictures_that_only_vary_do_not_ring():
    """Two sets of drawings of the same kind differ from picture to picture by far more than a gauge's limit, but not on average."""
    for seed in range(20):
        assert not drift_of(draw_pictures(COUNT, seed=2 * seed + 100), draw_pictures(COUNT, seed=2 * seed + 101)).is_alarming, seed


def test_the_error_is_that_of_a_ratio_of_paired_means():
    start, now = draw_pictures(COUNT), draw_pictures(COUNT, seed=1)
    before, after = (gauge_values(picture_set(each))["saturation"].double() for each in (start, now))
    (reading,) = (each for each in drift_of(start, now).readings if each.gauge == "saturation")
    ratio = after.mean() / before.mean()
    assert reading.change == pytest.approx(float(ratio - 1))
    assert reading.error == pytest.approx(float((after - ratio * before).std()) / COUNT**0.5 / float(before.mean()))


def test_a_single_picture_never_rings():
    drift = measure_drift(
        PictureSet(draw_pictures(1), ("a cat",)), PictureSet(torch.zeros(1, 3, SIZE, SIZE), ("a cat",)), DriftSettings(margin=2.0)
    )
    assert not drift.is_alarming
    assert all(each.error == float("inf") for each in drift.readings)


def test_limits_can_be_changed_and_switched_off():
    strong = saturated(PALE, 1.8)
    assert ringing(drift_of(PALE, strong, DriftSettings(saturation=0.9))) == set()
    assert ringing(drift_of(PALE, strong, DriftSettings(saturation=0.0))) == set()
    assert ringing(drift_of(PALE, strong, factor=2.0)) == set()
    assert ringing(drift_of(PALE, saturated(PALE, 1.4), factor=0.5)) >= {"saturation"}


def test_after_a_person_has_gone_on_limits_count_from_there():
    accepted = accepted_changes([{"saturation": 0.3}, {"saturation": -0.7, "dark": 0.3}])
    assert accepted == {"saturation": 0.7, "dark": 0.3}
    assert ringing(drift_of(PALE, saturated(PALE, 1.8), accepted=accepted)) == set()
    assert ringing(drift_of(PALE, saturated(PALE, 2.4), accepted=accepted)) == {"saturation"}


def test_diversity_is_the_mean_distance_within_each_prompt():
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])
    prompts = ("a", "b", "a", "b", "a")
    torch.testing.assert_close(diversity(features, prompts), torch.tensor([(1 + 0 + 1) / 3, 1 - 0.6]))
    assert diversity(features[:2], ("a", "b")).shape == (0,)


def unit(vectors):
    return vectors / vectors.norm(dim=1, keepdim=True)


def test_pictures_of_a_prompt_that_become_alike_ring_even_if_those_of_others_stay_apart():
    spread = unit(torch.randn((COUNT, 16), generator=generator(0, "features")))
    alike = spread[:2].repeat(COUNT // 2, 1)
    start, now = (picture_set(PALE, features=each) for each in (spread, unit(0.9 * alike + 0.1 * spread)))
    drift = measure_drift(start, now, DriftSettings())
    assert ringing(drift) == {"diversity"}
    assert not measure_drift(now, start, DriftSettings()).is_alarming, "more diversity is no cheating"
    assert "diversity" not in changes(measure_drift(start, picture_set(PALE), DriftSettings()))


def test_a_lost_match_with_the_prompts_rings_and_a_better_one_does_not():
    good, lost = (picture_set(PALE, text_margins=torch.linspace(low, low + 0.05, COUNT)) for low in (0.4, 0.1))
    assert ringing(measure_drift(good, lost, DriftSettings())) == {"text_match"}
    assert not measure_drift(lost, good, DriftSettings()).is_alarming


def test_the_adapter_norm_is_that_of_its_products_and_rings_only_if_asked_to():
    drawing = generator(1, "adapter")
    a, b = torch.randn((2, 5), generator=drawing), torch.randn((4, 2), generator=drawing)
    adapter = {"x.lora_A.weight": a, "x.lora_B.weight": b, "y.lora_A.weight": a, "y.lora_B.weight": 0 * b}
    norm = lora_norm(adapter)
    assert norm == pytest.approx(float((b @ a).norm()), rel=1e-6)
    assert lora_norm({}) == lora_norm({"x.lora_A.weight": a, "x.lora_B.weight": 0 * b}) == 0
    start, now = picture_set(PALE, adapter={}), picture_set(PALE, adapter=adapter)
    drift = measure_drift(start, now, DriftSettings())
    assert not drift.is_alarming
    assert changes(drift)["lora_norm"] == pytest.approx(norm)
    rung = measure_drift(start, now, DriftSettings(lora_norm=norm / 2))
    assert rung.sentence == f"The adapter has grown to a norm of {norm:.3g}: the model may be cheating its reward."


def test_the_sentence_names_everything_that_rings():
    sure = (0.48, 0.01)
    drift = Drift((read("saturation", 0.2, 0.296, sure, 0.4, 2.0), read("text_match", 0.5, 0.25, (-0.5, 0.01), 0.4, 2.0)))
    assert drift.sentence == (
        "Colours are 48% stronger than at the start, and pictures match their prompts 50% less than at the start: "
        "the model may be cheating its reward."
    )
    assert not Drift((read("saturation", 0.2, 0.296, (0.48, 0.05), 0.4, 2.0),)).is_alarming, "0.48 - 2 * 0.05 is within the limit"


def test_a_drift_survives_being_kept_as_figures():
    drift = measure_drift(picture_set(PALE, adapter={}), picture_set(saturated(PALE, 1.8), adapter={}), DriftSettings())
    assert Drift.from_metrics(drift.metrics() | {"kl": 1.0}) == drift
    assert Drift.from_metrics({"kl": 1.0}) == Drift(())


def test_every_gauge_has_its_limit_and_words():
    settings = {each.name for each in fields(DriftSettings)}
    assert settings == {*GAUGES, "margin"}
    assert problems(DriftSettings()) == {}
    assert all(gauge.rising or gauge.falling for gauge in GAUGES.values())


def test_large_pictures_are_measured_at_their_own_size():
    """A grid of single pixels is gone from a picture shrunk to 64 pixels."""
    pictures = torch.nn.functional.interpolate(discs(0.9, 0.4), scale_factor=3)
    rows = torch.arange(3 * SIZE)
    grid = 0.05 * ((rows[:, None] + rows) % 2 * 2 - 1)
    assert "edges" in ringing(drift_of(pictures, pictures + grid))
