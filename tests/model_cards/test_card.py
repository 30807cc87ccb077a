"""The card says what the report says, to people and to the Hub, and nothing else."""

import copy
import re

import pytest
import yaml
from huggingface_hub import ModelCard

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.scores import Difference, Score
from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.published_report import canonical_sha256, published_report

HOSTILE = [
    "a | b",
    "line\nbreak\r\n# heading",
    "<script>alert(1)</script>",
    "`code` ``more``",
    "{{ 7 * 7 }} {% raw %}",
    "---\nlicense: mit\n---",
    "key: [unclosed, 'quote",
    "![x](http://evil.example/x.png)",
    "</details></summary>",
    "\u202eesrever \x00 null \u2028 sep",
    "*bold* _it_ ~gone~ \\| $x$",
    "!!python/object/apply:os.system ['true']",
]


def front_matter(card):
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)[1])


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def body(card):
    return card.split("\n---\n", 1)[1]


def test_the_first_sentences_name_model_teacher_and_the_plain_difference(report):
    card = body(build_card(report, CardFacts(title="Mixed student")))
    assert "# Mixed student" in card
    assert "3 layers of width 384, 17,000,003 parameters) is a student distilled from teacher (bert, 6 layers" in card
    assert (
        "over 6 tests is **0.737** [0.50, 0.90], lower than its teacher's **0.992** [0.50, 0.90]; difference -0.255, 95 %"
        in card
    )
    assert "revision not recorded" in card and "Speed-up over its teacher: not measured" in card
    assert "significan" not in card


def test_the_verdict_and_its_interval_stand_in_the_first_sentences(report):
    change = report["measures"]["seat"][0]["comparison"]["families"]["gender"]
    first = body(build_card(report, CardFacts())).split("##")[0]
    low, high = change["confidence_interval"]
    assert f"interval of the difference [{low:+.2f}, {high:+.2f}]: **better**" in first
    change |= {"confidence_interval": [-0.5, 0.2], "verdict": "not distinguishable", "worst_case": 0.2}
    first = body(build_card(report, CardFacts())).split("##")[0]
    assert "**not distinguishable** (largest rise not excluded: 0.200)" in first
    change |= {"confidence_interval": None, "verdict": "not distinguishable", "worst_case": None}
    assert "nothing is claimed about whether it exceeds chance" in build_card(report, CardFacts())


def test_scores_of_other_measures_stand_in_tables_of_their_own(report):
    score = Score("gender", "gender pairs", 58.5, "%", 262, (52.4, 64.4), ideal=50.0, better="nearer")
    change = Difference("gender", "gender pairs", -3.2, "points", 262, (-7.5, 1.1), better="nearer", p_value=0.16)
    report["measures"]["crows_pairs"] = [
        {
            "model": {"measure": "crows_pairs", "scores": [score.to_dict()], "note": "a note of it"},
            "reference": None,
            "comparison": {"scores": [change.to_dict()]},
            "not_applicable": {"model": None, "reference": "it has no masked-LM head"},
        }
    ]
    card = build_card(report, CardFacts())
    assert "## CrowS-Pairs" in card and "a note of it" in card
    assert "Not applicable to the teacher: it has no masked-LM head" in card
    row = next(line for line in card.splitlines() if line.startswith("| gender pairs"))
    named = "gender pairs (%; ideal 50; difference of the distances from it)"
    assert cells(row) == [named, "262", "58.5 [52.4, 64.4]"]  # no column of a teacher that was not measured
    report["measures"]["crows_pairs"][0]["reference"] = {"measure": "crows_pairs", "scores": [score.to_dict()]}
    row = next(line for line in build_card(report, CardFacts()).splitlines() if line.startswith("| gender pairs"))
    both = [named, "262", "58.5 [52.4, 64.4]", "58.5 [52.4, 64.4]", "-3.2 [-7.5, +1.1]", "0.1600"]
    assert cells(row) == [*both, "not distinguishable (at most 1.1 worse)"]


