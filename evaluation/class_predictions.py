"""A classifier's probabilities of examples of a data set, batch by batch; nothing but one chunk is held at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from evenhand.evaluation.classifiers import IMAGE, kind_of
from evenhand.evaluation.encoder import evaluation_mode
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.onednn_linear import onednn_linear
from evenhand.evaluation.tokenized import input_names, max_length

if TYPE_CHECKING:
    from datasets import Dataset

# Texts that are read and tokenised at once; those of one length among them share batches.
CHUNK = 4096
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def class_predictions(
    model: nn.Module,
    processor,
    rows: Dataset,
    matrix: np.ndarray,
    *,
    what: str,
    longest: int = 128,
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """The likeliest label of each example, (n,) int64, in the order of ``rows``.

    Texts of one length share a batch, so nothing is padded; each is cut to ``longest`` tokens, or what the model takes. The
    model is left as it was.

    Args:
        model, processor: as `load_classifier` gives them.
        rows: with the column ``text`` (and ``text_pair``) or ``image``.
        matrix: (model labels, data labels) of `label_matrix`: probabilities of labels that are merged are summed, and the
            largest sum decides.
        what: the examples are called, for errors and the progress bar.
        longest: tokens of a text at most.
        batch_size: inputs per forward; it does not change the numbers but by rounding.
        progress: show a bar once the work has taken two seconds.

    Raises:
        NotApplicable: the model reads text and the examples are images, or the other way round.
        ValueError: a broken image or one of another mode than the model takes, NaN, inputs that the model refuses.
    """
    kind, images = kind_of(model), "image" in rows.column_names
    if kind is None:
        raise NotApplicable(f"{type(model).__name__} is no classifier of text or images")
    if (kind == IMAGE) != images:
        raise NotApplicable(
            f"{what}: the examples are {'images' if images else 'texts'}, {type(model).__name__} takes {kind}"
        )
    batches = image_batches(model, processor, rows, batch_size, what) if images else None
    batches = batches or _text_batches(model, processor, rows, batch_size, longest)
    device = next(model.parameters()).device
    predicted = np.empty(len(rows), dtype=np.int64)
    with (
        evaluation_mode(model),
        torch.no_grad(),
        onednn_linear(),
        tqdm(total=len(rows), desc=what, unit="example", delay=2, disable=not progress) as bar,
    ):
        for at, inputs in batches:
            try:
                logits = model(**{name: value.to(device) for name, value in inputs.items()}).logits
            except (ValueError, RuntimeError, IndexError) as error:
                raise ValueError(f"{what}: {type(model).__name__} refuses the inputs: {_line(error)}") from error
            found = logits.double().softmax(dim=1).cpu().numpy() @ matrix
            if not np.isfinite(found).all():
                raise ValueError(f"{what}: the classifier gives NaN or infinity: check the model's weights")
            predicted[at] = found.argmax(axis=1)
            bar.update(len(at))
    return predicted


def _text_batches(
    model: nn.Module, tokenizer, rows: Dataset, batch_size: int, longest: int
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Places of the examples of a batch, and what the model takes for them, each (batch, tokens)."""
    limit, names = min(longest, max_length(model, tokenizer)), input_names(model, tokenizer)
    columns = [name for name in ("text", "text_pair") if name in rows.column_names]
    rows = rows.select_columns(columns)
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        encoded = tokenizer(*(list(chunk[name]) for name in columns), truncation=True, max_length=limit, padding=False)
        by_length: dict[int, list[int]] = {}
        for place, ids in enumerate(encoded["input_ids"]):
            by_length.setdefault(len(ids), []).append(place)
        for _, places in sorted(by_length.items()):
            for first in range(0, len(places), batch_size):
                batch = places[first : first + batch_size]
                inputs = {name: torch.tensor([encoded[name][place] for place in batch]) for name in names}
                yield [start + place for place in batch], inputs


def image_batches(
    model: nn.Module, processor, rows: Dataset, batch_size: int, what: str
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Places of the examples of a batch, and their pixels (batch, channels, height, width)."""
    channels, rows = getattr(model.config, "num_channels", 3), rows.select_columns(["image"])
    for start in range(0, len(rows), batch_size):
        at = list(range(start, min(start + batch_size, len(rows))))
        pixels = [
            _pixels(image, channels, f"{what}, image {start + i}") for i, image in enumerate(_read(rows, at, what))
        ]
        try:
            inputs = processor(pixels, return_tensors="pt", input_data_format="channels_last")
        except (ValueError, RuntimeError, TypeError) as error:
            sizes = sorted({image.shape[:2] for image in pixels})
            raise ValueError(
                f"{what}: images of {len(sizes)} sizes from {sizes[0]} on do not go through "
                f"{type(processor).__name__}: {_line(error)}"
            ) from error
        yield at, {"pixel_values": inputs["pixel_values"]}


def _read(rows: Dataset, at: Sequence[int], what: str) -> list[object]:
    """The images of some rows, decoded; an error names the first that cannot be."""
    try:
        return list(rows[at[0] : at[-1] + 1]["image"])
    except (OSError, ValueError, SyntaxError):
        for place in at:
            try:
                rows[place]
            except (OSError, ValueError, SyntaxError) as error:
                raise ValueError(f"{what}, image {place}: cannot be decoded: {_line(error)}") from error
        raise


def _pixels(image: object, channels: int, what: str) -> np.ndarray:
    """(height, width, channels) uint8.

    Raises:
        ValueError: an image of another mode, or a broken one.
    """
    mode = _MODES.get(channels, f"{channels} channels")
    if isinstance(image, Image.Image):
        if image.mode != mode:
            raise ValueError(f"{what}: has mode {image.mode}, the model takes {mode}; convert the images")
        try:
            image = np.asarray(image)
        except (OSError, SyntaxError) as error:
            raise ValueError(f"{what}: cannot be decoded: {_line(error)}") from error
    pixels = np.asarray(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[-1] != channels:
        raise ValueError(f"{what}: has shape {pixels.shape}, the model takes (height, width, {channels}), mode {mode}")
    if pixels.min() < 0 or pixels.max() > 255 or not np.array_equal(pixels, pixels.astype(np.uint8)):
        raise ValueError(f"{what}: its pixels are no whole numbers from 0 to 255")
    return pixels.astype(np.uint8)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
