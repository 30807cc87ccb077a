"""The linter names each fault of a card with its line, and finds none in a card that report and facts give."""

import dataclasses
import random
import re

import pytest
from full_report import complete
from PIL import Image

from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.figures.pictures import draw_pictures
from evenhand.model_cards.figures.planted_figure import draw_planted_figure
from evenhand.model_cards.lint import card_checks, lint_card, linted_card
from evenhand.model_cards.lint.missing_uncertainty import missing_uncertainty
from evenhand.model_cards.published_report import published_report

FACTS = CardFacts(licence="apache-2.0", author="Someone", repo_id="someone/tiny-student", base_model="someone/teacher")
FIGURES = ["figures/seat.png", "figures/loss_curves.png"]


@pytest.fixture
def report(report):
    """The report of this folder's tests without its second SEAT measure: shorter cards are sooner linted."""
    del report["measures"]["seat"][1:]
    return report


@pytest.fixture
def folder(tmp_path):
    """What would be published beside the card, as far as a link can tell."""
    (tmp_path / "figures").mkdir()
    for name in ("report.json", "card_facts.json", "config.json", "README.md"):
        (tmp_path / name).write_text("{}")
    for name in ("seat.png", "loss_curves.png"):
        # by no version of matplotlib, so that it is not compared with what the report gives
        Image.new("RGB", (3, 2)).save(tmp_path / "figures" / name)
    return tmp_path


@pytest.fixture
def card(report):
    return build_card(report, FACTS, FIGURES)


@pytest.fixture
def lint(report, folder):
    """``lint(card, facts=...)``: the problems of a card of ``report``."""
    return lambda text, facts=FACTS: lint_card(text, report, facts, folder)


def line_of(text, place):
    return text.count("\n", 0, place) + 1


def with_note(report, text, name="limits"):
    return build_card(report, dataclasses.replace(FACTS, notes={name: text}), FIGURES)


def test_the_card_that_report_and_facts_give_has_no_problems(card, lint):
    assert lint(card) == []


def test_a_changed_digit_anywhere_in_the_generated_part_is_named_with_both_numbers(card, lint):
    draw = random.Random(0)
    decimals = list(re.finditer(r"(?<![\w.])\d+\.\d{2,3}(?![\w.])", card))
    assert len(decimals) > 50
    for match in draw.sample(decimals, 6):
        wrong = f"{match[0][:-1]}{(int(match[0][-1]) + 1) % 10}"
        problems = lint(card[: match.start()] + wrong + card[match.end() :])
        line = line_of(card, match.start())
        named = [p for p in problems if p.startswith(f"README.md:{line}: prints")]
        assert len(named) == 1 and wrong in named[0] and match[0] in named[0], (problems, wrong)


def test_a_changed_word_a_line_too_many_and_a_line_too_few_are_named(card, lint):
    lines = card.split("\n")
    at = next(i for i, line in enumerate(lines) if "student" in line and not line.startswith((" ", "-", "|")))
    [changed] = lint("\n".join([*lines[:at], lines[at].replace("student", "stupend", 1), *lines[at + 1 :]]))
    assert changed.startswith(f"README.md:{at + 1}: reads") and "stupend" in changed
    [added] = lint("\n".join([*lines[:at], "It is unbiased.", *lines[at:]]))
    assert added.startswith(f"README.md:{at + 1}: ") and "It is unbiased." in added and "hand-written block" in added
    removed = lint("\n".join([*lines[:at], *lines[at + 1 :]]))
    assert len(removed) == 1 and removed[0].startswith(f"README.md:{at + 1}: here a line is missing")


def test_a_number_that_was_left_out_is_named_by_the_text_around_it(card, lint):
    match = re.search(r"\d\.\d{3}", card.split("\n---\n", 1)[1])
    place = card.index("\n---\n") + 5 + match.start()
    problems = lint(card[:place] + card[place + 5 :])
    assert any(p.startswith(f"README.md:{line_of(card, place)}: reads") and match[0] in p for p in problems), problems


