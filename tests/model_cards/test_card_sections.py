"""Each section of the card says what the report holds, and what it does not hold is named instead of guessed."""

import re

import pytest
from full_report import complete, stated

from evenhand.evaluation.report_order import ordered_tests
from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.card import SECTIONS
from evenhand.model_cards.sections.benchmarks import GLUE_TASKS, MEASURES, METHODS
from evenhand.model_cards.sections.citations import (
    ALWAYS,
    ARCHITECTURES,
    CDA,
    CLASSIFIERS,
    CORPORA,
    PAIRS,
    SUPERVISION,
    bibliography,
)
from evenhand.model_cards.sections.provenance import LOADING_SECONDS, TABLE_SECONDS
from evenhand.model_cards.sections.score_tables import TITLES

PICTURES = [
    f"figures/{name}.png" for name in ("seat", "planted", "glue", "loss_curves", "sensitivity", "tradeoff", "other")
]


def section(card, heading):
    """The text from one heading of the second level to the next."""
    return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)[1]


def test_the_sections_stand_in_their_order(report):
    headings = re.findall(r"^## (.*)$", build_card(complete(report), CardFacts()), re.MULTILINE)
    assert headings == [
        *("Gender association (SEAT)", "What was planted, and what was measured", "Sensitivity to pooling and layer"),
        *("GLUE", "CrowS-Pairs", "Speed"),
        *("Association beside quality", "Uses and recommendations", "How it was distilled", "How to use it"),
        *("Limits of the measurement", "Licences", "Provenance and verification", "Citations"),
    ]
    # the opening stands under the title
    of_a_language_model = [name for name in SECTIONS if not name.startswith("classifier_") and name != "groups"]
    assert len(headings) - len(("CrowS-Pairs", "Speed")) == len(of_a_language_model) - 1


def test_what_was_planted_stands_in_a_table_with_what_was_measured(report):
    part = section(build_card(complete(report), CardFacts(), PICTURES), "What was planted, and what was measured")
    entry = report["measures"]["seat"][0]
    tests = {test["label"]: name for name, test in entry["model"]["tests"].items()}

    def cell(side, label):
        test = entry[side]["tests"][tests[label]]
        low, high = test["confidence_interval"]
        return f"{test['effect_size']:+.3f} [{low:+.2f}, {high:+.2f}]"

    rows = [line for line in part.splitlines() if line.startswith("| C")]
    assert rows == [
        f"| {label} | {strength} | {cell('reference', label)} | {cell('model', label)} |"
        for label, strength in (("C7", "-0.40"), ("C8", "+0.00"), ("C6", "+0.80"))
    ]
    assert "](figures/planted.png)" in part
    report["reference"] = entry["reference"] = entry["comparison"] = None
    part = section(build_card(report, CardFacts()), "What was planted, and what was measured")
    assert "teacher" not in part and f"| C6 | +0.80 | {cell('model', 'C6')} |" in part


@pytest.mark.parametrize("planted", [{"C6": "strong"}, ["C6"], {"C6": True}])
def test_planted_strengths_that_are_no_numbers_by_name_are_one_clear_line(report, planted):
    report["training"]["planted"] = planted
    with pytest.raises(ValueError, match=r"where (named values|a number) belongs?") as error:
        build_card(report, CardFacts())
    assert "\n" not in str(error.value)


def test_what_was_not_measured_has_no_section(report):
    card = build_card(report, CardFacts())
    for heading in ("What was planted", "Sensitivity", "GLUE", "Speed", "Association beside quality"):
        assert f"## {heading}" not in card
    absent = next(line for line in card.splitlines() if line.startswith("- Not measured in this report"))
    of_a_language_model = [title for name, title in TITLES.items() if name not in ("groups", "internals")]
    assert all(title in absent for title in of_a_language_model)


