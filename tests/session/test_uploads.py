"""Pictures from outside: upright, flat, small, and refused with a sentence when they are not whole."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from rlr_core.errors import RLRError
from rlr_core.session.uploads import FORMATS, KEPT_PIXELS_A_SIDE, MAX_UPLOAD_BYTES, read_upload


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_known_format_is_read(kind):
    picture = read_upload(encoded(Image.new("RGB", (40, 20), (255, 0, 0)), kind))
    assert picture.mode == "RGB" and picture.size == (40, 20)
    assert all(abs(value - wanted) < 8 for value, wanted in zip(picture.getpixel((20, 10)), (255, 0, 0), strict=True))


def test_a_transparent_picture_lies_on_white():
    assert read_upload(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0)))).getpixel((0, 0)) == (255, 255, 255)


def test_a_photograph_is_turned_upright():
    orientation = Image.Exif()
    orientation[0x0112] = 6  # the camera was held a quarter turn
    photograph = Image.new("RGB", (40, 20), "blue")
    photograph.paste("red", (0, 0, 20, 20))
    upright = read_upload(encoded(photograph, exif=orientation))
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5)) == (255, 0, 0) and upright.getpixel((10, 35)) == (0, 0, 255)


def test_a_large_picture_is_made_smaller_in_proportion():
    assert read_upload(encoded(Image.new("RGB", (3000, 1500)))).size == (KEPT_PIXELS_A_SIDE, KEPT_PIXELS_A_SIDE // 2)


def test_nothing_beside_the_pixels_is_taken_over():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    place = Image.Exif()
    place[0x010E] = "at home"
    picture = read_upload(encoded(Image.new("RGB", (4, 4)), "JPEG", exif=place, icc_profile=profile))
    assert not picture.getexif()


def test_a_grey_picture_of_sixteen_bits_keeps_its_greys():
    ramp = Image.fromarray(np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16))
    assert ramp.mode == "I;16"
    assert np.asarray(read_upload(encoded(ramp)))[..., 0].ravel() == pytest.approx(np.arange(256), abs=1)


def test_the_inks_of_a_print_become_light():
    assert read_upload(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")).getpixel((4, 4)) == pytest.approx((254, 0, 0), abs=2)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_picture_the_first_is_taken(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(moving)).n_frames == 3
    assert read_upload(moving).getpixel((4, 4)) == pytest.approx((255, 0, 0), abs=4)


@pytest.mark.parametrize("tail", [b"PK\x03\x04 an archive", b"<script>alert(1)</script>", b"\x7fELF"])
def test_what_is_a_picture_and_something_else_as_well_stays_a_picture_alone(tail, store):
    image_id = store.put_image(read_upload(encoded(Image.new("RGB", (4, 4), "red")) + tail)).id
    assert tail not in store.image_path(image_id).read_bytes()
    assert store.open_image(image_id).getpixel((0, 0)) == (255, 0, 0)


NOISE = encoded(Image.effect_noise((64, 64), 50))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"\0" * (MAX_UPLOAD_BYTES + 1), "more than the 20 MB that are read"),
        (b"a diary", "not a whole picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a whole picture"),
        (NOISE[:-200], "not a whole picture"),
        (NOISE[:100], "not a whole picture"),
        (NOISE[:200] + b"\0" * 50 + NOISE[250:], "not a whole picture"),
        (encoded(Image.new("1", (7_000, 7_000))), "has 49 million pixels, more than the 40"),
        (encoded(Image.new("1", (20_000, 20_000))), "more than the 40 million pixels"),
    ],
)
def test_what_is_no_usable_picture_is_refused(data, sentence):
    with pytest.raises(RLRError, match=sentence):
        read_upload(data)
