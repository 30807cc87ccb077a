"""A miniature of the whole of Ahn et al. 2022, through the command: every table, plot and number of the page is there and is the reports'."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from folder_contents import contents
from kept_reports import KeptReports
from miniature import SECTIONS
from PIL import Image
from scipy import stats

from evenhand.launch.command import main
from evenhand.launch.study.report_archive import read_archive
from evenhand.model_cards.escaping import markdown
from evenhand.model_cards.published_report import without_machine_paths

ARMS = {
    "table1": ["original", "mlm-ce", "mlm-cos", "no-mlm"],
    "table2": [
        *("original", "debiased-teacher", "mix-output", "mix-input", "mix-logits", "mix-logits-output"),
        *("mix-logits-output-input", "proposed"),
    ],
    "table3": ["original", "proposed"],
    "figure1": ["depth-3", "depth-2", "depth-1"],
    "equalisation": ["proposed", "equalise-logits", "equalise-probabilities"],
    "counterfactual": ["proposed", "counterfactual-mean"],
    "cda": ["proposed", "cda-one-sided", "cda-two-sided"],
    "random_pairs": ["proposed", "random-pairs"],
    "fraction": ["fraction-0.5", "fraction-1"],
}
TESTS, MEAN = ("C6", "C6b", "C7", "C7b", "C8", "C8b"), r"mean \|d\|"
CORE = {"original", "mlm-cos", "mix-input", "mix-logits", "proposed"}
THE_ORIGINAL = {"depth-1", "fraction-1"}
"""Arms of the baseline's recipe: its students, and so no exploratory ones."""


def seat(report, side="model"):
    return report.measures["seat"][0][side]


def mean_d(report, side="model"):
    sizes = [test["effect_size"] for test in seat(report, side)["tests"].values() if test["family"] == "gender"]
    assert len(sizes) == 6
    return float(np.mean(np.abs(sizes)))


def section(text, title):
    """The lines of a section, by its title."""
    start = text.index(f"\n## {title}")
    return text[start : text.find("\n## ", start + 4)]