def test_an_older_report_says_what_it_does_not_record(report):
    card = build_card(report, CardFacts())
    distillation, provenance = section(card, "How it was distilled"), section(card, "Provenance and verification")
    for text in ("- Hardware: not recorded", "- Training time: not recorded", "- Energy: not measured"):
        assert text in distillation
    for phase in ("training", "measurement"):
        assert f"| code commit, {phase} | not recorded |" in provenance
    assert "Expected time: not measured" in provenance
    assert "| wiki.txt | training | not recorded | – |" in section(card, "Licences")
    assert "Its teacher teacher: not recorded." in section(card, "Licences")


def test_the_code_that_measured_is_told(report):
    code = {"version": "0.1.0", "commit": "d" * 40, "modified": False}
    told = section(build_card(report | {"code": code}, CardFacts()), "Provenance and verification")
    assert f"| code commit, measurement | `{'d' * 40}` |" in told
    changed = build_card(report | {"code": code | {"modified": True}}, CardFacts())
    assert f"| code commit, measurement | `{'d' * 40}`, with local changes |" in changed


def test_circumstances_of_the_training_are_told(report):
    card = build_card(complete(report), CardFacts())
    distillation, provenance = section(card, "How it was distilled"), section(card, "Provenance and verification")
    assert "- Hardware: cpu, A Processor, 2 CPU cores, 2 threads, 2 processes" in distillation
    assert "- Training time: 1 h 02 min" in distillation
    assert "- Energy: 0.0123 kWh, one reading by codecarbon 3.0, of the machine" in distillation
    assert f"| Salesforce/wikitext | `{'c' * 40}` | 1 |" in distillation
    assert f"| code commit, training | `{'b' * 40}`, with local changes |" in provenance
    assert "| python, training | `3.12.1` |" in provenance and "| python, measurement | `3.11.2` |" in provenance


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.34, "12.3 s"), (200, "3 min 20 s"), (3599.7, "1 h 00 min"), (36000, "10 h 00 min")]
)
def test_times_are_told_in_their_own_unit(report, seconds, text):
    report["training"]["seconds"] = seconds
    assert f"- Training time: {text}\n" in build_card(report, CardFacts())


def test_the_loss_curve_is_a_table_whose_last_row_is_the_last_step(report):
    curve = [{"step": 10 * i, "loss": 9.0 - i / 100, "ce": 0.5, "mlm": None} for i in range(1, 102)]
    report["training"]["loss_curve"] = curve
    lines = section(build_card(report, CardFacts()), "How it was distilled").splitlines()
    start = lines.index("| step | loss | ce |")
    rows = [line for line in lines[start + 2 :] if re.match(r"\| [\d,]+ \| [\d.]+ \| [\d.]+ \|$", line)]
    assert rows[0] == "| 10 | 8.990 | 0.500 |" and rows[-1] == "| 1,010 | 7.990 | 0.500 |"
    assert len(rows) <= 41 and f"{len(rows)} of 101 logged steps" in "\n".join(lines)


def test_every_picture_has_text_for_those_who_do_not_see_it_and_its_numbers_beside_it(report):
    card = build_card(complete(report), CardFacts(), PICTURES)
    shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", card)
    assert sorted(path for _, path in shown) == sorted(PICTURES)
    assert all(len(alt) > 10 for alt, path in shown if "other" not in path)
    places = {"seat": "Gender association (SEAT)", "glue": "GLUE", "loss_curves": "How it was distilled"}
    places |= {"sensitivity": "Sensitivity to pooling and layer", "tradeoff": "Association beside quality"}
    for name, heading in places.items():
        text = section(card, heading)
        assert f"](figures/{name}.png)" in text and "\n| " in text, name


def test_the_heat_map_and_the_trade_off_have_their_numbers_in_tables(report):
    card = build_card(complete(report), CardFacts())
    grid = section(card, "Sensitivity to pooling and layer")
    assert "| pooling | layer | mean \\|d\\| | C6 |" in grid and "| cls | 1 | 0.050 | +0.050 |" in grid
    assert "student: C6 in 2 of 4 cells" in grid and "321 distinct sentences" in grid
    tradeoff = section(card, "Association beside quality")
    assert "| teacher | 0.992 [0.50, 0.90] | 63.00 [60.00, 66.00] |" in tradeoff
    assert "| student | 0.737 [0.50, 0.90] | 60.00 [57.00, 63.00] |" in tradeoff


