"""A user's own data with groups: files with columns for the input, the label and the group."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value
from tqdm import tqdm

from evenhand.evaluation.grouped_data.columns import table_of
from evenhand.evaluation.grouped_data.grouped import GroupedData, group_facts
from evenhand.evaluation.grouped_data.image_files import check_image_file, reads_pixels
from evenhand.evaluation.grouped_data.subsets import (
    check_groups_of_train,
    check_max_examples,
    limit_of,
    stratified_subset,
)
from evenhand.evaluation.measure_data import check_columns

_READERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
_INPUTS = {"text": ("text", "text_pair"), "image": ("image",)}


def load_own_table(
    files: Mapping[str, str | Path],
    aligned: Mapping[str, bool | None],
    *,
    called: str = "own",
    kind: str = "text",
    columns: Mapping[str, str] | None = None,
    shift: tuple[str, ...] = (),
    licence: str = "not stated",
    max_examples: int | Mapping[str, int] | None = None,
    check_images: str = "headers",
) -> GroupedData:
    """Own data, one table a split.

    The labels are those of ``train``, in alphabetical order; another split may lack some of them and has no others. A group
    of ``train`` must also be in every split that is not in ``shift``.

    Args:
        files: split → .csv, .tsv, .json(l) or .parquet file; ``"train"`` is needed to train on them.
        aligned: group's name → true (bias-aligned), false (bias-conflicting) or null; all groups of the files.
        called: name of the data set.
        kind: ``"text"``: columns ``text`` and perhaps ``text_pair``; ``"image"``: column ``image``, paths relative to the file.
        columns: our name of a column → that of the files, where they differ.
        shift: names of the out-of-distribution splits.
        licence: of the data, for reports.
        max_examples: at most so many in each split, or by split; every group in its share.
        check_images: ``"headers"``: each image taken must be there, begin as one of mode RGB, and be complete; ``"pixels"``: each is
            decoded too, a millisecond or so for a photograph.

    Raises:
        FileNotFoundError: a file or an image that is not there.
        ValueError: a file or image that cannot be read, a setting of another kind, a missing column or value, a label that
            ``train`` has not, a group that ``aligned`` does not have or that a split lacks, a test without bias-aligned or
            bias-conflicting examples.
    """
    theirs = named_columns(kind, files, columns, ("label", "group"))
    check_max_examples(max_examples, tuple(files))
    sides, decode = _sides(aligned), reads_pixels(check_images)
    if isinstance(shift, str):
        raise ValueError(f"shift must be a list of splits, not {shift!r}")
    tables = {split: read_own(files[split], split, theirs, kind) for split in files}
    labels = labels_of(tables)
    splits = {
        split: _dataset(table, kind, labels, list(sides), limit_of(max_examples, split), f"{files[split]} ({split})")
        for split, table in tables.items()
    }
    facts = {
        "source": "own files",
        "licence": licence,
        "sha256_of": "the tables' files",
        "sha256": files_sha256(files),
        "n_by_group": group_facts(splits),
    }
    data = GroupedData(called, kind, splits, sides, shift=tuple(shift), facts=facts)
    check_groups_of_train(data)
    # A test of one side has its other side in a shifted split, or it is a mistake.
    if "test" in splits and not shift and {True, False} <= set(sides.values()):
        data.check_both_sides("test")
    if kind == "image":  # last, because it takes longest
        check_own_images(splits, decode)
    return data


def _sides(aligned: object) -> dict[str, bool | None]:
    """Group's name → its side; raises ValueError for anything else than true, false and null."""
    if not isinstance(aligned, Mapping) or not aligned:
        raise ValueError(f"aligned must be a table of group → true, false or null, not {aligned!r}")
    for group, side in aligned.items():
        if isinstance(group, bool) or not isinstance(group, str | int):
            raise ValueError(f"aligned: the group's name {group!r} is no text; put it in quotes")
        if side is not None and not isinstance(side, bool):
            raise ValueError(f"aligned: group {group!r} must be true, false or null, not {side!r}")
    return {str(group): side for group, side in aligned.items()}


def labels_of(tables: Mapping[str, Mapping[str, list]]) -> list[str]:
    """Names of the labels, in alphabetical order: those of ``"train"`` (without it, of all splits).

    Args:
        tables: split → its columns, one of them ``label``.

    Raises:
        ValueError: a split has a label that ``train`` has not; a model would learn a class without examples.
    """
    found = {split: {str(label) for label in table["label"]} for split, table in tables.items()}
    if "train" not in found:
        return sorted(set().union(*found.values()))
    for split, names in found.items():
        other = sorted(names - found["train"])
        if other:
            further = f" (nor {len(other) - 1} others of its labels)" if len(other) > 1 else ""
            raise ValueError(
                f"split {split!r}: train has no label {other[0]!r}{further}; "
                f"the labels of train are {', '.join(map(repr, sorted(found['train'])))[:300]}"
            )
    return sorted(found["train"])