def rows(text):
    """Tables as lists of rows of cells."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        found.append([[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()])
        assert len({len(row) for row in found[-1]}) == 1
    return found


@pytest.fixture(scope="module")
def text(finished):
    return (finished.page / "README.md").read_text(encoding="utf-8")


# -- what was run --------------------------------------------------------------------------------------------------------


def test_every_arm_of_the_paper_has_its_students(finished):
    study, reports = finished.results.study, finished.results.reports
    assert {section.name: list(section.arms) for section in study.sections} == ARMS
    assert {name for name, arm in study.arms.items() if arm.core} == CORE
    assert {name: sorted(of_arm) for name, of_arm in reports.items()} == {
        name: [0, 1] if name in CORE else [0] for name in study.arms
    }
    assert finished.results.failed == {}
    assert {reports[name][0].sha256 for name in THE_ORIGINAL} == {reports["original"][0].sha256}
    students = {report.model["weights_sha256"] for of_arm in reports.values() for report in of_arm.values()}
    assert len(students) == 2 * len(CORE) + 15


def test_students_of_a_seed_share_teacher_and_corpus_and_seeds_do_not(finished):
    reports = finished.results.reports
    teachers = {(seed, name == "debiased-teacher"): set() for name, of_arm in reports.items() for seed in of_arm}
    for name, of_arm in reports.items():
        for seed, report in of_arm.items():
            teachers[seed, name == "debiased-teacher"].add(report.training["teacher"]["weights_sha256"])
            assert report.training["seed"] == seed
    assert all(len(found) == 1 for found in teachers.values()) and len(set.union(*teachers.values())) == 3
    corpora = {report.training["corpus"]["sources"][0]["sha256"] for report in reports["original"].values()}
    assert len(corpora) == 2


def test_arms_are_what_their_names_say(finished):
    training = {name: of_arm[0].training for name, of_arm in finished.results.reports.items()}
    weights = {name: facts["objective"]["weights"] for name, facts in training.items()}
    assert weights["original"]["ce"] == weights["original"]["mlm"] == weights["original"]["cos"] == 1
    for arm, without in (("mlm-ce", "cos"), ("mlm-cos", "ce"), ("no-mlm", "mlm")):
        assert weights[arm] == weights["original"] | {without: 0}
    mixed = {
        name: set(facts["supervision"]["mix"])
        for name, facts in training.items()
        if "mix" in (facts["supervision"] or {})
    }
    inputs, logits, hidden = "student_inputs", "teacher_logits", "teacher_hidden"
    assert mixed == {
        "mix-output": {hidden},
        "mix-input": {inputs},
        "mix-logits": {logits},
        "mix-logits-output": {logits, hidden},
        "mix-logits-output-input": {inputs, logits, hidden},
        "proposed": {inputs, logits},
        "random-pairs": {inputs, logits},
    }
    assert [training[f"depth-{n}"]["student"]["layers"] for n in (1, 2, 3)] == [1, 2, 3]
    corpus = {name: facts["corpus"] for name, facts in training.items()}
    assert {name: corpus[name].get("cda", "none") for name in ("original", "cda-one-sided", "cda-two-sided")} == {
        "original": "none", "cda-one-sided": "one_sided", "cda-two-sided": "two_sided",
    }  # fmt: skip
    assert corpus["fraction-0.5"]["sequences"] < 0.6 * corpus["original"]["sequences"]
    assert training["equalise-logits"]["supervision"]["on"] == "logits"
    assert training["counterfactual-mean"]["supervision"]["combine"] == "mean"
    pairs = [training[arm]["supervision"]["pairs"]["matched"] for arm in ("random-pairs", "proposed")]
    words = [{word for pair in of_arm for word in pair[:2]} for of_arm in pairs]
    assert words[0] and words[1] and not words[0] & words[1]


def test_nothing_of_the_way_is_left_that_nobody_needs(finished):
    assert not list(finished.directory.glob("cohorts/*/cohort/checkpoints"))
    hidden = [path for path in finished.directory.rglob(".*") if "cache" not in path.parts]
    assert {path.name for path in hidden} <= {".lock"}  # those of temporary names would be torn files


def test_a_student_of_a_cohort_has_a_card_and_can_be_published(finished, tmp_path, capsys):
    (run,) = finished.directory.glob("cohorts/seed0-*/proposed")
    assert main(["publish", str(run), str(tmp_path / "published")]) == 0
    card = (tmp_path / "published" / "README.md").read_text(encoding="utf-8")
    assert "mixup" in card and (tmp_path / "published" / "model.safetensors").is_file()


# -- its page ------------------------------------------------------------------------------------------------------------


def test_each_section_has_its_table_with_every_arm_and_the_paper_s_numbers_beside(finished, text):
    for of_study in finished.results.study.sections:
        assert str(markdown(of_study.question)) in section(text, str(markdown(of_study.title)))
        if of_study.kind == "glue":
            continue
        table = rows(section(text, str(markdown(of_study.title))))[0]
        labels = [finished.results.study.arms[name].label for name in of_study.arms]
        named = [row[0].replace(" *(exploratory)*", "") for row in table[2:]]
        assert [name for name in named if "paper" not in name and name != "teacher"] == labels
        for above, row in itertools.pairwise(table[2:]):
            if "paper" in row[0]:
                arm = of_study.arms[labels.index(above[0].replace(" *(exploratory)*", ""))]
                shown = [row[table[0].index(label)] for label in TESTS]
                assert shown == [f"{of_study.printed[arm][label]:+.3f}".replace("-", "−") for label in TESTS]
        assert sum("paper" in row[0] for row in table) == len(set(of_study.printed) & set(of_study.arms))
    exploratory = set(re.findall(r"^\| (.*?) \*\(exploratory\)\*", text, re.M))
    assert exploratory == {
        arm.label for name, arm in finished.results.study.arms.items() if name not in CORE | THE_ORIGINAL
    }


def test_the_numbers_are_those_of_the_reports(finished, text):
    table = rows(section(text, "What supervises the student"))[0]
    labels = {arm.label: name for name, arm in finished.results.study.arms.items()}
    seen = 0
    for row in table[2:]:
        arm = labels.get(row[0].replace(" *(exploratory)*", ""))
        if arm is None:
            continue
        of_arm = finished.results.reports[arm].values()
        expected = np.mean([mean_d(report) for report in of_arm])
        assert row[table[0].index(MEAN)].startswith(f"**{expected:.3f} [") and row[table[0].index("students")] == str(
            len(of_arm)
        )
        d = np.mean([seat(report)["tests"]["sent-weat7"]["effect_size"] for report in of_arm])
        assert row[table[0].index("C7")].startswith(f"{d:+.3f} [".replace("-", "−"))
        seen += 1
    assert seen == 8
    teacher = np.mean([mean_d(report, "reference") for report in finished.results.reports["original"].values()])
    assert table[2][0] == "teacher" and table[2][table[0].index(MEAN)].startswith(f"**{teacher:.3f} [")


def test_arms_are_compared_with_the_baseline_paired_by_seed(finished):
    (found,) = (
        one for one in finished.said["comparisons"] if one["arm"] == "proposed" and one["against"] == "original"
    )
    arms = finished.results.reports
    changes = [mean_d(arms["proposed"][seed]) - mean_d(arms["original"][seed]) for seed in (0, 1)]
    family = found["families"]["gender"]
    assert family["of_seeds"] == pytest.approx(changes, abs=1e-12)
    low, high = stats.t.interval(0.95, 1, np.mean(changes), stats.sem(changes))
    alone = family["seeds_alone"]
    assert alone["difference"] == pytest.approx(np.mean(changes)) and alone["low"] == pytest.approx(low)
    assert alone["high"] == pytest.approx(high)
    assert alone["p_value"] == pytest.approx(stats.ttest_1samp(changes, 0).pvalue)
    assert family["words_and_seeds"]["detectable"] > 0


def test_what_was_planted_stands_beside_what_was_measured(finished, text):
    table = rows(section(text, "What was planted"))[0]
    assert [head.split(", planted ")[1] for head in table[0][1:]] == ["+0.80"] * 2 + ["+0.40"] * 2 + ["+0.00"] * 2
    d = [seat(r)["tests"]["sent-weat6"]["effect_size"] for r in finished.results.reports["original"].values()]
    (row,) = (row for row in table if row[0].startswith("original ("))
    assert row[1].startswith(f"{np.mean(d):+.3f}".replace("-", "−"))


def test_averages_that_do_not_match_their_rows_are_pointed_out(text):
    part = section(text, "Averages of the paper that do not match")
    assert "0.670" in part and "0.697" in part and "0.830" in part and "0.826" in part and part.count("\n- ") == 2


def test_glue_is_measured_where_the_scale_wants_it(finished, text):
    reports = finished.results.reports
    with_glue = {(n, s) for n, of_arm in reports.items() for s, r in of_arm.items() if "glue" in r.measures}
    assert with_glue == {("original", 0), ("proposed", 0), ("depth-1", 0), ("fraction-1", 0)}
    scores = reports["proposed"][0].measures["glue"][0]["model"]["scores"]
    mean = np.mean([score["value"] for score in scores])
    table = rows(section(text, "Quality on GLUE"))[0]
    (row,) = (row for row in table if "proposed" in row[0])
    assert f"{mean:.1f}" in row[-1] and "SST-2" in " ".join(table[0]) and "RTE" in " ".join(table[0])
    (paper,) = (one for before, one in itertools.pairwise(table) if "proposed" in before[0])
    assert "90.7" in paper and "62.1" in paper


def test_the_debiased_teacher_is_shown_before_and_after(finished, text):
    (file,) = finished.directory.glob("teachers/debiased-seed0-*/seat_before_after.json")
    found = json.loads(file.read_text(encoding="utf-8"))
    part = section(text, "Teachers, before and after")
    for when in ("before", "after"):
        assert f"{found[when]['tests']['sent-weat6']['effect_size']:+.3f}".replace("-", "−") in part
    original = finished.results.reports["original"][0]
    assert found["before"]["tests"]["sent-weat6"]["effect_size"] == pytest.approx(
        seat(original, "reference")["tests"]["sent-weat6"]["effect_size"], abs=1e-5
    )
    debiased = finished.results.reports["debiased-teacher"][0]
    assert found["after"]["tests"]["sent-weat6"]["effect_size"] == pytest.approx(
        seat(debiased, "reference")["tests"]["sent-weat6"]["effect_size"], abs=1e-5
    )


def test_plots_are_there_and_every_link_leads_somewhere(finished, text):
    pictures = {
        "figure1.png",
        "forest.png",
        "fraction.png",
        "over_training.png",
        "planted.png",
        "tradeoff_glue.png",
        "tradeoff_loss.png",
    }
    assert {path.name for path in (finished.page / "figures").iterdir()} == pictures == set(finished.said["pictures"])
    linked = re.findall(r"\]\(([^)]+)\)", text)
    assert {f"figures/{name}" for name in pictures} <= set(linked)
    assert all((finished.page / link).is_file() for link in linked if "://" not in link)
    for name in pictures:
        with Image.open(finished.page / "figures" / name) as picture:
            assert min(picture.size) > 300 and len(set(picture.convert("L").getdata())) > 20
    assert not re.search(r"!\[\s*\]", text)  # each says what it shows


def test_the_html_page_holds_the_same_and_needs_nothing_beside_it(finished, text):
    page = (finished.page / "README.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(finished.said["pictures"])
    assert all(title in page for title in re.findall(r"^## (.*)$", text, re.M) if "&" not in title and "*" not in title)
    assert page.count("<table") == len(rows(text))


def test_no_place_of_this_machine_and_no_number_without_a_value_is_on_the_page(finished, text):
    for name in ("README.md", "results.json", "README.html"):
        page = (finished.page / name).read_text(encoding="utf-8")
        assert str(finished.directory.parent) not in page and str(Path.home()) + "/" not in page
    assert not re.search(r"\b(nan|None|inf|null)\b", text)


def test_the_summary_answers_each_question_of_the_sections(finished, text):
    part = section(text, "What the numbers say")
    for asked in ("L_ce", "L_mlm", "proposed", "unrelated word pairs", "goes with depth", "**What cannot be told**"):
        assert asked in part
    assert "*CDA, one-sided* and *mixup: logits + inputs (proposed)* **cannot be told apart**" in part
    assert "It mixes" in part and "## How much is mixed" in text


# -- again, and from the archive -----------------------------------------------------------------------------------------


def test_a_finished_study_makes_nothing_and_the_same_page(finished, evenhand_study, capsys):
    before = contents(finished.page)
    launcher = KeptReports(finished.results, finished.directory)
    assert evenhand_study("--only", SECTIONS, launcher=launcher, directory=finished.directory) == 0
    assert launcher.launched == []
    assert contents(finished.page) == before
    assert capsys.readouterr().out.splitlines()[-1] == str(finished.page / "README.md")


def test_the_archive_beside_the_page_has_every_report_and_gives_the_same_page(
    finished, evenhand_study, tmp_path, capsys
):
    reports = {path.stem: json.loads(path.read_text()) for path in (finished.directory / "reports").glob("*.json")}
    kept = {key: without_machine_paths(report) for key, report in reports.items()}
    assert str(finished.directory) in json.dumps(reports) and str(finished.directory) not in json.dumps(kept)
    archive = finished.page / "reports.jsonl.xz"
    assert {key: report.data for key, report in read_archive(archive).items()} == kept
    page = tmp_path / "page"
    assert evenhand_study("--only", SECTIONS, "--reports", str(archive), "--page-only", "--page", str(page)) == 0
    assert f"{len(kept)} reports taken over" in capsys.readouterr().out
    assert contents(page) == contents(finished.page)


def test_a_page_of_one_section_keeps_the_reports_of_the_others_in_its_archive(
    finished, evenhand_study, tmp_path, capsys
):
    archive, page = finished.page / "reports.jsonl.xz", tmp_path / "page"
    words = ("--page-only", "--reports", str(archive), "--page", str(page))
    assert evenhand_study("--only", "random_pairs", *words) == 0
    assert read_archive(page / "reports.jsonl.xz").keys() == read_archive(archive).keys()
    capsys.readouterr()
    assert evenhand_study("--only", "random_pairs", *words, "training.max_steps=5") == 1
    said = capsys.readouterr().out
    count = len(read_archive(archive))
    assert f"0 reports taken over from {archive}; {count} more are of other settings than this study's" in said