def test_a_card_of_another_report_is_told_by_its_hash_and_its_first_lines_only(card, report, folder):
    report["model"]["weights_sha256"] = "9" * 64
    for test in report["measures"]["seat"][0]["model"]["tests"].values():
        test["effect_size"] += 0.1
        test["confidence_interval"] = [0.01, 0.02]
        test["p_value"] = 0.77
        test["p_value_holm"] = 0.78
    problems = lint_card(card, report, FACTS, folder)
    assert sum("prints another report's hash" in line for line in problems) == 1
    assert sum("more lines are not what the report" in line for line in problems) == 1
    assert len(problems) < 30


def test_a_card_without_the_reports_hash_is_refused(card, lint):
    cut = "\n".join(line for line in card.split("\n") if "canonical report" not in line or "`" not in line)
    assert cut != card and any("prints no hash of report.json" in line for line in lint(cut))


def test_hand_written_text_is_no_difference(report, lint):
    assert lint(with_note(report, "Ask us before you use it.\n\n- One more remark.")) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("end of hand-written: limits", "end of hand-written: limit"),
        lambda t: t.replace("<!-- end of hand-written: limits -->\n", ""),
    ],
)
def test_a_block_whose_end_is_lost_is_told_with_a_line(report, lint, change):
    text = with_note(report, "Ask us.")
    problems = lint(change(text))
    assert change(text) != text and any(re.match(r"README\.md:\d+: .*hand-written block", line) for line in problems)


def test_a_card_without_a_known_licence_is_refused_and_the_teachers_own_is_one(report, folder):
    facts = dataclasses.replace(FACTS, licence=None)
    problems = lint_card(build_card(report, facts, FIGURES), report, facts, folder)
    assert [line for line in problems if "licence" in line] and all("figures" not in line for line in problems)
    report["training"]["teacher"]["licence"] = {"licence": "mit", "source": "the card of someone/teacher"}
    assert lint_card(build_card(report, facts, FIGURES), report, facts, folder) == []


def one_by_one(lint, report, texts):
    """For each of the texts, paragraphs of one hand-written block, its line in the card and what was found on that line."""
    card = with_note(report, "\n\n".join(texts))
    problems = lint(card)
    lines = [line_of(card, card.index(f"\n{text}\n") + 1) for text in texts]
    found = [[p.split(": ", 1)[1] for p in problems if p.startswith(f"README.md:{line}: ")] for line in lines]
    assert sum(map(len, found)) == len(problems)
    return found


def test_placeholders_are_named_with_their_lines(report, lint):
    texts = {
        "TODO: say more.": "TODO",
        "[More Information Needed]": "[More Information Needed]",
        "[more information needed]": "[more information needed]",
        "Written by [your name].": "[your name]",
        "Write to {{ contact }}.": "{{ contact }}",
        "Load my-model-name.": "my-model-name",
        "Lorem ipsum dolor.": "Lorem ipsum",
    }
    problems = one_by_one(lint, report, texts)
    assert problems == [[f"a placeholder is left: {found!r}; fill it in or take it out"] for found in texts.values()]


def test_ordinary_text_and_links_to_what_is_published_or_elsewhere_are_fine(report, lint):
    links = ("report.json", "report.json#L3", "figures/", "figures/seat.png", "./config.json", "https://example.org/a")
    texts = [
        *(f"[x]({link})" for link in links),
        "<https://example.org>",
        "[x](mailto:a@example.org)",
        "`[x](gone.md)`",
    ]
    texts += ["![a plot](figures/seat.png)", "A todo list; what else?", "[your results](report.json)", "`x: {y}`"]
    assert one_by_one(lint, report, texts) == [[]] * len(texts)


