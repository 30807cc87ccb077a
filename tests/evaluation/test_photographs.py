"""Waterbirds and CelebA: published layouts, copies on the Hub, and images that cannot be used."""

import datasets
import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as Picture

from evenhand.evaluation.grouped_data import load_grouped_data
from evenhand.evaluation.grouped_data.celeba import HUB_NAME as FACES
from evenhand.evaluation.grouped_data.celeba import HUB_REVISION as FACES_REVISION
from evenhand.evaluation.grouped_data.image_files import check_image_file, naming_broken_images
from evenhand.evaluation.grouped_data.photographs import binary
from evenhand.evaluation.grouped_data.waterbirds import HUB_NAME as BIRDS
from evenhand.evaluation.grouped_data.waterbirds import HUB_REVISION as BIRDS_REVISION

# y, place, split of 24 images: every group in every split, twice
BIRD_ROWS = [(y, place, split) for split in (0, 1, 2) for y in (0, 1) for place in (0, 1) for _ in range(2)]


def picture(path, mode="RGB", size=(20, 16), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.effect_noise(size, 60).convert(mode).save(path, **options)
    return path


@pytest.fixture
def birds(tmp_path):
    lines = ["img_id,img_filename,y,split,place,place_filename"]
    for i, (y, place, split) in enumerate(BIRD_ROWS):
        picture(tmp_path / f"{i:03d}.Bird" / "a.jpg")
        lines.append(f"{i},{i:03d}.Bird/a.jpg,{y},{split},{place},/b/bamboo_forest/1.jpg")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_waterbirds_is_read_from_its_layout(birds):
    data = load_grouped_data("waterbirds", path=birds)
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 8, "validation": 8, "test": 8}
    assert data.aligned == {
        "landbird × land": True,
        "landbird × water": False,
        "waterbird × land": False,
        "waterbird × water": True,
    }
    for number, split in enumerate(("train", "validation", "test")):
        rows = data.splits[split]
        expected = [(y, 2 * y + place) for y, place, s in BIRD_ROWS if s == number]
        assert [(row["label"], row["group"]) for row in rows] == expected
        assert rows[0]["image"].mode == "RGB" and rows[0]["image"].size == (20, 16)
    data.check_groups("test")


def test_a_limit_keeps_the_rare_groups(birds):
    data = load_grouped_data("waterbirds", path=birds, max_examples=4)
    assert all(set(data.group_counts(split).values()) == {1} for split in data.splits)


def replace_line(folder, old, new):
    path = folder / "metadata.csv"
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("img_filename", "file", "has no column 'img_filename'"),
        ("2,002.Bird/a.jpg,0,0,1", "2,002.Bird/a.jpg,7,0,1", r"metadata\.csv, line 4: y is '7', not one of 0, 1"),
        ("2,002.Bird/a.jpg,0,0,1", "2,002.Bird/a.jpg,0,01,1", "line 4: split is '01', not one of 0, 1, 2"),
    ],
)
def test_wrong_metadata_are_one_line(birds, old, new, message):
    replace_line(birds, old, new)
    with pytest.raises(ValueError, match=message):
        load_grouped_data("waterbirds", path=birds)


def test_a_split_without_images_is_one_line(birds):
    path = birds / "metadata.csv"
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([lines[0], *(line for line, (_, _, s) in zip(lines[1:], BIRD_ROWS, strict=True) if s != 1)])
    )
    with pytest.raises(ValueError, match="no image belongs to the split 'validation'"):
        load_grouped_data("waterbirds", path=birds)


@pytest.mark.parametrize("split", [1, 2])
def test_a_split_without_one_of_the_groups_is_one_line(birds, split):
    path, name = birds / "metadata.csv", ("validation", "test")[split - 1]
    lines = path.read_text().splitlines()
    kept = [line for line, row in zip(lines[1:], BIRD_ROWS, strict=True) if row != (1, 0, split)]
    path.write_text("\n".join([lines[0], *kept]))
    message = rf"waterbirds, split '{name}': group 'waterbird × land' has no examples; it has landbird × land \(2\)"
    with pytest.raises(ValueError, match=message):
        load_grouped_data("waterbirds", path=birds)
    kept = [line for line, row in zip(lines[1:], BIRD_ROWS, strict=True) if row[0] == row[1]]
    path.write_text("\n".join([lines[0], *kept]))
    with pytest.raises(ValueError, match="split 'test': holds no bias-conflicting examples"):
        load_grouped_data("waterbirds", path=birds)


