"""Numbers that people write into a card: those of the report as it rounds them, with interval and n, or others' with a source."""

import pytest
from full_report import complete

from evenhand.model_cards import CardFacts
from evenhand.model_cards.hand_written import block
from evenhand.model_cards.lint.hand_written_numbers import hand_written_numbers
from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.numbers_in_text import measurement_like, sentences
from evenhand.model_cards.lint.report_numbers import COUNT, ESTIMATE, leaves, mentions, report_numbers
from evenhand.model_cards.published_report import published_report

BEFORE = "# A title\n\n"


def score(key, name, value, interval, n):
    return {
        "key": key, "name": name, "value": value, "unit": "points", "n": n, "confidence_interval": interval, "confidence_level": 0.95,
        "interval_method": "bootstrap", "ideal": None, "better": "higher", "note": None,
    }  # fmt: skip


@pytest.fixture
def published(report):
    """Mean |d| .737 (teacher .992), C6 +1.176 [.776, 1.476]; SST-2 74.312 [71.330, 77.179] of 872, RTE 51.264 [45.487, 57.040] of 277."""
    scores = [
        score("sst2", "SST-2, accuracy", 74.3119, [71.3303, 77.1789], 872),
        score("rte", "RTE, accuracy", 51.2635, [45.4874, 57.0397], 277),
    ]
    teacher = [score("sst2", "SST-2, accuracy", 86.5826, [84.2890, 88.8761], 872)]
    report["measures"]["glue"] = [
        {
            "model": {"measure": "glue", "scores": scores},
            "reference": {"measure": "glue", "scores": teacher},
            "comparison": None,
            "not_applicable": {"model": None, "reference": None},
        }
    ]
    report["training"]["seconds"] = 7200.0
    return published_report(report)


@pytest.fixture
def problems(published):
    """``problems(text)``: what is found in it as a hand-written block of a card."""

    def find(text):
        card = LintedCard(BEFORE + block("limits", text) + "\n", published, CardFacts(), {})
        return list(hand_written_numbers(card))

    return find


@pytest.mark.parametrize(
    "text",
    [
        "The student's mean |d| is 0.737 [0.50, 0.90] over six tests.",
        "The student's mean |d| is **0.74** (95 % interval 0.50 to 0.90, n = 6).",
        "On SST-2 it reaches 74.3 % [71.3, 77.2], n = 872.",
        "On SST-2 it has 74 % [71.3 %, 77.2 %] of 872 examples.",
        "On SST-2 it has 74 %, between 71.3 and 77.2, on 872 examples.",
        "SST-2 falls from 86.6 [84.3, 88.9] to 74.3 [71.3, 77.2] on 872 examples.",
        "Mean |d| is 0.255 lower than the teacher's, interval [-0.355, -0.155], over six tests.",
        "C6 is +1.18 [+0.78, +1.48] with 32 words.",
        "| task | points | interval | n |\n| --- | ---: | --- | ---: |\n| SST-2 | 74.3 | [71.3, 77.2] | 872 |",
        "The word-level p of C6 is 0.0123.",
        "It has 17,000,003 parameters, 17.0M in short, in 3 layers, after 100 steps.",
        "The temperature was 2.0, the Beta parameter 0.4.",
        "Training took 2.0 hours.",
        "In 2024 we asked 20 people on 3 days, with Python 3.11, transformers 5.23.0 and 16.5 GB, under Apache 2.0 (section 4.2).",
        "A test counts at p < .05, an interval is a 95 % interval.",
        "`0.123` is what the command prints.\n\n```\nd = 0.456\n```",
        "> Ahn et al. report 0.456 ([table 2](https://aclanthology.org/2022.gebnlp-1.27)).",
    ],
)
def test_true_statements_pass(problems, text):
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The student's mean |d| is 0.738 [0.50, 0.90] over six tests.", "0.738"),
        ("The student's mean |d| is 0.992 [0.50, 0.90] over six tests.", "0.992"),
        ("On SST-2 it reaches 74.4 % [71.3, 77.2], n = 872.", "74.4 %"),
        ("On SST-2 it reaches 51.3 % [71.3, 77.2], n = 872.", "51.3 %"),
        ("On SST-2 it reaches 74.3 % [71.3, 77.3], n = 872.", "[71.3, 77.3]"),
        ("On SST-2 it reaches 74.3 % [45.5, 57.0], n = 872.", "[45.5, 57.0]"),
        ("C6 is -1.18 [+0.78, +1.48] with 32 words.", "-1.18"),
        ("Mean |d| is 0.256 lower than the teacher's, interval [-0.355, -0.155], over six tests.", "0.256"),
        ("It has 17,000,004 parameters.", "17,000,004"),
        ("It has 18.0M parameters.", "18.0M"),
        ("It has 4 layers.", "4"),
        ("Training took 2.5 hours.", "2.5 hours"),
        ("Training took 0.3 kWh.", "0.3 kWh"),
        ("It keeps 97 % of the teacher.", "97 %"),
        ("Ahn et al. report 0.456.", "0.456"),
        ("> Ahn et al. report 0.456.", "0.456"),
        ("n = 873 on SST-2.", "873"),
        ("| task | points | interval | n |\n| --- | ---: | --- | ---: |\n| RTE | 74.3 | [45.5, 57.0] | 277 |", "74.3"),
    ],
)
def test_a_number_that_is_not_the_reports_is_named(problems, text, number):
    [problem] = problems(text)
    assert number in problem.text.replace("\xa0", " ") and "hand-written text" in problem.text


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("The student's mean |d| is 0.737.", "interval and n"),
        ("The student's mean |d| is 0.737 over six tests.", "interval"),
        ("The student's mean |d| is 0.737 [0.50, 0.90].", "n"),
        ("The student's mean |d| is 0.737. Its interval is [0.50, 0.90] over six tests.", "interval and n"),
        ("- SST-2: 74.3 %", "interval and n"),
        ("## SST-2: 74.3 %", "interval and n"),
        ("| task | points | n |\n| --- | ---: | ---: |\n| SST-2 | 74.3 | 872 |", "interval"),
    ],
)
def test_an_estimate_needs_interval_and_n_in_its_sentence(problems, text, missing):
    [problem] = problems(text)
    assert f"stands without {missing} in its sentence" in problem.text