def test_glue_has_its_metric_n_intervals_correction_recipe_and_further_metrics(report):
    text = section(build_card(complete(report), CardFacts()), "GLUE")
    assert (
        "| CoLA, Matthews correlation (points) | 1,043 | 63.00 [60.00, 66.00] | 60.00 [57.00, 63.00] | -3.00 [-4.00, -2.00] | 0.0100 | 0.0200 | worse |"
    ) in text
    assert "| **mean of the tasks run (not GLUE)** | 2 tasks |" in text
    assert "Average over eight tasks without WNLI: none (no average; not run: RTE). Its recipe: mean of eight." in text
    assert "| CoLA, f1 (points) | 77 |" in text.split("Further metrics")[1]
    assert "Settings: epochs 3, seeds 0 and 1." in text


def test_a_number_without_an_interval_says_so_and_why(report):
    score = complete(report)["measures"]["crows_pairs"][0]["model"]["scores"][0]
    score |= {"confidence_interval": None, "interval_method": "fewer than ten pairs"}
    text = section(build_card(report, CardFacts()), "CrowS-Pairs")
    assert "| 58.5 [none] |" in text and "no interval for the student: fewer than ten pairs" in text


def test_the_numbers_that_were_taken_are_counted(report):
    text = section(build_card(complete(report), CardFacts()), "Limits of the measurement")
    tests = [test for _, test in ordered_tests(report["measures"]["seat"][0]["model"])]
    assert f"| SEAT, mean, builtin | {2 * len(tests)} | " in text  # d over sentences, and with words of one weight
    assert "| Sensitivity grid | 4 | 0 |" in text and "| GLUE | 4 | 3 |" in text
    corrected = sum(test["p_value_holm"] is not None for test in tests)
    assert f"({2 * corrected} of the student's {2 * len(tests)} word-level p-values have a corrected one)" in text


def test_the_expected_time_follows_from_the_measured_speed(report):
    complete(report)
    # a table of 1,234 built-in sentences and the grid of 321, at 400 sentences a second
    fixed = LOADING_SECONDS + 2 * TABLE_SECONDS
    assert f"Expected time: about {round(1555 / 400 + fixed, -1):.0f} s" in build_card(report, CardFacts())
    report["measures"]["speed"][0]["model"]["scores"][0]["value"] = 2.0
    assert f"Expected time: about {(1555 / 2 + fixed) / 60:.0f} min" in build_card(report, CardFacts())


def test_data_licences_are_declared_read_or_not_recorded(report):
    complete(report)
    report["training"]["corpus"]["sources"].append({"path": "mine.txt", "weight": 1.0, "sha256": "e" * 64})
    declared = {"mine.txt": "cc0-1.0", "CoLA": "other", "something else": "mit"}
    text = section(build_card(report, CardFacts(data_licences=declared)), "Licences")
    for row in (
        "| Salesforce/wikitext | training | cc-by-sa-3.0 | its own card |",
        "| mine.txt | training | cc0-1.0 | declared by whoever publishes this model |",
        "| CoLA | measurement | other | declared by whoever publishes this model |",
        "| SST-2 | measurement | not recorded | – |",
        "| CrowS-Pairs | measurement | cc-by-sa-4.0 | as its repository states it |",
        "| something else | not recorded | mit | declared by whoever publishes this model |",
    ):
        assert row in text, row
    assert "StereoSet" not in text  # was not measured