def test_links_and_pictures_that_lead_nowhere_are_named_with_their_lines(report, lint):
    texts = {
        "![a plot](figures/none.png)": "picture 'figures/none.png' does not exist",
        "![a plot](report.json.png)": "picture 'report.json.png' does not exist",
        "![](figures/seat.png)": "picture figures/seat.png has no alternative text",
        "[x](training.json)": "link 'training.json' does not exist",
        "[x](/report.json)": "link '/report.json' leads out of what is published",
        "[x](#no-such-part)": "link '#no-such-part' has no heading",
        "[x]()": "link '' leads nowhere",
        "[x][label]": "link 'gone.md' does not exist",
    }
    problems = one_by_one(lint, report, {**texts, "[label]: gone.md": ""})
    assert [line[0].split(":")[0] for line in problems[:-1]] == list(texts.values()) and problems[-1] == []
    [outside] = one_by_one(lint, report, ["[x](../other/README.md)"])
    assert any("leads out of what is published" in problem for problem in outside)


def test_an_anchor_is_that_of_a_heading_of_the_card(card, report, lint):
    heading = re.search(r"^## ([A-Z][a-z ]+)$", card, re.MULTILINE)[1]
    assert lint(with_note(report, f"See [there](#{heading.lower().replace(' ', '-')}).")) == []


def test_a_picture_that_is_none_is_named(card, lint, folder):
    (folder / "figures" / "seat.png").write_text("not a picture")
    assert any("picture 'figures/seat.png' is no PNG file" in line for line in lint(card))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """``drawn(report)``: the folder of its pictures, drawn once."""
    folder = tmp_path_factory.mktemp("drawn")
    return lambda report: folder if any(folder.iterdir()) else draw_pictures(report, folder)[0].parent


@pytest.mark.parametrize("kept", [300, -20, -12])
def test_a_picture_that_is_cut_off_is_named(card, lint, folder, report, drawn, kept):
    whole = (drawn(report) / "seat.png").read_bytes()
    (folder / "figures" / "seat.png").write_bytes(whole[:kept])
    [problem] = lint(card)
    assert re.match(r"README\.md:\d+: picture 'figures/seat\.png' is a damaged PNG file", problem)


def test_a_picture_with_a_changed_byte_is_named(card, lint, folder, report, drawn):
    data = bytearray((drawn(report) / "seat.png").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "figures" / "seat.png").write_bytes(data)
    assert any("picture 'figures/seat.png' is a damaged PNG file" in line for line in lint(card))


def test_the_reports_own_pictures_have_no_problem_and_one_in_anothers_place_has(card, lint, folder, report, drawn):
    seat, losses = (folder / "figures" / name for name in ("seat.png", "loss_curves.png"))
    seat.write_bytes((drawn(report) / "seat.png").read_bytes())
    assert lint(card) == []
    losses.write_bytes(seat.read_bytes())
    draw_planted_figure({"C6": 0.5}, {"teacher": {"C6": 0.9}}, seat)
    another, empty = sorted(lint(card), key=lambda line: "loss" in line)
    assert re.match(r"README\.md:\d+: picture 'figures/seat\.png': it has another size than what the report", another)
    assert re.match(r"README\.md:\d+: picture 'figures/loss_curves\.png': the report has no numbers for it", empty)


def test_a_picture_of_another_report_is_named_by_its_pixels(report, folder, drawn):
    (folder / "figures" / "seat.png").write_bytes((drawn(report) / "seat.png").read_bytes())
    report["measures"]["seat"][0]["model"]["tests"]["sent-weat6"]["effect_size"] -= 0.05
    [problem] = lint_card(build_card(report, FACTS, FIGURES), report, FACTS, folder)
    assert re.search(r"picture 'figures/seat\.png': \d+ pixels are not what the report gives", problem)