def test_no_percentage_passes_that_names_no_measure(problems, published):
    published["measures"]["glue"][0]["comparison"] = {"n_changed": 90, "n_pairs": 7}
    passed = [n for n in range(1, 100) if not problems(f"It is {n} % less biased than its teacher.")]
    assert passed == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SST-2 accuracy is 99.", "99"),
        ("RTE accuracy is 85 points.", "85 points"),
        ("Its accuracy is 85 points.", "85 points"),
        ("Its GLUE mean is 80.", "80"),
        ("SST-2 accuracy is 80 and RTE accuracy is 51 [45, 57] on 277 examples.", "80"),
        ("On SST-2 it reaches 51, [71, 77], n = 872.", "51"),
        ("SST-2 accuracy is 872.", "872"),
        ("SST-2 accuracy is 8.0.", "8.0"),
        ("It is 2x faster than its teacher.", "2x"),
        ("It is 2 times as fast as its teacher.", "2 times"),
        ("It is 16 × faster.", "16 ×"),
        ("It is 74 % accurate.", "74 %"),
    ],
)
def test_a_whole_number_that_is_said_of_a_score_is_a_measurement(problems, text, number):
    [problem] = problems(text)
    assert problem.text.replace("\xa0", " ").startswith(f"{number} in the hand-written text")


@pytest.mark.parametrize(
    "text",
    [
        "On SST-2 it reaches 74 points [71, 77], n = 872.",
        "On SST-2 (n = 872) it reaches 74 [71, 77].",
        "SST-2 was fine-tuned in 2024 with 3 seeds on 2x A100, 4 times in all.",
    ],
)
def test_whole_numbers_that_are_true_or_count_something_pass(problems, text):
    assert problems(text) == []


def test_a_number_without_a_name_is_asked_for_one(problems):
    [problem] = problems("Its accuracy reaches 74.3 [71.3, 77.2], n = 872.")
    assert "its sentence names no measure, test or score that it is of; name it" in problem.text


def test_how_many_times_as_fast_is_compared_with_the_measured_ratio(report):
    published = published_report(complete(report))

    def problems(text):
        card = LintedCard(BEFORE + block("limits", text) + "\n", published, CardFacts(), {})
        return [problem.text for problem in hand_written_numbers(card)]

    assert problems("It is 2.0 times as fast as its teacher [1.9, 2.1], n = 25.") == []
    assert [text[:4] for text in problems("It is 3.0 times as fast as its teacher [1.9, 2.1], n = 25.")] == ["3.0 "]
    assert ["without interval and n" in text for text in problems("It is 2x faster than its teacher.")] == [True]


def test_each_problem_has_its_line(problems):
    text = "A paragraph\nwhose second line says 0.456.\n\n| task | points |\n| --- | --- |\n| SST-2 | 11.1 |\n\n- one\n- 22.2 %"
    first = BEFORE.count("\n") + 3  # two lines of the marker before the text
    assert [problem.line for problem in problems(text)] == [first + 1, first + 5, first + 8]


