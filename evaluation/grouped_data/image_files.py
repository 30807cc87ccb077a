"""Images as they must be: readable, complete, RGB; else one line that names the image."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from evenhand.evaluation.grouped_data.columns import table_of

if TYPE_CHECKING:
    from datasets import Dataset

CHECKS = ("headers", "pixels")
"""What a loader's ``check_images`` may be."""
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xae\x42\x60\x82"}
_TAIL = 64
"""Bytes searched for a file's end mark: some writers pad after it."""
_DECODING = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What PIL raises for damaged files."""


def reads_pixels(check_images: str) -> bool:
    """Whether a loader's ``check_images`` asks for the pixels.

    Raises:
        ValueError: it is none of :data:`CHECKS`.
    """
    if check_images not in CHECKS:
        raise ValueError(f"check_images must be {' or '.join(map(repr, CHECKS))}, not {check_images!r}")
    return check_images == "pixels"


@contextmanager
def naming_broken_images(rows: Dataset) -> Iterator[None]:
    """An error in decoding the images of ``rows`` inside becomes one line that names the image; costs nothing without one.

    Args:
        rows: perhaps with a column ``image``, files or bytes.

    Raises:
        FileNotFoundError, ValueError: as :func:`check_image_file`; other errors are passed on.
    """
    try:
        yield
    except _DECODING:
        stored_images = table_of(rows.select_columns(["image"])).column("image") if "image" in rows.column_names else ()
        for number, stored in enumerate(stored_images, start=1):
            image = stored.as_py()
            source = Path(image["path"]) if image["bytes"] is None else image["bytes"]
            _mode_and_format(source, image["path"] or f"example {number}", decode=True)
        raise


def png_bytes(image: np.ndarray) -> bytes:
    """(height, width, 3) uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def checked_rgb(image: Image.Image, where: str) -> np.ndarray:
    """(height, width, 3) uint8.

    Args:
        image: a decoded image; grey ones get three equal channels.
        where: names it in the message.

    Raises:
        ValueError: another mode than RGB or L (grey).
    """
    if image.mode not in ("RGB", "L"):
        raise ValueError(f"{where}: is an image of mode {image.mode}; RGB or L (grey) is needed")
    return np.asarray(image.convert("RGB"))


def check_image_file(
    source: Path | bytes, where: str, *, modes: tuple[str, ...] = ("RGB",), decode: bool = False, advice: str = ""
) -> None:
    """Raise in one line for an image that cannot be trained on.

    The header is read, and of JPEG and PNG the end mark, which a file that was cut off has not; their pixels only on
    request. Files of other formats have no such mark, so their pixels are always read.

    Args:
        source: a file or its bytes.
        where: names it in the message.
        modes: that are allowed.
        decode: read the pixels too, a millisecond or so for a photograph.
        advice: what to do about another mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, a broken one, or one of another mode.
    """
    mode, kind = _mode_and_format(source, where, decode)
    if mode not in modes:
        needed = f"{where}: is an image of mode {mode}, {' or '.join(modes)} is needed"
        raise ValueError(f"{needed}; {advice}" if advice else needed)
    if kind in _ENDS and _ENDS[kind] not in _tail(source):
        raise ValueError(f"{where}: is a broken image (the file is cut off)")


def _mode_and_format(source: Path | bytes, where: str, decode: bool) -> tuple[str, str]:
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
            if decode or image.format not in _ENDS:
                image.load()
            return image.mode, image.format
    except FileNotFoundError:
        raise FileNotFoundError(f"{where}: no such file") from None
    except UnidentifiedImageError:
        raise ValueError(f"{where}: is not an image, or a broken one") from None
    except _DECODING as error:
        raise ValueError(f"{where}: is a broken image ({' '.join(str(error).split())[:120]})") from None


def _tail(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[-_TAIL:]
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - _TAIL))
        return file.read()