def without_comparison_of_text(monkeypatch, text):
    """As if report and facts gave ``text``: what is wrong in it is a fault of the card's own making."""
    monkeypatch.setattr(linted_card, "build_card", lambda *args: text)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda t: re.sub(r"(metrics:\n\s+- type: seat_effect_size\n\s+value: )\S+", r"\g<1>.nan", t, count=1),
            "is nan",
        ),
        (
            lambda t: re.sub(r"(metrics:\n\s+- type: seat_effect_size\n\s+value: )\S+", r"\g<1>0.77", t, count=1),
            "is 0.77, which the report does not hold",
        ),
        (
            lambda t: re.sub(r"(metrics:\n\s+- type: seat_effect_size\n\s+value: )\S+", r"\g<1>high", t, count=1),
            "is 'high', no number",
        ),
        (
            lambda t: re.sub(r"(confidence_interval:\n\s+- )\S+", r"\g<1>-0.123", t, count=1),
            "is -0.123, which the report does not hold",
        ),
        (
            lambda t: t.replace("config: sent-weat6b-mean-builtin", "config: sent-weat6-mean-builtin"),
            "2 results of the model-index share",
        ),
        (lambda t: re.sub(r"model-index:\n- name: .*\n", "model-index:\n- name: ''\n", t), "no model name"),
        (lambda t: t.replace("model-index:\n", "model-index: [\n"), "front matter cannot be read"),
        (lambda t: t.split("---\n", 2)[2], "has no front matter"),
        (lambda t: re.sub(r"model-index:\n.*?\n---\n", "license: mit\n---\n", t, flags=re.DOTALL), "front matter"),
    ],
)
def test_a_front_matter_that_the_hub_would_misread_is_refused_even_if_the_card_was_made_so(
    card, lint, monkeypatch, change, problem
):
    wrong = change(card)
    without_comparison_of_text(monkeypatch, wrong)
    problems = lint(wrong)
    assert wrong != card and any(problem in line and line.startswith("README.md:") for line in problems), problems


def test_a_changed_value_of_the_model_index_is_named_once(card, lint):
    match = re.search(r"type: seat_effect_size\n\s+value: (\S+)", card)
    [problem] = lint(card[: match.start(1)] + "0.77" + card[match.end(1) :])
    assert (
        problem
        == f"README.md:{line_of(card, match.start(1))}: prints 0.77 where the report and the facts give {match[1]}"
    )


def test_a_number_without_interval_needs_a_reason_in_the_report_and_in_the_card(report, folder):
    test = report["measures"]["seat"][0]["model"]["tests"]["sent-weat6"]
    test["confidence_interval"], test["note"] = None, None
    problems = lint_card(build_card(report, FACTS, FIGURES), report, FACTS, folder)
    assert any(
        "seat, sent-weat6 (model) has no interval in report.json, and no note says why" in line for line in problems
    )
    without = build_card(report, FACTS, FIGURES)
    test["note"] = "all words have one sentence"
    assert not [
        line for line in lint_card(build_card(report, FACTS, FIGURES), report, FACTS, folder) if "interval" in line
    ]
    problems = lint_card(without, report, FACTS, folder)
    assert any("the card does not print why: all words have one sentence" in line for line in problems)


def test_a_score_without_n_needs_a_reason(report, folder):
    score = {
        "key": "cola", "name": "CoLA", "value": 50.0, "unit": "points", "n": 0, "confidence_interval": [45.0, 55.0], "confidence_level": 0.95,
        "interval_method": "bootstrap", "ideal": None, "better": "higher", "note": None,
    }  # fmt: skip
    entry = {"model": {"measure": "glue", "scores": [score]}, "reference": None, "comparison": None}
    report["measures"]["glue"] = [{**entry, "not_applicable": {"model": None, "reference": None}}]
    facts = FACTS
    lines = lint_card(build_card(report, facts, FIGURES), report, facts, folder)
    assert any("glue, cola (model) has no n in report.json" in line for line in lines), lines


def emptied(record, key):
    """``record`` with nothing at its place ``key``: of counts by side a nought each."""
    record[key] = dict.fromkeys(record[key], 0) if isinstance(record[key], dict) else None