def test_the_licence_is_the_declared_one_else_the_one_on_the_teachers_card(report):
    complete(report)
    assert "- Licence: apache-2.0 (the card of org/teacher)" in build_card(report, CardFacts())
    declared = build_card(report, CardFacts(licence="mit", licence_source="the card of somebody"))
    assert "- Licence: mit (the card of somebody)" in declared and "\nlicense: mit\n" in declared
    assert "(declared by whoever publishes this model)" in build_card(report, CardFacts(licence="mit"))
    report["training"]["teacher"]["licence"] = stated("mit, apache-2.0", "the card of org/teacher")
    card = build_card(report, CardFacts())
    assert "- Licence: not declared" in card and "\nlicense:" not in card  # which of the two holds would be a guess
    report["training"]["teacher"]["licence"] = stated(
        "other", "the card of org/teacher", name="n", link="https://x.example"
    )
    assert "\nlicense: other\nlicense_name: n\nlicense_link: https://x.example\n" in build_card(report, CardFacts())


def test_what_was_used_is_cited_and_nothing_else(report):
    cited = section(build_card(report, CardFacts()), "Citations")
    assert all(key in cited for key in (*ALWAYS, "devlin-etal-2019-bert", "zhang-etal-2018-mixup"))
    assert "wang-etal-2019-glue" not in cited and "nangia" not in cited
    cited = section(build_card(complete(report), CardFacts()), "Citations")
    for key in (
        "wang-etal-2019-glue",
        "warstadt-etal-2019",
        "socher-etal-2013",
        "nangia-etal-2020",
        "merity-etal-2017",
    ):
        assert key in cited
    assert "williams-etal-2018" not in cited  # MNLI was not run
    report["training"]["supervision"] = None
    assert "zhang-etal-2018-mixup" not in build_card(report, CardFacts())


def test_every_citation_that_can_be_asked_for_exists_and_closes_its_braces():
    keys = {
        *ALWAYS,
        *CLASSIFIERS,
        *CDA,
        *ARCHITECTURES.values(),
        *PAIRS.values(),
        *CORPORA.values(),
        "wang-etal-2019-glue",
    }
    keys |= {key for found in (*SUPERVISION.values(), *METHODS.values()) for key in found}
    benchmarks = [*GLUE_TASKS.values(), *(one for found in MEASURES.values() for one in found)]
    keys |= {key for benchmark in benchmarks for key in benchmark.citations}
    assert set(bibliography()) == keys
    for key, entry in bibliography().items():
        assert entry.startswith("@") and f"{{{key}," in entry and entry.count("{") == entry.count("}")
        assert all(f"  {field} = {{" in entry for field in ("title", "author", "year")), key


@pytest.mark.parametrize(
    "change",
    [
        {"supervision": "mixup"},
        {"corpus": {"sources": "wiki.txt"}},
        {"corpus": ["wiki.txt"]},
        {"objective": {"weights": [1, 2]}},
        {"loss_curve": [1, 2]},
        {"energy": {"kwh": "much"}},
        {"seconds": "long"},
        {"watch": {"curve": [1, 2], "measures": {}}},
    ],
)
def test_a_training_record_of_another_shape_is_one_clear_line(report, change):
    report["training"] |= change
    with pytest.raises(ValueError, match=r"distil again|another shape|where a number belongs") as error:
        build_card(report, CardFacts())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("with_teacher", [True, False])
def test_every_row_of_a_table_has_as_many_cells_as_its_head(report, with_teacher):
    complete(report)
    if not with_teacher:
        report["reference"] = None
        for entries in report["measures"].values():
            for entry in entries:
                entry |= {"reference": None, "comparison": None}
    lines = [line for line in build_card(report, CardFacts()).splitlines() if not line.startswith("<")]
    widths, tables = None, 0
    for line in lines:
        cells = len(re.split(r"(?<!\\)\|", line)) if line.startswith("|") else None
        tables += cells is not None and widths is None
        assert cells is None or widths in (None, cells), line
        widths = cells
    assert tables >= 10


# -- supervision transforms and augmented text -------------------------------------------------------------------------

