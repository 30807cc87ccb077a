"""A user's own data: tables with groups, and tables into which a shortcut is planted."""

import json

import numpy as np
import pytest
from PIL import Image as Picture

from evenhand.evaluation.grouped_data import load_grouped_data
from evenhand.evaluation.grouped_data.columns import numbers

ROWS = [("the film is good", "yes", "usual"), ("it is bad", "no", "usual"), ("not bad", "yes", "rare"), ("no good", "no", "rare")]  # fmt: skip
SIDES = {"usual": True, "rare": False}


def write_table(path, rows=ROWS, names=("text", "label", "group")):
    rows = [dict(zip(names, row, strict=True)) for row in rows]
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        import pandas

        pandas.DataFrame(rows).to_parquet(path)
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        path.write_text("\n".join(mark.join(row) for row in [names, *(row.values() for row in rows)]) + "\n")
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_a_table_of_any_kind_gives_the_same_data(tmp_path, suffix):
    file = write_table(tmp_path / f"a.{suffix}")
    data = load_grouped_data("own", files={"train": file, "later": file}, aligned=SIDES, shift=["later"], called="mine")
    assert data.name == "mine" and data.shift == ("later",) and data.label_names() == ("no", "yes")
    got = [(r["text"], data.label_names()[r["label"]], data.group_names()[r["group"]]) for r in data.splits["train"]]
    assert got == ROWS and data.side_counts("later") == {True: 2, False: 2, None: 0}


def test_columns_may_have_other_names_and_a_second_text(tmp_path):
    rows = [("a", "b", "1", "usual"), ("c", "d", "0", "rare")]
    file = write_table(tmp_path / "a.csv", rows, ("premise", "hypothesis", "gold", "kind"))
    names = {"text": "premise", "text_pair": "hypothesis", "label": "gold", "group": "kind"}
    data = load_grouped_data("own", files={"train": file}, aligned=SIDES, columns=names)
    assert data.splits["train"]["text_pair"][:] == ["b", "d"] and data.label_names() == ("0", "1")


def write_pictures(folder, n=12):
    rows = []
    for i in range(n):
        shade = np.random.default_rng(i).integers(60, 256, (10, 10, 3)).astype(np.uint8)
        Picture.fromarray(shade).save(folder / f"{i}.png")
        rows.append((f"{i}.png", "ab"[i % 2], ("usual", "rare")[i // 2 % 2]))
    return write_table(folder / "pictures.csv", rows, ("image", "label", "group"))


def test_pictures_stand_beside_their_table(tmp_path):
    data = load_grouped_data(
        "own", files={"train": write_pictures(tmp_path)}, aligned=SIDES, kind="image", max_examples=8
    )
    assert len(data.splits["train"]) == 8 and data.splits["train"][0]["image"].size == (10, 10)
    (tmp_path / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"3\.png: no such file"):
        load_grouped_data("own", files={"train": tmp_path / "pictures.csv"}, aligned=SIDES, kind="image")
    Picture.new("RGBA", (10, 10)).save(tmp_path / "3.png")
    with pytest.raises(ValueError, match=r"3\.png: is an image of mode RGBA, RGB is needed"):
        load_grouped_data("own", files={"train": tmp_path / "pictures.csv"}, aligned=SIDES, kind="image")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"aligned": {"usual": True}},
            r"a\.csv \(train\), example 3: it is not said whether group 'rare' is bias-aligned or conflicting",
        ),
        ({"aligned": ["usual", "rare"]}, "aligned must be a table of group → true, false or null, not "),
        ({"aligned": {}}, "aligned must be a table of group"),
        ({"aligned": {"usual": "yes", "rare": "no"}}, "aligned: group 'usual' must be true, false or null, not 'yes'"),
        ({"aligned": {"usual": 1, "rare": 0}}, "aligned: group 'usual' must be true, false or null, not 1"),
        ({"aligned": {True: True}}, "aligned: the group's name True is no text; put it in quotes"),
        ({"max_examples": {"tran": 100}}, "max_examples: 'tran' is none of the splits that can be limited, train"),
        ({"check_images": "all"}, "check_images must be 'headers' or 'pixels', not 'all'"),
        ({"columns": ["label"]}, "columns must be a table of our name → that of the files, not "),
        ({"files": {"train": 3}}, "files must be a table of split → file, not 'train' → 3"),
        ({"shift": "later"}, "shift must be a list of splits, not 'later'"),
        ({"kind": "sound"}, "kind must be 'text' or 'image'"),
        ({"columns": {"label": "gold"}}, "has no column 'gold'; it has text, label, group"),
        ({"columns": {"words": "text"}}, "columns: 'words' is none of text, text_pair, label, group"),
        ({"files": {}}, "files must be a table of split → file"),
        ({"shift": ["later"]}, "has no split 'later'"),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path, change, message):
    settings = {"files": {"train": write_table(tmp_path / "a.csv")}, "aligned": SIDES} | change
    with pytest.raises(ValueError, match=message):
        load_grouped_data("own", **settings)