@pytest.mark.parametrize(("student", "words"), [(0.992, "equal to"), (1.5, "higher than"), (0.5, "lower than")])
def test_the_comparison_follows_the_numbers(report, student, words):
    report["measures"]["seat"][0]["model"]["mean_absolute_effect_size"] = student
    assert f"**{student:.3f}** [0.50, 0.90], {words} its teacher's" in build_card(report, CardFacts())


def test_without_a_teacher_nothing_is_compared(report):
    report["reference"] = report["training"] = None
    for entry in report["measures"]["seat"]:
        entry["reference"] = None
    card = build_card(report, CardFacts())
    assert "the report names no teacher" in card and "no teacher to compare with" in card
    assert "The report holds no training record." in card


def test_a_missing_mean_is_explained_and_stays_out_of_the_front_matter(report):
    for entry in report["measures"]["seat"]:
        entry["model"] |= {"mean_absolute_effect_size": None, "note": "sent-weat8 was not run"}
    card = build_card(report, CardFacts())
    assert "no mean |d|" in card.replace("&#124;", "|") and "sent-weat8 was not run" in card
    assert all(r["dataset"]["config"].split("-")[0] != "mean" for r in front_matter(card)["model-index"][0]["results"])


def test_the_seat_table_has_every_number_of_a_test(report):
    lines = [line for line in build_card(report, CardFacts()).splitlines() if line.startswith("| C6b | male")]
    assert cells(lines[0]) == [
        *("C6b", "male terms / female terms", "career / family"),
        *("+0.499 [+0.10, +0.80]", "+0.062 [-0.34, +0.36]", "-0.437 [-0.65, -0.23]"),
        *("0.0123", "0.0738", "0.0456", "0.2736", "&lt;0.0001", "8/8, 8/8", "64/64, 101/112"),
    ]
    assert len(lines) == 2  # the headline, and the measure in <details>


def test_the_headline_stands_before_the_details_and_every_table_names_pooling_and_stimuli(report):
    card = body(build_card(report, CardFacts()))
    headline, rest = card.split("<details>", 1)
    assert "Pooling `mean`" in headline and "`builtin`" in headline and "Pooling `cls`" not in headline
    assert "Pooling `cls`" in rest and "`sent-bias`" in rest


def test_legacy_p_values_are_labelled(report):
    card = build_card(report, CardFacts())
    assert "comparable with published numbers" in card and "anti-conservative" in card


def test_controls_stand_last_and_are_marked(report):
    card = body(build_card(report, CardFacts()))
    assert card.index("| C8b |") < card.index("| C1 (control) |")


def test_the_recipe_is_told(report):
    card = body(build_card(report, CardFacts()))
    for text in (
        "The teacher had no masked-LM head. One was trained for 400 steps",
        "| `ce` | soft targets of the teacher (KL divergence) | 5 | 1.500 |",
        "Temperature 2; soft targets at attended positions",
        "following Ahn et al. 2022. Mixed: student_inputs, teacher_logits",
        "Pairs matched: he/she, man/woman",
        "Skipped: gal/guy (2 and 1 tokens)",
        "| wiki.txt | not recorded | 1 | `cccc",
        "Fraction 0.3 of the documents",
        "100 steps (1.5 epochs)",
        "student 4.400, teacher 3.200 nats per masked token",
    ):
        assert text in card, text


def test_plain_distillation_claims_no_mixup(report):
    report["training"]["supervision"] = None
    card = build_card(report, CardFacts())
    assert "plain distillation" in card and "gender_mixup" not in card and "gender-mixup" not in card


def test_limits_load_verify_and_citations_are_there(report):
    card = body(build_card(report, CardFacts(repo_id="me/student")))
    for text in ("is not harm", "binary", "United States", 'Zero is not "unbiased"', "Not measured in this report"):
        assert text in card
    assert 'pipeline("fill-mask", model="me/student")' in card and "evenhand verify me/student" in card
    for key in ("ahn-etal-2022", "may-etal-2019", "caliskan-etal-2017", "sanh-etal-2019"):
        assert key in card