def test_an_image_that_is_missing_broken_or_of_another_mode_is_named(birds):
    image = birds / "005.Bird" / "a.jpg"
    image.unlink()
    with pytest.raises(FileNotFoundError, match=r"005\.Bird/a\.jpg: no such file"):
        load_grouped_data("waterbirds", path=birds)
    image.write_bytes(b"this is no picture")
    with pytest.raises(ValueError, match=r"005\.Bird/a\.jpg: is not an image, or a broken one"):
        load_grouped_data("waterbirds", path=birds)
    picture(image, "L")
    with pytest.raises(ValueError, match=r"a\.jpg: is an image of mode L, RGB is needed; convert_images=True converts"):
        load_grouped_data("waterbirds", path=birds)
    data = load_grouped_data("waterbirds", path=birds, convert_images=True)
    assert {row["image"].mode for row in data.splits["train"]} == {"RGB"}
    whole = picture(image).read_bytes()
    image.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"a\.jpg: is a broken image \(the file is cut off\)"):
        load_grouped_data("waterbirds", path=birds)
    with pytest.raises(ValueError, match="check_images must be 'headers' or 'pixels'"):
        load_grouped_data("waterbirds", path=birds, check_images="none")


def test_damage_inside_is_found_when_pixels_are_read(tmp_path):
    path = picture(tmp_path / "a.png", size=(64, 64))
    content = path.read_bytes()
    path.write_bytes(
        content[: len(content) // 2] + content[-12:]
    )  # header and end mark are there, half the pixels are not
    check_image_file(path, "a")
    with pytest.raises(ValueError, match="a: is a broken image"):
        check_image_file(path, "a", decode=True)


@pytest.mark.parametrize("kept", ["path", "bytes"])
def test_an_error_in_decoding_names_the_image(tmp_path, kept):
    paths = [picture(tmp_path / f"{i}.png", size=(64, 64)) for i in range(3)]
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: len(content) // 2] + content[-12:])
    stored = [{"path": str(p), "bytes": None} if kept == "path" else {"path": None, "bytes": p.read_bytes()} for p in paths]  # fmt: skip
    rows = Dataset.from_dict({"image": stored}, features=Features({"image": Image()}))
    where = r"/1\.png" if kept == "path" else "^example 2"
    with pytest.raises(ValueError, match=f"{where}: is a broken image"), naming_broken_images(rows):
        list(rows)
    with pytest.raises(ValueError, match="something else"), naming_broken_images(rows.select([0, 2])):
        raise ValueError("something else")


def test_a_palette_image_and_one_with_transparency_are_refused_by_mode(tmp_path):
    for mode in ("P", "RGBA", "LA", "1"):
        with pytest.raises(ValueError, match=f"x: is an image of mode {mode}, RGB is needed"):
            check_image_file(picture(tmp_path / f"{mode}.png", mode), "x")
    check_image_file(picture(tmp_path / "ok.png").read_bytes(), "bytes are fine too")


NAMES = ["5_o_Clock_Shadow", "Blond_Hair", "Male", "Young"]
FACE_ROWS = [(blond, male, split) for split in (0, 1, 2) for blond in (1, -1) for male in (1, -1)]


def write_faces(folder, style="txt", images="img_align_celeba"):
    names = [f"{i:06d}.jpg" for i in range(1, len(FACE_ROWS) + 1)]
    for name in names:
        picture(folder / images / name)
    cells = [f"-1 {blond:2d} {male:2d}  1" for blond, male, _ in FACE_ROWS]
    if style == "csv":
        attributes = [
            "image_id," + ",".join(NAMES),
            *(f"{n},{','.join(c.split())}" for n, c in zip(names, cells, strict=True)),
        ]
        partition = ["image_id,partition", *(f"{n},{row[2]}" for n, row in zip(names, FACE_ROWS, strict=True))]
    else:
        attributes = [str(len(names)), " ".join(NAMES) + " ", *(f"{n} {c}" for n, c in zip(names, cells, strict=True))]
        partition = [f"{n} {row[2]}" for n, row in zip(names, FACE_ROWS, strict=True)]
    places = ("Anno/list_attr_celeba.txt", "Eval/list_eval_partition.txt") if style == "Anno" else (
        f"list_attr_celeba.{style}", f"list_eval_partition.{style}")  # fmt: skip
    for place, lines in zip(places, (attributes, partition), strict=True):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text("\r\n".join(lines) + "\r\n")
    return folder


@pytest.mark.parametrize(
    ("style", "images"),
    [("txt", "img_align_celeba"), ("csv", "img_align_celeba/img_align_celeba"), ("Anno", "Img/img_align_celeba")],
)
def test_celeba_is_read_from_its_layouts(tmp_path, style, images):
    data = load_grouped_data("celeba", path=write_faces(tmp_path, style, images))
    assert data.label_names() == ("not blond", "blond")
    assert data.aligned == {
        "not blond × female": False,
        "not blond × male": True,
        "blond × female": True,
        "blond × male": False,
    }
    for number, split in enumerate(("train", "validation", "test")):
        expected = [(int(b == 1), 2 * int(b == 1) + int(m == 1)) for b, m, s in FACE_ROWS if s == number]
        assert [(row["label"], row["group"]) for row in data.splits[split]] == expected
        assert data.splits[split][0]["image"].size == (20, 16)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("list_attr_celeba.txt", "Blond_Hair", "Blonde", "has no column 'Blond_Hair'"),
        ("list_attr_celeba.txt", "12\r", "13\r", "says 13 images and lists 12"),
        ("list_attr_celeba.txt", "12\r\n", "", "does not begin with the number of images"),
        ("list_attr_celeba.txt", "000003.jpg -1 -1", "000003.jpg -1", "line 5: has 3 attributes, 4 are expected"),
        ("list_attr_celeba.txt", "000003.jpg -1 -1", "000003.jpg -1 5", "line 5: '5' is no attribute's value"),
        ("list_eval_partition.txt", "000003.jpg 0\r\n", "", r"does not say which split 000003\.jpg belongs to"),
        (
            "list_eval_partition.txt",
            "000003.jpg 0",
            "000003.jpg 9",
            r"line 3: '000003.jpg 9' is no image's name and 0, 1 or 2",
        ),
    ],
)
def test_wrong_celeba_files_are_one_line(tmp_path, file, old, new, message):
    path = write_faces(tmp_path) / file
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(ValueError, match=message):
        load_grouped_data("celeba", path=tmp_path)


