"""Pictures that were drawn from a report, held against the ones that it gives now."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image

# Of 255 levels: another processor may round the edge of a line to the next level. A moved point or another digit changes
# pixels by most of them.
PIXEL_TOLERANCE = 16
DRAWN_HERE = f"matplotlib {matplotlib.__version__}"
"""What a picture drawn here names as its program: other versions draw the same numbers with other pixels."""


class ComparedPicture(NamedTuple):
    """Whether a picture shows what was drawn again, None where that cannot be told, and why it does not."""

    is_same: bool | None
    note: str | None


def compared_picture(path: Path, again: Path) -> ComparedPicture:
    """Compare pixel by pixel, unless another program than the one here drew the picture.

    Args:
        path: the picture that is looked at.
        again: the one that `draw_pictures` made of the report; missing where the report has no numbers for it.

    Raises:
        ValueError: ``path`` is no PNG file, or a damaged one.
    """
    if not again.is_file():
        return ComparedPicture(False, "the report has no numbers for it")
    if path.read_bytes() == again.read_bytes():
        return ComparedPicture(True, None)
    (pixels, version), (expected, _) = read_picture(path), read_picture(again)
    if version != DRAWN_HERE:
        note = f"drawn by {version or 'an unnamed program'}, whose pixels are not those of {DRAWN_HERE}"
        return ComparedPicture(None, note)
    if pixels.shape != expected.shape:
        return ComparedPicture(False, "it has another size than what the report gives")
    changed = int((np.abs(pixels - expected) > PIXEL_TOLERANCE).any(axis=-1).sum())
    return ComparedPicture(not changed, f"{changed} pixels are not what the report gives" if changed else None)


def read_picture(path: Path) -> tuple[np.ndarray, str | None]:
    """The pixels of a PNG, (height, width, 4) of 0 to 255, and which program says that it drew them.

    Every chunk up to the end of the file's image is checked, so that a file that was cut off or damaged anywhere is none.

    Raises:
        ValueError: it is no PNG file, or a damaged one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG"]) as image:
                image.verify()
            # Pillow reads no pixels of an image that it has verified.
            with Image.open(path, formats=["PNG"]) as image:
                return np.asarray(image.convert("RGBA"), dtype=np.int16), image.info.get("Software")
    except Image.UnidentifiedImageError:
        raise ValueError("is no PNG file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"is a damaged PNG file ({type(error).__name__})") from None
