"""Real images of digits that need no network: scikit-learn's digits and MNIST's test file, with a planted shortcut."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image

from evenhand.evaluation.grouped_data.grouped import GroupedData
from evenhand.evaluation.grouped_data.image_files import png_bytes
from evenhand.evaluation.grouped_data.image_shortcut import ImageShortcut
from evenhand.evaluation.grouped_data.planted_shortcut import Planting, plant
from evenhand.evaluation.grouped_data.subsets import (
    check_max_examples,
    check_numbers,
    limit_of,
    stratified_parts,
    stratified_subset,
)

MNIST_IMAGES = "t10k-images-idx3-ubyte"
MNIST_LABELS = "t10k-labels-idx1-ubyte"
_SPLITS = ("train", "validation", "test")


def load_digits(**settings) -> GroupedData:
    """Scikit-learn's digits (1,797 images, 8 × 8, from UCI's optical recognition of handwritten digits), with a shortcut.

    Args:
        settings: of :func:`planted_images`.

    Raises:
        RuntimeError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as read
    except ImportError:
        raise RuntimeError(
            'The digits come with scikit-learn, which is missing: pip install "evenhand[vision]"'
        ) from None
    bunch = read()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    facts = {
        "source": "scikit-learn's copy of the test set of Optical Recognition of Handwritten Digits (UCI)",
        "licence": "CC BY 4.0 (UCI Machine Learning Repository)",
    }
    return planted_images("digits", images, bunch.target.astype(np.int64), facts, **settings)


def load_mnist(path: str | Path, **settings) -> GroupedData:
    """MNIST's test file (10,000 images, 28 × 28), divided into splits of its own, with a shortcut.

    Args:
        path: folder with ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, plain or ``.gz``.
        settings: of :func:`planted_images`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is not in the idx format, or cut off.
    """
    images, labels = (read_idx(_idx_file(Path(path), name)) for name in (MNIST_IMAGES, MNIST_LABELS))
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise ValueError(
            f"{path}: images of shape {images.shape} and labels of shape {labels.shape} do not belong together"
        )
    facts = {"source": "MNIST, the 10,000 images of the test file", "licence": "CC BY-SA 3.0"}
    return planted_images("mnist", images, labels.astype(np.int64), facts, **settings)


def planted_images(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    facts: Mapping[str, object],
    *,
    shortcut: str = "colour",
    strength: float = 0.9,
    flipped_strength: float = 0.0,
    grouping: str = "side",
    colours: Sequence[str] | None = None,
    corner: str = "top_left",
    patch_share: float = 0.2,
    classes: Sequence[int] | None = None,
    test_share: float = 0.25,
    validation_share: float = 0.1,
    max_examples: int | Mapping[str, int] | None = None,
    seed: int = 0,
) -> GroupedData:
    """Grey images of the digits in splits, in colour, with a planted shortcut.

    Args:
        name: of the data set.
        images: (N, height, width) uint8.
        labels: (N,) digits.
        facts: of the images.
        shortcut, colours, corner, patch_share: of :class:`ImageShortcut`.
        strength, flipped_strength, grouping, seed: of :class:`Planting`; the seed also divides the splits.
        classes: digits to keep; all by default.
        test_share, validation_share: of each class.
        max_examples: at most so many in each split, or by split; every class in its share.

    Raises:
        ValueError: a setting out of its range.
    """
    check_max_examples(max_examples, _SPLITS)
    check_numbers(test_share=test_share, validation_share=validation_share)
    show = ImageShortcut(shortcut, colours, corner, patch_share)
    planting = Planting(strength, flipped_strength, seed, grouping)
    kept = _kept(classes)
    values = show.values(len(kept))
    planting.check(len(kept))
    chosen = np.isin(labels, kept)
    images, labels = images[chosen], np.searchsorted(kept, labels[chosen])
    parts = stratified_parts(labels, {"test": test_share, "validation": validation_share}, "train", seed)
    examples = {}
    for split in _SPLITS:
        at = parts[split]
        at = at[stratified_subset(labels[at], limit_of(max_examples, split))]
        examples[split] = grey_images(images[at], labels[at], [str(digit) for digit in kept])
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    facts = {**facts, "sha256": digest, "n_source": len(images), "planted": show.facts()}
    return plant(name, "image", examples, lambda rows, v, _: show.on(rows, v, values), values, planting, facts)


def _kept(classes: Sequence[int] | None) -> list[int]:
    """The digits to keep, in order; raises ValueError for anything else than two or more of them."""
    if classes is None:
        return list(range(10))
    listed = list(classes) if isinstance(classes, Sequence) else []
    if len(set(map(str, listed))) < 2 or any(
        isinstance(digit, bool) or not isinstance(digit, int) or not 0 <= digit <= 9 for digit in listed
    ):
        raise ValueError(f"classes must be at least two of the digits 0 to 9, not {classes!r}")
    return sorted(set(listed))


def grey_images(images: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Dataset:
    """Grey images, (n, height, width) uint8, as a data set of RGB images with labels."""
    rows = {
        "image": [{"bytes": png_bytes(np.repeat(image[..., None], 3, axis=-1)), "path": None} for image in images],
        "label": labels.tolist(),
    }
    return Dataset.from_dict(rows, features=Features({"image": Image(), "label": ClassLabel(names=list(names))}))


def _idx_file(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{folder}: holds no {name} or {name}.gz, which MNIST is read from")


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes in the idx format of MNIST: two zero bytes, the type 8, the number of dimensions, their sizes.

    Raises:
        ValueError: it is something else, or cut off.
    """
    try:
        content = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path}: is not an idx file of bytes")
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start], dtype=">u4").astype(np.int64)
    if len(content) != start + int(shape.prod()):
        raise ValueError(
            f"{path}: is cut off; {int(shape.prod())} bytes of data are expected, {len(content) - start} are there"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


for _load in (load_digits, load_mnist):
    _load.passes_on = planted_images  # what the registry checks settings against