def test_groups_may_be_numbers(tmp_path):
    rows = [(text, label, {"usual": "1", "rare": "2"}[group]) for text, label, group in ROWS]
    data = load_grouped_data(
        "own", files={"train": write_table(tmp_path / "a.csv", rows)}, aligned={1: True, 2: False, 3: None}
    )
    assert data.side_counts("train") == {True: 2, False: 2, None: 0} and data.aligned == {"1": True, "2": False, "3": None}  # fmt: skip


def labelled(names):
    """ROWS with other names of the labels no and yes."""
    return [(text, names[label == "yes"], group) for text, label, group in ROWS]


@pytest.mark.parametrize("name", ["own", "planted"])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (labelled(("neg", "pos")), r"split 'test': train has no label 'neg' \(nor 1 others of its labels\); the labels of train are 'no', 'yes'$"),
        ([*ROWS, ("so so", "maybe", "rare")], "split 'test': train has no label 'maybe'; the labels of train are 'no', 'yes'$"),
        ([*ROWS[:3], ("no good", "No", "rare")], "split 'test': train has no label 'No'; the labels"),
    ],
)  # fmt: skip
def test_a_split_has_no_other_labels_than_train(tmp_path, name, rows, message):
    train, test = write_table(tmp_path / "a.csv"), write_table(tmp_path / "b.csv", rows)
    further = {"aligned": SIDES} if name == "own" else {}
    with pytest.raises(ValueError, match=message):
        load_grouped_data(name, files={"train": train, "validation": train, "test": test}, **further)


def test_a_split_may_lack_a_label_of_train(tmp_path):
    train = write_table(tmp_path / "a.csv", [*ROWS, ("so so", "maybe", "usual")])
    test = write_table(tmp_path / "b.csv")
    files = {"test": test, "train": train, "validation": train}
    for data in (load_grouped_data("own", files=files, aligned=SIDES), load_grouped_data("planted", files=files)):
        assert {data.label_names(split) for split in data.splits} == {("maybe", "no", "yes")}
        assert numbers(data.splits["test"], "label").tolist() == [2, 1, 2, 1]
    alone = load_grouped_data("own", files={"test": test}, aligned=SIDES)  # nothing to train on: a test alone
    assert alone.label_names("test") == ("no", "yes")


@pytest.mark.parametrize("group", ["", "  ", None])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_row_without_a_group_is_named(tmp_path, suffix, group):
    if group is None and suffix == "csv":
        group = ""
    rows = [*ROWS[:2], (*ROWS[2][:2], group), (*ROWS[3][:2], group)]
    files = {"train": write_table(tmp_path / "a.csv"), "test": write_table(tmp_path / f"b.{suffix}", rows)}
    with pytest.raises(ValueError, match=rf"b\.{suffix} \(test\), example 3: has no 'group', nor have 1 others$"):
        load_grouped_data("own", files=files, aligned=SIDES)


def test_rows_with_more_cells_than_names_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,group\nwell, good,yes,usual\nno, bad,no,rare\n")
    with pytest.raises(ValueError, match=r"a\.csv: cannot be read \(its rows have more cells than its first line"):
        load_grouped_data("own", files={"train": tmp_path / "a.csv"}, aligned=SIDES)


def test_a_group_of_train_that_a_split_lacks_is_one_line(tmp_path):
    train = write_table(tmp_path / "a.csv")
    usual = write_table(tmp_path / "b.csv", ROWS[:2])
    for split in ("validation", "test"):
        message = (
            rf"own, split '{split}': group 'rare' has no examples; it has usual \(2\)\. Give it examples of every group"
        )
        with pytest.raises(ValueError, match=message):
            load_grouped_data("own", files={"train": train, split: usual}, aligned=SIDES)
    later = load_grouped_data("own", files={"train": train, "later": usual}, aligned=SIDES, shift=["later"])
    assert later.group_counts("later") == {"usual": 2, "rare": 0}  # out of distribution, groups may be others
    with pytest.raises(ValueError, match=r"split 'test': group 'rare' has no examples.* or a larger max_examples"):
        load_grouped_data("own", files={"train": train, "test": train}, aligned=SIDES, max_examples={"test": 1})


def test_a_test_of_one_side_is_one_line_unless_a_shifted_split_has_the_other(tmp_path):
    rows = [(text, label, f"{label} {group}") for text, label, group in ROWS]
    one_side, other = write_table(tmp_path / "a.csv", rows[:2]), write_table(tmp_path / "b.csv", rows[2:])
    sides = {"yes usual": True, "no usual": True, "yes rare": False, "no rare": False}
    files = {"train": one_side, "test": one_side}
    with pytest.raises(ValueError, match="split 'test': holds no bias-conflicting examples"):
        load_grouped_data("own", files=files, aligned=sides)
    data = load_grouped_data("own", files=files | {"turned": other}, aligned=sides, shift=["turned"])
    assert data.side_counts("turned") == {True: 0, False: 2, None: 0}
    neither = dict.fromkeys(sides, True)  # no group is said to be conflicting: there is no gap to miss
    assert load_grouped_data("own", files=files, aligned=neither).side_counts("test")[True] == 2