def test_missing_celeba_files_are_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no list_attr_celeba\.txt, which CelebA's attributes"):
        load_grouped_data("celeba", path=tmp_path)
    write_faces(tmp_path).joinpath("img_align_celeba").rename(tmp_path / "images")
    with pytest.raises(FileNotFoundError, match="holds no folder img_align_celeba"):
        load_grouped_data("celeba", path=tmp_path)


def hub_rows(image_name, columns, kind):
    n = len(next(iter(columns.values())))
    rows = {
        image_name: [Picture.new("L" if i == 0 else "RGB", (6, 6)) for i in range(n)],
        "more": list(range(n)),
        **columns,
    }
    features = {image_name: Image(), "more": Value("int64")} | {name: Value(kind) for name in columns}
    return Dataset.from_dict(rows, features=Features(features))


@pytest.mark.parametrize(
    ("name", "columns", "kind", "split_names", "expected"),
    [
        ("waterbirds", {"label": [0, 0, 1, 1], "place": [0, 1, 0, 1]}, "int64", ("train", "validation", "test"), (BIRDS, BIRDS_REVISION)),
        ("celeba", {"Blond_Hair": [False, False, True, True], "Male": [False, True, False, True]}, "bool", ("train", "valid", "test"), (FACES, FACES_REVISION)),
        ("celeba", {"Blond_Hair": [-1, -1, 1, 1], "Male": [-1, 1, -1, 1]}, "int64", ("train", "validation", "test"), ("someone/faces", "v1")),
    ],
)  # fmt: skip
def test_copies_on_the_hub_are_read_at_their_revision(monkeypatch, name, columns, kind, split_names, expected):
    asked = []

    def load_dataset(repository, config, *, split, revision):
        asked.append((repository, revision, split))
        return hub_rows("image", columns, kind)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    other = {"repository": "someone/faces", "revision": "v1", "split_names": split_names} if expected[1] == "v1" else {}
    data = load_grouped_data(name, **other)
    assert asked == [(*expected, split) for split in split_names]
    for rows in data.splits.values():
        assert rows.column_names == ["image", "label", "group"]
        assert [(row["label"], row["group"]) for row in rows] == [(0, 0), (0, 1), (1, 2), (1, 3)]
        assert {row["image"].mode for row in rows} == {"RGB"}
    assert expected[1] in data.facts["source"]
    limited = load_grouped_data(name, **other, max_examples={"train": 3})
    assert len(limited.splits["train"]) == 3 and len(limited.splits["test"]) == 4


def test_a_group_that_a_copy_on_the_hub_lacks_is_one_line(monkeypatch):
    def load_dataset(*_, split, **__):
        places = [0, 0, 0, 1] if split == "test" else [0, 1, 0, 1]
        return hub_rows("image", {"label": [0, 0, 1, 1], "place": places}, "int64")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ValueError, match="waterbirds, split 'test': group 'landbird × water' has no examples"):
        load_grouped_data("waterbirds")


def test_other_columns_or_values_on_the_hub_are_one_line(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: hub_rows("image", {"label": [0, 1]}, "int64"))
    with pytest.raises(ValueError, match="grodino/waterbirds: has no column 'place'; it has image, more, label"):
        load_grouped_data("waterbirds")
    with pytest.raises(ValueError, match="split_names must be the names of train, validation and test"):
        load_grouped_data("celeba", split_names=("train",))


def test_attributes_are_two_valued():
    assert (
        binary([True, False], "x").tolist() == binary([1, -1], "x").tolist() == binary([1, 0], "x").tolist() == [1, 0]
    )
    for values in ([0, 2], ["yes", "no"], [0.5, 1.0], [-1, 0, 1]):
        with pytest.raises(ValueError, match="where: holds values other than 0 and 1"):
            binary(values, "where")
    assert binary(np.array([0, 0]), "x").tolist() == [0, 0]
