"""Somebody's picture as it may leave the machine: its pixels, without what programs wrote beside them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SOFTWARE = "Software"


def copy_pixels(source: Path, target: Path) -> None:
    """Write the PNG ``source`` anew as ``target``: the same pixels, and of all notes only which program drew them.

    Titles, comments, camera data and whatever stands behind the picture may name folders or hold secrets; nobody sees
    them in the card. The same picture gives the same bytes.

    Raises:
        ValueError: ``source`` is no PNG that can be read.
    """
    try:
        with Image.open(source, formats=["PNG"]) as image:
            bare, notes = image.copy(), PngInfo()
            if isinstance(program := image.info.get(SOFTWARE), str):
                notes.add_text(SOFTWARE, program)
            # Of what is said of the pixels, which colour of a palette is none is a part of them.
            clear = image.info.get("transparency")
            bare.info = {} if clear is None or isinstance(clear, str) else {"transparency": clear}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{source} cannot be read as a PNG ({type(error).__name__}); draw it again, or remove it"
        ) from None
    bare.save(target, format="PNG", pnginfo=notes)
