"""What a split holds, as a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import numpy as np
from datasets import Dataset

from evenhand.evaluation.grouped_data.image_files import naming_broken_images


def split_sha256(rows: Dataset) -> str:
    """Hash of the examples in their order: texts or pixels, names of labels and of groups.

    Pixels are those of the decoded image, so it does not depend on the file format.

    Raises:
        ValueError, FileNotFoundError: an image that cannot be decoded, with its name.
    """
    digest = hashlib.sha256()
    with naming_broken_images(rows):
        for record in _records(rows):
            digest.update(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n")
    return digest.hexdigest()


def _records(rows: Dataset) -> Iterator[list]:
    """What is hashed of each example."""
    inputs = [name for name in ("text", "text_pair", "image") if name in rows.column_names]
    names = {column: rows.features[column].names for column in ("label", "group")}
    for row in rows.select_columns([*inputs, "label", "group"]):
        record = [names[column][row[column]] for column in ("label", "group")]
        for name in inputs:
            if name != "image":
                record.append(row[name])
                continue
            pixels = np.asarray(row[name])
            record += [getattr(row[name], "mode", None), list(pixels.shape), str(pixels.dtype)]
            record.append(hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest())
        yield record