def test_the_card_prints_the_hash_of_the_published_report_and_no_machine_path(report):
    card = build_card(report, CardFacts())
    published = published_report(report)
    assert canonical_sha256(published) in card
    assert canonical_sha256(published) == EvaluationReport.from_dict(published).sha256
    assert "somebody" not in card


def test_the_same_report_gives_the_same_card_from_dict_and_object_and_is_not_changed(report):
    before = copy.deepcopy(report)
    assert build_card(report, CardFacts()) == build_card(EvaluationReport.from_dict(report), CardFacts())
    assert report == before


def test_a_licence_is_never_guessed(report):
    card = build_card(report, CardFacts())
    assert "license" not in front_matter(card) and "- Licence: not declared" in card
    card = build_card(report, CardFacts(licence="apache-2.0"))
    assert front_matter(card)["license"] == "apache-2.0" and "- Licence: apache-2.0" in card


def test_the_front_matter_survives_the_hub_client(report):
    facts = CardFacts(licence="mit", base_model="org/teacher", datasets=("wikitext", "my own text"), title="Student")
    card = build_card(report, facts)
    data = front_matter(card)
    assert data["library_name"] == "transformers" and data["pipeline_tag"] == "fill-mask" and data["language"] == "en"
    assert data["base_model"] == "org/teacher" and data["datasets"] == ["wikitext"]
    assert {"evenhand", "knowledge-distillation", "bias", "gender-mixup"} <= set(data["tags"])
    results = ModelCard(card, ignore_metadata_errors=False).data.eval_results
    assert len(results) == 2 * (7 + 1)  # seven tests and a mean, in two tables
    assert len({result.unique_identifier for result in results}) == len(results)
    seat6 = next(result for result in results if result.dataset_config == "sent-weat6-mean-builtin")
    assert seat6.metric_value == 1.176 and type(seat6.metric_value) is float
    assert seat6.metric_args["confidence_interval"] == pytest.approx([0.776, 1.476])
    assert seat6.metric_args["p_value_word_level_two_sided"] == 0.0123
    assert seat6.metric_args["p_value_holm"] == 0.0738
    assert seat6.metric_args["effect_size_teacher"] == 1.236
    # what the client reads and writes again is the same model-index
    assert ModelCard(card).data.to_dict()["model-index"] == data["model-index"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_break_neither_table_nor_page_nor_front_matter(report, text):
    plain = build_card(report, CardFacts(title="T", author="A", datasets=("x y",)))
    for entry in report["measures"]["seat"]:
        for test in (*entry["model"]["tests"].values(), *entry["reference"]["tests"].values()):
            test["targets"] = test["attributes"] = [text, text]
            test["label"] = text
        entry["stimuli"]["name"] = entry["model"]["stimuli"]["name"] = text
    report["model"]["name"] = report["reference"]["name"] = report["environment"]["platform"] = text
    training = report["training"]
    training["corpus"]["sources"][0] |= {"path": text, "sha256": text}
    training["supervision"]["pairs"]["matched"] = [[text, text]]
    training["supervision"]["pairs"]["skipped"] = [text]
    card = build_card(report, CardFacts(title=text, author=text, datasets=(text,)))
    data = front_matter(card)
    assert data["model-index"][0]["name"] and "license" not in data and set(data) == set(front_matter(plain))
    assert len(ModelCard(card, ignore_metadata_errors=False).data.eval_results) == 16
    # not one line more or less than with harmless names, and the same number of cells in each
    ours, theirs = body(card).splitlines(), body(plain).splitlines()
    assert len(ours) == len(theirs)
    for line, harmless in zip(ours, theirs, strict=True):
        assert len(cells(line)) == len(cells(harmless))
        assert line.startswith("#") == harmless.startswith("#")
    for forbidden in ("<script", "](http", "\x00", "\u202e", "\u2028"):
        assert forbidden not in body(card)
    assert body(card).count("<details>") == body(card).count("</details>") == body(plain).count("<details>") > 0


def test_hostile_text_is_shown_literally(report):
    card = build_card(report, CardFacts(author="{{ 7 * 7 }} <b>x</b> | y"))
    assert "- Author: {{ 7 &#42; 7 }} &#60;b&#62;x&#60;/b&#62; &#124; y" in card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema_version=1), "schema version 1"),
        (lambda r: r.update(schema="other"), "not a report"),
        (lambda r: r["measures"].update(seat=[]), "no SEAT measure"),
        (lambda r: r["model"].pop("layers"), "model.layers is missing"),
        (lambda r: r["training"].update(steps=float("nan")), "nan"),
        (lambda r: r["training"].update(steps="<b>"), "where a number belongs"),
    ],
)
def test_a_report_that_is_none_is_refused_in_one_line(report, change, message):
    change(report)
    with pytest.raises(ValueError, match=message) as error:
        build_card(report, CardFacts())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "fact",
    [
        {"licence": "Apache 2.0"},
        {"licence": "mit\ntags: [x]"},
        {"repo_id": "a/b/c"},
        {"repo_id": 'x"); import os #'},
        {"base_model": "/home/me/teacher"},
        {"language": "English"},
        {"datasets": "wikitext"},
        {"author": 3},
    ],
)
def test_facts_that_the_hub_would_refuse_are_refused_at_the_door(fact):
    with pytest.raises(ValueError, match=next(iter(fact))):
        CardFacts(**fact)


