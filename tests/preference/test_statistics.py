import pytest
import torch

from rlr_core.preference.features import column_themes, statistics
from rlr_core.preference.statistics import THEMES, look
from tests.preference.pictures import draw_pictures


def _square(half_width: int, colour: tuple[float, float, float] = (0.8, 0.2, 0.1), shift: int = 0) -> torch.Tensor:
    picture = torch.ones(1, 3, 64, 64)
    rows = slice(32 - half_width, 32 + half_width)
    columns = slice(32 - half_width + shift, 32 + half_width + shift)
    picture[:, :, rows, columns] = torch.tensor(colour).view(1, 3, 1, 1)
    return picture


def _theme(name: str, picture: torch.Tensor) -> torch.Tensor:
    return THEMES[name](look(picture))[0]


def test_ink_of_a_square_is_its_area():
    assert float(_theme("subject size", _square(16))[0]) == pytest.approx(0.25, abs=0.02)
    assert float(_theme("subject size", torch.ones(1, 3, 64, 64))[0]) < 0.02


def test_a_larger_square_is_larger_in_every_measure():
    assert (_theme("subject size", _square(20)) > _theme("subject size", _square(10))).all()


def test_position_follows_the_subject():
    x, y = _theme("position", _square(8, shift=16)).tolist()
    assert x == pytest.approx(0.5, abs=0.05)
    assert y == pytest.approx(0.0, abs=0.05)


def test_a_centred_square_is_its_own_mirror_image_and_a_shifted_one_is_not():
    assert _theme("symmetry", _square(8)).abs().max() < 1e-6
    shifted = _theme("symmetry", _square(8, shift=16))
    assert (shifted[:2] < -0.1).all()  # left-right
    assert shifted[2:].abs().max() < 1e-6  # up-down


def test_warmth_has_the_sign_of_red_minus_blue():
    assert (_theme("warmth", _square(16, (0.9, 0.5, 0.1))) > 0.1).all()
    assert (_theme("warmth", _square(16, (0.1, 0.5, 0.9))) < -0.1).all()


def test_texture_tells_flat_from_noisy():
    flat = _square(20)
    noisy = (flat + 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0)) * (flat < 0.9)).clamp(0, 1)
    assert _theme("texture", flat)[1] > 0.8
    assert _theme("texture", noisy)[1] < 0.2
    assert _theme("texture", noisy)[0] > 3 * _theme("texture", flat)[0]


def test_two_colours_count_for_more_than_one():
    one = _square(20, (0.85, 0.15, 0.15))
    two = one.clone()
    two[:, :, 12:52, 12:32] = torch.tensor((0.2, 0.4, 0.85)).view(1, 3, 1, 1)
    assert (_theme("number of colours", two) > _theme("number of colours", one)).all()


def test_dark_ink_counts_dark_pixels():
    assert float(_theme("dark ink", _square(16, (0.05, 0.05, 0.05)))[0]) == pytest.approx(0.25, abs=0.01)
    assert float(_theme("dark ink", _square(16, (0.9, 0.9, 0.2)))[0]) < 0.01


@pytest.mark.parametrize("name", THEMES)
def test_each_theme_is_finite_with_a_finite_gradient_even_on_blank_paper(name):
    pictures = torch.cat([torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64), draw_pictures(2)]).requires_grad_()
    values = THEMES[name](look(pictures))
    assert values.isfinite().all()
    assert values.abs().max() < 10
    (gradient,) = torch.autograd.grad(values.sum(), pictures)
    assert gradient.isfinite().all()
    assert gradient[2:].abs().max() > 0


@pytest.mark.parametrize("name", THEMES)
def test_each_theme_has_the_gradient_of_its_values(name):
    """Central differences in float64 along one direction; pixels are kept from the kinks at 0 and 1 and of the maxima."""
    draws = torch.Generator().manual_seed(3)
    picture = (0.25 + 0.5 * torch.rand((1, 3, 64, 64), generator=draws, dtype=torch.float64)).requires_grad_()
    direction = torch.randn(picture.shape, generator=draws, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(THEMES[name](look(picture)).sum(), picture)
    step = 1e-7
    with torch.no_grad():
        difference = THEMES[name](look(picture + step * direction)).sum() - THEMES[name](look(picture - step * direction)).sum()
    assert float((gradient * direction).sum()) == pytest.approx(float(difference) / (2 * step), rel=1e-3, abs=1e-4)


def test_columns_are_named_in_the_order_of_the_statistics():
    columns = statistics(draw_pictures(1)).shape[1]
    themes = column_themes(columns + 6)
    assert tuple(dict.fromkeys(themes[:columns])) == tuple(THEMES)
    assert themes[columns:] == ("text match", *["subject and style"] * 5)
