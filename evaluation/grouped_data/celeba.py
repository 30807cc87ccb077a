"""CelebA: blond hair, which in these photographs goes with gender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evenhand.evaluation.grouped_data.grouped import GroupedData
from evenhand.evaluation.grouped_data.photographs import LabelledPhotographs, check_photograph_settings
from evenhand.evaluation.measure_data import check_columns, find_file, read_text

HUB_NAME = "flwrlabs/celeba"
HUB_REVISION = "2d738f56e0e7f925ea36ae7c808ea925264aacec"
HUB_SPLITS = ("train", "valid", "test")
ATTRIBUTES = ("list_attr_celeba.txt", "Anno/list_attr_celeba.txt", "list_attr_celeba.csv")
PARTITION = ("list_eval_partition.txt", "Eval/list_eval_partition.txt", "list_eval_partition.csv")
IMAGES = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
_FACES = LabelledPhotographs(
    "celeba",
    labels=("not blond", "blond"),
    attributes=("female", "male"),
    # As Nam et al. 2020 (LfF): blond women and men who are not blond go with the correlation, the others against it.
    own=(1, 0),
    licence="CelebA's agreement: for non-commercial research",
)


def load_celeba(
    path: str | Path = "hub",
    *,
    repository: str = HUB_NAME,
    revision: str = HUB_REVISION,
    split_names: tuple[str, str, str] = HUB_SPLITS,
    max_examples: int | Mapping[str, int] | None = None,
    check_images: str = "headers",
    convert_images: bool = False,
) -> GroupedData:
    """CelebA (Liu et al. 2015), blond or not as the label, gender as the attribute (Sagawa et al. 2020).

    The hardest group is blond men: 1,387 of 162,770 training images.

    Args:
        path: ``"hub"``, or the directory with ``list_attr_celeba.txt``, ``list_eval_partition.txt`` (also under ``Anno`` and
            ``Eval``, or as .csv) and ``img_align_celeba``.
        repository, revision: of a copy on the Hub with the columns image, Blond_Hair, Male.
        split_names: its names of train, validation and test.
        max_examples: at most so many in each split, or by split; every group in its share.
        check_images: of local files: ``"headers"`` or ``"pixels"``, as :meth:`LabelledPhotographs.from_files`.
        convert_images: take local images of any mode, and convert them to RGB.

    Raises:
        FileNotFoundError: data that are not there.
        ValueError: a file, an image or a setting that cannot be used; a split without one of the groups.
    """
    check_photograph_settings(max_examples, check_images, convert_images)
    if path == "hub":
        if isinstance(split_names, str) or not isinstance(split_names, Sequence) or len(split_names) != 3:
            raise ValueError(f"split_names must be the names of train, validation and test, not {split_names!r}")
        return _FACES.from_hub(
            repository, revision, ("image", "Blond_Hair", "Male"), tuple(split_names), max_examples=max_examples
        )
    attributes = find_file(path, ATTRIBUTES, "CelebA's attributes")
    partition = find_file(path, PARTITION, "CelebA's division into splits")
    folder = next((Path(path) / name for name in IMAGES if (Path(path) / name).is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"{path}: holds no folder img_align_celeba with CelebA's images")
    split_of = _splits(partition)
    table = []
    for name, blond, male in _attributes(attributes):
        if name not in split_of:
            raise ValueError(f"{partition}: does not say which split {name} belongs to")
        table.append((name, blond, male, split_of[name]))
    return _FACES.from_files(
        folder,
        table,
        [attributes, partition],
        max_examples=max_examples,
        check_images=check_images,
        convert_images=convert_images,
    )


def _attributes(file: Path) -> list[tuple[str, int, int]]:
    """Image's name, blond, male. The .txt file opens with the number of images, then the 40 names; the .csv with a header."""
    lines = [line for line in read_text(file).split("\n") if line.strip()]
    is_csv = file.suffix == ".csv"
    if not is_csv and (not lines[0].strip().isdigit() or len(lines) < 3):
        raise ValueError(f"{file}: does not begin with the number of images and the attributes' names")
    header = lines[0].strip().split(",")[1:] if is_csv else lines[1].split()
    check_columns(("Blond_Hair", "Male"), header, file)
    at = [header.index(name) for name in ("Blond_Hair", "Male")]
    rows = []
    for number, line in enumerate(lines[1 if is_csv else 2 :], start=2 if is_csv else 3):
        name, *values = line.strip().split(",") if is_csv else line.split()
        if len(values) != len(header):
            raise ValueError(f"{file}, line {number}: has {len(values)} attributes, {len(header)} are expected")
        wrong = [values[i] for i in at if values[i] not in ("-1", "0", "1")]
        if wrong:
            raise ValueError(f"{file}, line {number}: {wrong[0]!r} is no attribute's value; they are -1 and 1")
        rows.append((name, *(int(values[i] == "1") for i in at)))
    if not is_csv and len(rows) != int(lines[0]):
        raise ValueError(f"{file}: says {lines[0].strip()} images and lists {len(rows)}")
    return rows


def _splits(file: Path) -> dict[str, int]:
    """Image's name → 0, 1, 2."""
    lines = [line.strip() for line in read_text(file).split("\n") if line.strip()]
    if file.suffix == ".csv":
        lines = [line.replace(",", " ") for line in lines[1:]]
    splits = {}
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if len(parts) != 2 or parts[1] not in ("0", "1", "2"):
            raise ValueError(f"{file}, line {number}: {line[:60]!r} is no image's name and 0, 1 or 2")
        splits[parts[0]] = int(parts[1])
    return splits