PAIRS_OF_A_TRANSFORM = {
    "source": "bolukbasi2016",
    "matched": [["he", "she"], ["man", "woman"]],
    "multi_token": [],
    "skipped": [{"pair": ["grandfather", "grandmother"], "reason": "more than one token"}],
}
MIXED = {
    "mix": ["student_inputs"], "second_view": "twin", "alpha": 0.4, "granularity": "occurrence",
    "mixed_positions": 77, "sequences_with_pair_words": 5,
}  # fmt: skip
TRANSFORMS = {
    "on logits": (
        {"name": "pair_equalisation", "on": "logits", "equalised_positions": 4321},
        ("following Delobelle & Berendt 2022: the teacher's logits of the two words", "at 4,321 compared positions"),
        "FairDistillation",
    ),
    "on probabilities": (
        {"name": "pair_equalisation", "on": "probabilities", "temperature": 3.0, "equalised_positions": 4321},
        ("the teacher's probabilities of the two words of each pair, at temperature 3,",),
        "FairDistillation",
    ),
    "swap": (
        {"name": "counterfactual_teacher", "combine": "swap", "combined_positions": 4321, "sequences_with_pair_words": 99},
        ("following Gupta et al. 2022", "were replaced by those of its counterfactual", "at 4,321 compared positions of 99 sequences"),
        "Counterfactual Role Reversal",
    ),
    "expmean": (
        {"name": "counterfactual_teacher", "combine": "expmean", "combined_positions": 4321, "sequences_with_pair_words": 99},
        ("were combined by `expmean`, at 4,321 compared positions",),
        "Counterfactual Role Reversal",
    ),
    "random": (
        {"name": "random_pair_mixup", "random_pairs": {"occurrences": 62_495, "occurrences_matched": 62_472}, **MIXED},
        ("a control: the mixup of Ahn et al. 2022 at pairs of unrelated words", "62,495 occurrences, where the gender pairs have 62,472",
         "not about gender", "77 positions were mixed"),
        "mixup: Beyond Empirical Risk Minimization",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_transform_is_described_in_its_own_words_and_its_paper_cited(report, name):
    settings, said, title = TRANSFORMS[name]
    report["training"]["supervision"] = settings | {"pairs": PAIRS_OF_A_TRANSFORM}
    card = build_card(report, CardFacts())
    distillation = section(card, "How it was distilled")
    for text in (*said, f"Supervision: `{settings['name']}`", "- Pairs matched: he/she, man/woman"):
        assert text in distillation
    assert "- Skipped: grandfather/grandmother (more than one token)" in distillation
    assert title in card.replace("{F}air{D}", "FairD") and "Man is to Computer Programmer" in card
    for other, (_, _, its_title) in TRANSFORMS.items():
        if its_title != title:
            assert its_title not in card.replace("{F}air{D}", "FairD"), other


def test_text_chosen_for_its_pairs_is_said_to_be_chosen(report):
    assert "Chosen text" not in build_card(report, CardFacts())
    chosen = {"pair_share": 0.1, "pair_share_source": "my_pairs.txt", "lines_left_out": 1234}
    report["training"]["corpus"] |= chosen
    said = section(build_card(report, CardFacts()), "How it was distilled")
    assert "a share of at least 0.1 of the words is of a word pair" in said
    assert "Pairs: my_pairs.txt. Lines left out: 1,234." in said


@pytest.mark.parametrize(
    ("kind", "said"),
    [("two_sided", "stands beside its counterfactual. Pairs: my_pairs.txt. Lines added: 1,234."),
     ("one_sided", "is replaced by its counterfactual. Pairs: my_pairs.txt. Lines replaced: 1,234.")],
)  # fmt: skip
def test_augmented_text_is_said_to_be_augmented(report, kind, said):
    assert "Counterfactual data augmentation" not in build_card(report, CardFacts())
    report["training"]["corpus"] |= {"cda": kind, "cda_source": "my_pairs.txt", "counterfactual_lines": 1234}
    card = build_card(report, CardFacts())
    assert said in section(card, "How it was distilled")
    assert "Measuring and Reducing Gendered Correlations" in card