def test_facts_survive_json():
    facts = CardFacts(licence="mit", datasets=("a", "b"), title="x")
    assert CardFacts.from_dict(facts.to_dict()) == facts
    with pytest.raises(ValueError, match="unknown card fact 'license'"):
        CardFacts.from_dict({**facts.to_dict(), "license": "mit"})


@pytest.mark.parametrize("name", ["../x.png", "figures/a b.png", "figures/x.svg", "/abs/figures/x.png"])
def test_a_figure_outside_the_folder_is_refused(report, name):
    with pytest.raises(ValueError, match=r"figures/NAME\.png"):
        build_card(report, CardFacts(), [name])


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/home/John Smith/my text.txt", "my text.txt"),
        ("~/text/wiki.zip", "wiki.zip"),
        ("../shared/wiki.zip", "wiki.zip"),
        ("C:\\Users\\me\\wiki.txt", "wiki.txt"),
        ("file:///srv/wiki.txt", "wiki.txt"),
        ("read from /srv/text/a.txt, twice", "read from a.txt, twice"),
        ("org/model", "org/model"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("he / she and/or they", "he / she and/or they"),
        ("**/srv/text/a.txt**, -/srv/b/c, “/srv/b/d”", "**a.txt**, -c, “d”"),
        ("https://example.org/#/a/b and 5%/6%/7%", "https://example.org/#/a/b and 5%/6%/7%"),
    ],
)
def test_machine_paths_are_cut_and_names_are_kept(report, text, published):
    report["training"]["teacher"]["name"] = text
    once = published_report(report)
    assert once["training"]["teacher"]["name"] == published
    assert published_report(once) == once


def test_a_transform_that_is_no_mixup_is_named_without_mixup_settings(report):
    report["training"]["supervision"] = {"name": "pair_equalisation", "pairs": {}}
    card = build_card(report, CardFacts())
    assert "`pair_equalisation`" in card and "Beta parameter" not in card


def test_a_teacher_trained_with_its_head_is_not_called_the_published_one(report):
    head = {"steps": 9, "seed": 0, "held_out_mlm_loss": 5.0, "note": "n", "trained": "all"}
    report["training"]["teacher"]["mlm_head"] = head
    assert "not quite the published one" in build_card(report, CardFacts())
    head["trained"] = "head"
    assert "not quite the published one" not in build_card(report, CardFacts())
