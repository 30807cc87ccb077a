"""Several students on one page: every number is its report's, and what cannot be compared never shares a table."""

import copy
import json
import re

import pytest
from several_students import glue_entry, student_report

from evenhand.model_cards.page import comparison_markdown, write_comparison, write_page
from evenhand.model_cards.page.compared_students import compared_students
from evenhand.model_cards.page.comparison import tradeoff_of
from evenhand.model_cards.page.comparison_folder import require_comparison


@pytest.fixture
def reports(report):
    return [student_report(report, 1), student_report(report, 2, shift=0.25)]


def tables(text):
    """Every Markdown table as a list of rows of cells."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            assert len({len(row) for row in rows}) == 1
            found.append([rows[0], *rows[2:]])
            rows = []
    return found


def table_with(text, *heads):
    return next(rows for rows in tables(text) if rows[0][: len(heads)] == list(heads))


def column(rows, head):
    index = rows[0].index(head)
    return {row[0]: row[index] for row in rows[1:]}


def test_all_students_stand_beside_their_teacher_with_intervals(reports):
    text = comparison_markdown(reports, ["a", "b"], ["cards/a.html", None])
    assert text.startswith("# 2 students beside their teacher\n")
    rows = table_with(text, "model")
    assert [row[0] for row in rows[1:]] == ["*teacher: teacher*", "**[a](cards/a.html)**", "**b**"]
    family = reports[1]["measures"]["seat"][0]["model"]["families"]["gender"]
    low, high = family["confidence_interval"]
    association = rows[3][3]
    assert association.startswith(f"{family['mean_absolute_effect_size']:.3f} [{low:.2f}, {high:.2f}], 6 tests<br>Δ ")
    change = reports[1]["measures"]["seat"][0]["comparison"]["families"]["gender"]
    low, high = change["confidence_interval"]
    assert f"Δ {change['difference']:+.3f} [{low:+.2f}, {high:+.2f}] **{change['verdict']}**" in association
    assert "Δ" not in rows[1][3] and rows[1][3].startswith("0.992 [")
    assert rows[3][4] == "68.50 [67.00, 70.00], 2 tasks<br>Δ -6.50 [-9.00, -1.00] **worse**"
    assert rows[1][4] == "75.00 [73.50, 76.50], 2 tasks"


def test_every_test_of_every_student_is_the_report_s(reports):
    reports[1]["measures"]["seat"][0]["model"]["tests"]["sent-weat7"]["effect_size"] = -0.987
    rows = table_with(comparison_markdown(reports, ["a", "b"]), "test")
    assert column(rows, "b")["C7"].startswith("-0.987 [")
    for name, side in (("a", "model"), ("teacher: teacher", "reference")):
        for test in reports[0]["measures"]["seat"][0][side]["tests"].values():
            label = test["label"] + (" (control)" if test["family"] == "control" else "")
            low, high = test["confidence_interval"]
            shown = column(rows, name)[label].split("<br>")[0]
            assert shown == f"{test['effect_size']:+.3f} [{low:+.2f}, {high:+.2f}]"
    assert "better" not in column(rows, "a")["C7"] and "worse" not in column(rows, "a")["C7"]


def test_scores_have_their_n_and_the_teacher_stands_once(reports):
    rows = table_with(comparison_markdown(reports, ["a", "b"]), "score")
    assert rows[0] == ["score", "unit", "teacher: teacher", "a", "b"]
    assert column(rows, "teacher: teacher")["SST2, accuracy"] == "90.00 [88.00, 92.00], n = 200"
    assert column(rows, "b")["SST2, accuracy"].startswith("82.00 [80.00, 84.00], n = 200<br>Δ -8.00 [-11.00, -5.00] ")


def test_students_of_two_teachers_stand_beside_their_own(reports):
    reports[1]["reference"] |= {"name": "other", "weights_sha256": "f" * 64}
    text = comparison_markdown([*reports, student_report(reports[0], 3)], ["a", "b", "c"])
    assert text.startswith("# 3 students beside their 2 teachers")
    names = [row[0].strip("*") for row in table_with(text, "model")[1:]]
    assert names == ["teacher: teacher", "a", "c", "teacher: other", "b"]


def test_a_teacher_measured_twice_with_other_numbers_is_said(reports):
    assert "measured more than once" not in comparison_markdown(reports, ["a", "b"])
    reports[1]["measures"]["glue"][0]["reference"]["scores"][0]["value"] = 91.0
    text = comparison_markdown(reports, ["a", "b"])
    assert (
        "different numbers of the teacher: teacher (GLUE), so it was measured more than once; those of a's report"
        in text
    )


def test_numbers_of_other_settings_never_share_a_table(reports):
    reports[1]["measures"]["glue"][0]["epochs"] = 4
    text = comparison_markdown(reports, ["a", "b"])
    heads = [rows[0] for rows in tables(text) if rows[0][0] == "score"]
    assert heads == [
        ["score", "unit", "teacher: teacher", "a"],
        ["score", "unit", "teacher: teacher", "b"],
    ] or heads == [
        ["score", "unit", "teacher: teacher", "a"],
        ["score", "unit", "b"],
    ]
    assert "GLUE" not in " ".join(table_with(text, "model")[0])
    assert "No plot of bias against quality: GLUE was measured with different settings" in text


def test_the_same_data_under_another_name_is_the_same(reports):
    for side in (reports[1]["measures"]["glue"][0], reports[1]["measures"]["glue"][0]["model"]):
        side["data"] = {**side["data"], "name": "elsewhere"}
    assert table_with(comparison_markdown(reports, ["a", "b"]), "score")[0][-2:] == ["a", "b"]


def test_the_headline_is_the_first_seat_measure_that_all_have(reports):
    reports[1]["measures"]["seat"].reverse()
    reports[0]["measures"]["seat"][1]["pooling"] = "first_token"
    text = comparison_markdown(reports, ["a", "b"])
    assert "pooling `mean`, stimuli `builtin`" in text
    assert "No plot of bias against quality: the reports have different headline measures of SEAT" in text
    assert text.count("<summary>Pooling") == 2


def test_speeds_show_their_ratio_and_other_machines_stand_apart(reports):
    for report, machine in zip(reports, ("cpu a", "cpu b"), strict=True):
        entry = glue_entry({"sst2": 1.0}, {"sst2": 2.0})
        for side in ("model", "reference"):
            entry[side] = {**entry[side], "hardware": {"device": "cpu", "name": machine}}
        entry["comparison"]["scores"][0] |= {"ratio": 1.94, "ratio_confidence_interval": [1.9, 1.98]}
        report["measures"]["speed"] = [entry]
    text = comparison_markdown(reports, ["a", "b"])
    part = text[text.index("## Speed") :]
    assert "× 1.940 [1.90, 1.98]" in part and "Settings 1 of 2" in part and "Settings 2 of 2" in part


def test_what_differs_between_the_recipes_is_listed(reports):
    reports[1]["training"]["recipe"]["mixup"]["enabled"] = False
    reports[1]["training"]["recipe"]["publish"] = {"licence": "mit"}
    rows = table_with(comparison_markdown(reports, ["a", "b"]), "setting")
    assert rows[1:] == [["mixup.enabled", "True", "False"], ["training.seed", "1", "2"]]


def test_hostile_names_stay_text(reports):
    names = ["a|b\n# x", "<img src=x onerror=1> `c` [d](javascript:e)"]
    reports[0]["reference"]["name"] = "| t |\n"
    text = comparison_markdown(reports, names)
    assert len(table_with(text, "model")) == 4
    assert "<img" not in text and "](javascript" not in text and "\n# x" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda reports: reports[1]["reference"].update(role="reference"),
            "b: the report compares it with another model",
        ),
        (lambda reports: reports[1].update(schema_version=99), "^b: "),
        (lambda reports: reports[1]["measures"].update(seat=[]), "^b: .*no SEAT measure"),
        (lambda reports: reports[1]["measures"]["seat"][0]["stimuli"].update(sha256="0"), None),
        (
            lambda reports: [e["stimuli"].update(sha256="0") for e in reports[1]["measures"]["seat"]],
            "share no SEAT measure",
        ),
        (lambda reports: reports.clear(), "needs a report or more"),
    ],
)
def test_reports_that_cannot_be_compared_are_one_clear_line(reports, change, said):
    change(reports)
    if said is None:
        assert "pooling `cls`" in comparison_markdown(reports, ["a", "b"])
        return
    with pytest.raises(ValueError, match=said) as error:
        comparison_markdown(reports, ["a", "b"][: len(reports)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("names", [["a", "a"], ["a", " "], ["a"]])
def test_names_must_tell_the_students_apart(reports, names):
    with pytest.raises(ValueError, match="a comparison needs"):
        comparison_markdown(reports, names)


@pytest.fixture
def runs(reports, tmp_path):
    folders = [tmp_path / "runs" / name for name in ("mixup", "plain")]
    for folder, report in zip(folders, reports, strict=True):
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps(report))
        (folder / "README.md").write_text(f"# The card of {folder.name}\n")
    return folders


def test_the_folder_is_complete_in_itself_and_always_the_same(runs, tmp_path):
    page = write_comparison(runs, tmp_path / "both")
    files = {
        path.relative_to(page.parent).as_posix(): path.read_bytes() for path in page.parent.rglob("*") if path.is_file()
    }
    assert sorted(files) == ["README.html", "README.md", "cards/mixup.html", "cards/plain.html", "figures/tradeoff.png"]
    assert b"The card of plain" in files["cards/plain.html"]
    text = files["README.md"].decode()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert (
        sorted(links) == ["cards/mixup.html", "cards/plain.html", "figures/tradeoff.png"] and str(tmp_path) not in text
    )
    assert b"data:image/png;base64," in files["README.html"]
    write_comparison([str(run) for run in runs], str(tmp_path / "both"))
    again = {
        path.relative_to(page.parent).as_posix(): path.read_bytes() for path in page.parent.rglob("*") if path.is_file()
    }
    assert again == files


def test_a_card_in_the_folder_has_no_links_to_files_that_stayed_in_the_run(runs, tmp_path):
    links = "[a](report.json) [b](./x/y.md) [c](#top) [d](https://a.example/b) [e](mailto:f@g.example)"
    (runs[0] / "README.md").write_text(f"# Top\n\n{links}\n")
    page = write_comparison(runs, tmp_path / "both")
    card = (page.parent / "cards" / "mixup.html").read_text()
    assert re.findall(r'href="([^"]+)"', card) == ["#top", "https://a.example/b", "mailto:f@g.example"]
    assert "report.json" in write_page(runs[0]).read_text()


def test_runs_of_one_name_are_told_apart_by_their_folders(runs, tmp_path):
    other = tmp_path / "elsewhere" / "mixup"
    other.mkdir(parents=True)
    for path in runs[1].iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    page = write_comparison([runs[0], other], tmp_path / "both")
    assert sorted(path.name for path in (page.parent / "cards").iterdir()) == [
        "elsewhere-mixup.html",
        "runs-mixup.html",
    ]
    assert "[runs/mixup](cards/runs-mixup.html)" in (page.parent / "README.md").read_text()


def test_the_plot_calls_the_students_as_the_tables_do(reports):
    for report in reports:
        report["model"]["name"] = "mixup-seed0"
    names = ["studyA/mixup-seed0", "studyB/mixup-seed0"]
    (points, _), _ = tradeoff_of(compared_students(reports, names))
    rows = column(table_with(comparison_markdown(reports, names), "model"), "mean of the GLUE tasks run")
    shown = {name.strip("*").removesuffix("-seed0"): float(cell.split()[0]) for name, cell in rows.items()}
    assert {point.series: point.quality for point in points} == shown and len(shown) == 3


def test_without_glue_there_is_no_picture_and_the_page_says_why(runs, tmp_path):
    for run in runs:
        report = json.loads((run / "report.json").read_text())
        del report["measures"]["glue"]
        (run / "report.json").write_text(json.dumps(report))
    page = write_comparison(runs, tmp_path / "both")
    assert not (page.parent / "figures").exists()
    assert "No plot of bias against quality: no report has GLUE" in (page.parent / "README.md").read_text()


def test_nothing_is_written_when_something_is_wrong(runs, tmp_path):
    both = tmp_path / "both"

    def refused(error, said, runs, folder=both):
        before = sorted(tmp_path.rglob("*"))
        for act in (require_comparison, write_comparison):
            with pytest.raises(error, match=said):
                act(runs, folder)
        assert sorted(tmp_path.rglob("*")) == before

    refused(ValueError, "needs a run", [])
    refused(ValueError, "is named twice", [runs[0], runs[0]])
    refused(ValueError, "it holds a run", runs, tmp_path)
    refused(FileNotFoundError, "holds no report.json; measure the student first", [*runs, tmp_path / "none"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("my notes")
    refused(ValueError, "not empty and no earlier comparison", runs, tmp_path / "mine")
    broken = copy.deepcopy(json.loads((runs[1] / "report.json").read_text())) | {"schema": "other"}
    (runs[1] / "report.json").write_text(json.dumps(broken))
    refused(ValueError, "plain.*not a report", runs)


def test_a_missing_card_leaves_the_earlier_comparison(runs, tmp_path):
    page = write_comparison(runs, tmp_path / "both")
    before = page.read_bytes()
    (runs[1] / "README.md").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no README.md; write the card first: evenhand card"):
        write_comparison(runs, tmp_path / "both")
    assert page.read_bytes() == before


def test_the_command_refuses_a_comparison_before_it_writes_any_card(runs, tmp_path, capsys, monkeypatch):
    from evenhand.launch import run_card
    from evenhand.launch.command import main

    monkeypatch.setattr(run_card, "require_card", lambda run: None)
    monkeypatch.setattr(run_card, "write_card", lambda run: pytest.fail("a card was written"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("my notes")
    words = ["card", *map(str, runs), "--html", "--output-dir", str(tmp_path / "mine")]
    assert main(words) == 2
    assert "not empty and no earlier comparison" in capsys.readouterr().err