def damage(path):
    """Header and end mark stay, half of the pixels go."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + content[-12:])


def test_damaged_pixels_are_named_where_they_are_read(tmp_path):
    files = dict.fromkeys(("train", "validation", "test"), write_pictures(tmp_path))
    damage(tmp_path / "3.png")
    own = {"files": files, "aligned": SIDES, "kind": "image"}
    assert len(load_grouped_data("own", **own).splits["train"]) == 12  # headers only: not seen
    with pytest.raises(ValueError, match=r"/3\.png: is a broken image \("):
        load_grouped_data("own", **own, check_images="pixels")
    for check in ("headers", "pixels"):  # planting reads the pixels in any case
        with pytest.raises(ValueError, match=r"/3\.png: is a broken image \("):
            load_grouped_data("planted", files=files, kind="image", check_images=check)
    with pytest.raises(ValueError, match="check_images must be 'headers' or 'pixels', not 'all'"):
        load_grouped_data("planted", files=files, kind="image", check_images="all")


def test_an_image_that_is_cut_off_is_named_in_any_format(tmp_path):
    table = write_pictures(tmp_path)
    for end in ("bmp", "webp", "tiff"):  # these have no end mark
        whole = tmp_path / f"x.{end}"
        Picture.effect_noise((40, 40), 60).convert("RGB").save(whole)
        table.write_text(table.read_text().replace("5.png", whole.name))
        load_grouped_data("own", files={"train": table}, aligned=SIDES, kind="image")
        whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(ValueError, match=rf"/x\.{end}: is (a broken image|not an image, or a broken one)"):
            load_grouped_data("own", files={"train": table}, aligned=SIDES, kind="image")
        table.write_text(table.read_text().replace(whole.name, "5.png"))


def test_a_table_that_cannot_be_read_is_one_line(tmp_path):
    def load(path):
        return load_grouped_data("own", files={"train": path}, aligned=SIDES)

    with pytest.raises(FileNotFoundError, match=r"absent\.csv: no such file"):
        load(tmp_path / "absent.csv")
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(ValueError, match=r"a\.xlsx: is not one of \.csv, \.tsv"):
        load(tmp_path / "a.xlsx")
    for name in ("b.json", "b.parquet", "b.csv"):
        (tmp_path / name).write_bytes(b"\xff\xfe{ nothing" if name != "b.csv" else b"\xff\xfe")
        with pytest.raises(ValueError, match=rf"{name}: (cannot be read|has no column)"):
            load(tmp_path / name)
    with pytest.raises(ValueError, match=r"c\.csv: holds no examples"):
        load(write_table(tmp_path / "c.csv", []))
    with pytest.raises(ValueError, match=r"d\.csv \(train\), example 2: has no 'label'"):
        load(write_table(tmp_path / "d.csv", [ROWS[0], ("text", "", "rare")]))


def test_a_shortcut_is_planted_into_own_texts(tmp_path):
    rows = [(f"text number {i}", ("no", "yes")[i % 2]) for i in range(40)]
    file = write_table(tmp_path / "a.csv", rows, ("text", "label"))
    files = dict.fromkeys(("train", "validation", "test"), file)
    data = load_grouped_data("planted", files=files, phrases=["well then", ""], strength=0.9)
    rows = data.splits["train"]
    assert (numbers(rows, "label") == numbers(rows, "shortcut")).mean() == 0.9
    for row in rows:
        assert row["text"].startswith("well then ") == (row["shortcut"] == 0)
    assert data.group_names() == ("no × well then", "no × (nothing)", "yes × well then", "yes × (nothing)")
    with pytest.raises(ValueError, match="files must name train, validation, test, not train"):
        load_grouped_data("planted", files={"train": file})
    same = write_table(tmp_path / "b.csv", [("a", "no"), ("b", "no")], ("text", "label"))
    with pytest.raises(ValueError, match="all examples have the label 'no'; at least two are needed"):
        load_grouped_data("planted", files=dict.fromkeys(files, same))


def test_a_patch_is_planted_into_own_pictures(tmp_path):
    files = dict.fromkeys(("train", "validation", "test"), write_pictures(tmp_path))
    data = load_grouped_data("planted", files=files, kind="image", strength=1.0)
    for row in data.splits["train"]:
        corner = np.asarray(row["image"])[:2, :2]
        assert (corner == ((255, 50, 50), (40, 255, 40))[row["label"]]).all()