@pytest.mark.parametrize(
    ("measure", "side", "place", "named"),
    [
        ("glue", "model", ["mean_of_tasks_run", "confidence_interval"], "no interval"),
        ("glue", "reference", ["mean_of_tasks_run", "confidence_interval"], "no interval"),
        ("glue", "comparison", ["mean_of_tasks_run", "confidence_interval"], "no interval"),
        ("glue", "model", ["tasks", "cola", "metrics", "f1", "confidence_interval"], "no interval"),
        ("glue", "model", ["tasks", "cola", "metrics", "f1", "n"], "no n"),
        ("glue", "comparison", ["scores", 0, "confidence_interval"], "no interval"),
        ("speed", "comparison", ["scores", 0, "ratio_confidence_interval"], "no interval"),
        ("crows_pairs", "model", ["scores", 0, "n"], "no n"),
        ("seat", "model", ["tests", "sent-weat6", "n_words"], "no n"),
        ("seat", "reference", ["tests", "sent-weat6", "n_sentences"], "no n"),
        ("seat", "model", ["families", "gender", "confidence_interval"], "no interval"),
        ("seat", "comparison", ["tests", "sent-weat6", "confidence_interval_absolute"], "no interval"),
    ],
)
def test_each_number_of_a_table_needs_its_interval_and_n(report, measure, side, place, named):
    published = published_report(complete(report))

    def problems():
        found = missing_uncertainty(linted_card.LintedCard("", published, FACTS, {}))
        return [problem.text for problem in found]

    assert problems() == []
    record = published["measures"][measure][0][side]
    for key in place[:-1]:
        record = record[key]
    emptied(record, place[-1])
    assert all(text.startswith(f"{measure}, ") and f"({side}) has {named}" in text for text in problems())
    assert problems()


def amplified(report):
    change = report["measures"]["seat"][0]["comparison"]["families"]["gender"]
    change.update(difference=0.2, confidence_interval=[0.1, 0.3], verdict="worse", worst_case=0.3)
    return report


def test_amplification_needs_a_reason_that_stands_in_the_card(report, folder):
    def problems(facts, text=None):
        lines = lint_card(text or build_card(amplified(report), facts, FIGURES), report, facts, folder)
        return [line for line in lines if "worse than the teacher's" in line]

    assert len(problems(FACTS)) == 1 and "--accept-amplification" in problems(FACTS)[0]
    accepted = dataclasses.replace(FACTS, accepted_amplification="It is the baseline | of a study.")
    assert problems(accepted) == []
    assert len(problems(accepted, build_card(report, FACTS, FIGURES))) == 1
    wide = dataclasses.replace(FACTS, gate={"mean_margin": 0.15, "test_margin": 0.0, "alpha": 0.05})
    assert problems(wide) == []


def test_a_report_with_nan_or_of_another_schema_is_refused_in_one_line(card, report, folder):
    for change in ({"schema_version": 1}, {"evenhand_version": float("nan")}):
        with pytest.raises(ValueError) as caught:
            lint_card(card, {**report, **change}, FACTS, folder)
        assert "\n" not in str(caught.value)


def test_every_check_is_listed_once():
    assert len(set(card_checks.CHECKS)) == len(card_checks.CHECKS) == 10


def test_a_card_alone_is_checked_for_what_needs_no_report(card, folder):
    wrong = re.sub(r"(type: seat_effect_size\n\s+value: )\S+", r"\g<1>.nan", card, count=1) + "\n[x](gone.md)\n"
    first, *others = card_checks.lint_card_alone(wrong, folder)
    assert "its numbers cannot be compared with a report" in first
    assert [re.sub(r":\d+:", ":", line).split(" (")[0] for line in others] == [
        "README.md: value of sent-weat6-mean-builtin in the model-index is nan",
        "README.md: link 'gone.md' does not exist: gone.md is not among the files that are published",
    ]


def test_problems_are_lines_in_the_cards_order(card, lint):
    wrong = card.replace("figures/seat.png", "figures/gone.png").replace("## ", "## TODO ") + "see /home/me/runs/1\n"
    problems = lint(wrong)
    numbers = [int(match[1]) for line in problems if (match := re.match(r"README\.md:(\d+): ", line))]
    assert numbers == sorted(numbers) and len(numbers) > 5 and all("\n" not in line for line in problems)