def named_columns(
    kind: str, files: object, columns: Mapping[str, str] | None, further: tuple[str, ...]
) -> dict[str, str]:
    """Our name of a column → that of the files.

    Args:
        kind: ``"text"`` or ``"image"``.
        files: split → file, checked here.
        columns: those that differ.
        further: columns beside the inputs.

    Raises:
        ValueError: an unknown kind or column, no files, or settings that are no tables.
    """
    if kind not in _INPUTS:
        raise ValueError(f"kind must be 'text' or 'image', not {kind!r}")
    if not isinstance(files, Mapping) or not files:
        raise ValueError(f"files must be a table of split → file, not {files!r}")
    for split, file in files.items():
        if not isinstance(split, str) or not isinstance(file, str | Path):
            raise ValueError(f"files must be a table of split → file, not {split!r} → {file!r}")
    if columns is not None and not isinstance(columns, Mapping):
        raise ValueError(f"columns must be a table of our name → that of the files, not {columns!r}")
    ours = (*_INPUTS[kind], *further)
    unknown = [column for column in columns or {} if column not in ours]
    if unknown:
        raise ValueError(f"columns: {unknown[0]!r} is none of {', '.join(ours)}")
    return dict(zip(ours, ours, strict=True)) | dict(columns or {})


def files_sha256(files: Mapping[str, str | Path]) -> str:
    """Hash of the tables' files, in the order of the splits' names."""
    digest = hashlib.sha256()
    for split in sorted(files):
        digest.update(split.encode() + Path(files[split]).read_bytes())
    return digest.hexdigest()


def read_own(file: str | Path, split: str, theirs: Mapping[str, str], kind: str) -> dict[str, list]:
    """The columns of one file under our names (``text_pair`` where it is there); an image's path is made absolute.

    Args:
        file: a table.
        split: what it is, for messages.
        theirs: our name of a column → that of the file.
        kind: ``"text"`` or ``"image"``.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: a file that cannot be read, a missing column or value.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    if file.suffix not in _READERS:
        raise ValueError(f"{file}: is not one of {', '.join(_READERS)}")
    try:
        import pandas

        if _READERS[file.suffix] == "csv":
            separator = "\t" if file.suffix == ".tsv" else ","
            table = pandas.read_csv(file, sep=separator, dtype=str, keep_default_na=False)
            if not isinstance(table.index, pandas.RangeIndex):  # pandas takes the first cells for names of the rows
                raise ValueError("its rows have more cells than its first line has names")
        elif _READERS[file.suffix] == "json":
            table = pandas.read_json(file, lines=file.suffix == ".jsonl", dtype=False, convert_dates=False)
        else:
            table = pandas.read_parquet(file)
    except (ValueError, OSError, UnicodeError) as error:  # what the readers raise for damaged files
        raise ValueError(f"{file}: cannot be read ({' '.join(str(error).split())[:160]})") from None
    wanted = [name for name in theirs if name != "text_pair" or theirs[name] in table.columns]
    check_columns([theirs[name] for name in wanted], list(table.columns), file)
    if not len(table):
        raise ValueError(f"{file}: holds no examples")
    read = {name: table[theirs[name]].tolist() for name in wanted}
    for name in wanted:
        missing = [
            row
            for row, value in enumerate(read[name], start=1)
            if value is None or value != value or not str(value).strip()
        ]
        if missing:
            more = f", nor have {len(missing) - 1} others" if len(missing) > 1 else ""
            raise ValueError(f"{file} ({split}), example {missing[0]}: has no {theirs[name]!r}{more}")
    if kind == "image":
        read["image"] = [str((file.parent / str(path)).absolute()) for path in read["image"]]
    return read


def check_own_images(splits: Mapping[str, Dataset], decode: bool) -> None:
    """Raise in one line for an image that cannot be trained on.

    Args:
        splits: by name, with a column ``image`` of paths.
        decode: read the pixels too.

    Raises:
        FileNotFoundError, ValueError: as :func:`check_image_file`.
    """
    for split, rows in splits.items():
        stored = table_of(rows.select_columns(["image"])).column("image").to_pylist()
        for image in tqdm(stored, desc=f"Checking images, {split}", disable=len(stored) < 5000, leave=False):
            check_image_file(Path(image["path"]), image["path"], decode=decode)


def _dataset(
    table: Mapping[str, list], kind: str, labels: list[str], groups: list[str], limit: int | None, where: str
) -> Dataset:
    for row, group in enumerate(table["group"], start=1):
        if str(group) not in groups:
            raise ValueError(
                f"{where}, example {row}: it is not said whether group {group!r} is bias-aligned or conflicting (aligned)"
            )
    numbers = {
        "label": [labels.index(str(label)) for label in table["label"]],
        "group": [groups.index(str(group)) for group in table["group"]],
    }
    inputs = [column for column in _INPUTS[kind] if column in table]
    features = {column: Value("string") if kind == "text" else Image() for column in inputs}
    features |= {"label": ClassLabel(names=labels), "group": ClassLabel(names=groups)}
    chosen = stratified_subset(np.array(numbers["group"]), limit)
    columns = {column: [table[column][i] for i in chosen] for column in inputs}
    columns |= {column: [values[i] for i in chosen] for column, values in numbers.items()}
    return Dataset.from_dict(columns, features=Features(features))