def test_the_generated_part_is_left_to_another_check(published):
    card = LintedCard(f"It has 99.9 %.\n\n{block('limits', 'Nothing.')}\n\nAnd 88.8 %.\n", published, CardFacts(), {})
    assert list(hand_written_numbers(card)) == []


def test_of_a_sentence_about_the_teacher_only_the_teachers_numbers_are_true(problems):
    assert problems("The teacher's mean |d| is 0.992 [0.50, 0.90] over six tests.") == []
    assert [p.text[:5] for p in problems("The teacher's mean |d| is 0.737 [0.50, 0.90] over six tests.")] == ["0.737"]
    assert problems("The mean |d| is 0.737 [0.50, 0.90], its teacher's 0.992 [0.50, 0.90] over six tests.") != []
    assert (
        problems("The student's mean |d| is 0.737 [0.50, 0.90], its teacher's 0.992 [0.50, 0.90], over six tests.")
        == []
    )


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("d = 1 and n = 16", [1.0, 16.0]),
        ("17.4M or 17,400,000 parameters, 3 million", [17.4e6, 17.4e6, 3e6]),
        ("−0.5, +0.5, -.5, 5e-4 and 1.0e+2", [-0.5, 0.5, -0.5, 5e-4, 100.0]),
        ("12 %, 12%, 12 percent and 12", [12.0, 12.0, 12.0]),
        ("[0.1, 1.2]", [0.1, 1.2]),
        ("1.2.3, v1.2, GPT-3.5, python 3.11, CC BY-SA 4.0, Apache-2.0, table 3.1, 2.4 GHz, 0.5 GB", []),
        ("alpha = 0.05, p < .01, a 95 % confidence interval and 99% CI", []),
        ("in 2024, 3 seeds, chapter 7, and A4", []),
        ("1,5 and 1,500.5", [1500.5]),
    ],
)
def test_what_looks_like_a_measurement(text, numbers):
    assert [number.value for number in measurement_like(text)] == pytest.approx(numbers)


@pytest.mark.parametrize(
    ("written", "true", "false"),
    [("0.93", [0.925, 0.934999], [0.9249, 0.9351]), ("17.4M", [17.42e6], [17.46e6]), ("93 %", [92.6], [93.6, 0.93])],
)
def test_a_number_says_what_is_rounded_to_it(written, true, false):
    [number] = measurement_like(f"about {written}")
    assert all(number.rounds(value) for value in true) and not any(number.rounds(value) for value in false)


def test_sentences_end_at_full_stops_but_not_at_abbreviations_or_numbers():
    text = "We follow May et al. 2019, e.g. Their C6. It is 0.5. (So it is.)\nThe end"
    assert [part.strip() for _, part in sentences(text)] == [
        "We follow May et al. 2019, e.g. Their C6.",
        "It is 0.5.",
        "(So it is.)",
        "The end",
    ]
    assert all(text[start:].startswith(part) for start, part in sentences(text))


def test_every_number_of_a_measure_is_known_once_with_its_kind_and_side(published):
    found = report_numbers(published)
    glue = [number for number in found if number.measure == "glue"]
    assert {(n.value, n.side) for n in glue if n.kind == ESTIMATE} == {
        (74.3119, "student"),
        (51.2635, "student"),
        (86.5826, "teacher"),
    }
    assert {n.value for n in glue if n.kind == COUNT} == {872.0, 277.0}
    held = set(leaves(published["measures"]["glue"]))
    assert {n.value for n in glue} == {float(value) for value in held}
    assert {
        (n.value, n.side)
        for n in found
        if n.names >= {"C6b"} and n.kind == ESTIMATE and n.where.endswith(".effect_size")
    } == {
        (0.062, "student"),
        (0.499, "teacher"),
    }
    assert any(n.value == 16.0 and n.kind == COUNT and "C6" in n.names for n in found)  # 8 + 8 words


@pytest.mark.parametrize(
    ("sentence", "name", "spoken_of"),
    [
        ("CrowS-Pairs says", "crows_pairs", True),
        ("crows pairs say", "crows_pairs", True),
        ("C6b is", "C6", False),
        ("sst2 and SST-2", "SST-2", True),
        ("colander", "CoLA", False),
        ("x", "", False),
    ],
)
def test_a_name_is_found_in_its_spellings(sentence, name, spoken_of):
    assert mentions(sentence, name) is spoken_of
