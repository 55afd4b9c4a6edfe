"""Pictures from outside: checked before they are decoded, and reduced to their pixels."""

import io
import warnings

from PIL import Image, ImageOps

from rlr_core.errors import RLRError

MAX_UPLOAD_BYTES = 20 * 2**20
MAX_UPLOAD_PIXELS = 40_000_000
KEPT_PIXELS_A_SIDE = 1024
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def read_upload(data: bytes) -> Image.Image:
    """The picture in `data`, upright, RGB on white, at most 1024 pixels a side; of a moving one the first.

    Raises:
        RLRError: it is empty, too large, or no whole picture of a known format.
    """
    if not data:
        raise RLRError("The upload is empty (0 bytes), so there is no picture in it: choose another file.")
    if len(data) > MAX_UPLOAD_BYTES:
        raise RLRError(
            f"The upload has {len(data) / 2**20:.0f} MB, more than the {MAX_UPLOAD_BYTES >> 20} MB that are read: make it smaller."
        )
    try:
        # Pillow's own bomb warning comes at a size of its choosing; ours is checked below, before any pixel is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_size(image)
        image.load()
    except Image.DecompressionBombError as problem:
        raise RLRError(f"The picture has more than the {MAX_UPLOAD_PIXELS / 1e6:.0f} million pixels that are read: shrink it.") from problem
    except (OSError, SyntaxError, ValueError) as problem:
        raise RLRError(f"The upload is not a whole picture in one of the formats {', '.join(FORMATS)}: choose another file.") from problem
    return _flattened(image)


def _check_size(image: Image.Image) -> None:
    pixels = image.width * image.height
    if pixels > MAX_UPLOAD_PIXELS:
        raise RLRError(
            f"The picture has {pixels / 1e6:.0f} million pixels, more than the {MAX_UPLOAD_PIXELS / 1e6:.0f} that are read: shrink it."
        )


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 16 bits in 8; Pillow's own conversion would make all but its darkest pixels white."""
    if not image.mode.startswith("I"):
        return image
    return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")


def _flattened(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(_in_eight_bits(image)).convert("RGBA")
    canvas = Image.new("RGBA", upright.size, (255, 255, 255, 255))
    canvas.alpha_composite(upright)
    canvas.thumbnail((KEPT_PIXELS_A_SIDE, KEPT_PIXELS_A_SIDE), Image.Resampling.LANCZOS)
    return canvas.convert("RGB")
