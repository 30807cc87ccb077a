"""Pair equalisation, counterfactual teacher, random pairs and augmented text from a recipe: keys, hashes, cohorts, facts, one-line errors."""

import json
import shutil
from types import SimpleNamespace

import pytest
import yaml
from run_contents import facts_without_costs
from tiny_text import PAIR_WORDS
from transformers import BertTokenizer

from evenhand.evaluation.stimuli import builtin_stimuli
from evenhand.launch import supervision
from evenhand.launch.arms_file import load_arms
from evenhand.launch.cohort_directory import check_common
from evenhand.launch.command import main
from evenhand.launch.recipe import load_recipe, recipe_from_dict
from evenhand.launch.recipe_needs import recipe_needs
from evenhand.launch.supervision import measured_words, pairs_of, pairs_sha256, words_not_drawn

OFF = "mixup.enabled=false"
ARMS = {
    "equal": [OFF, "equalisation.enabled=true", "equalisation.on=probabilities", "equalisation.unequal_pairs=skip"],
    "counterfactual": [OFF, "counterfactual.enabled=true", "counterfactual.combine=max", "counterfactual.unequal_pairs=skip"],
    "random": ["mixup.pairs=random:1"],
}  # fmt: skip
NAMES = {"equal": "pair_equalisation", "counterfactual": "counterfactual_teacher", "random": "random_pair_mixup"}


# -- the recipe --------------------------------------------------------------------------------------------------------

MINIMAL = {"teacher": {"path": "some/teacher"}, "corpus": {"sources": [{"path": "text.txt"}]}}
HASH_OF_OLD = "9f0214dc23117a18ad6b4f6196e5c9359dda4571ff151f47a9f909ff10d8130e"
"""Of MINIMAL with a mixup and three layers, by the program of commit 20d1f60, which had none of these keys."""


def test_a_recipe_without_them_is_what_it_was_and_has_the_hash_it_had():
    """The hash stands in reports and cards of students that were trained before there were these sections."""
    assert recipe_from_dict(MINIMAL | {"mixup": {"enabled": True}, "student": {"layers": 3}}).sha256 == HASH_OF_OLD
    recipe = load_recipe("minilm_cpu")
    unused = ["corpus.cda_pairs=mine.txt", "corpus.pair_share_pairs=mine.txt"]
    assert recipe.sha256 == load_recipe("minilm_cpu", unused).sha256
    data = recipe.to_dict()
    assert (
        not {"equalisation", "counterfactual"} & data.keys()
        and not {"cda", "cda_pairs", "pair_share", "pair_share_pairs"} & data["corpus"].keys()
    )
    assert list(data) == ["teacher", "student", "corpus", "objective", "mixup", "training", "evaluation", "publish"]
    corpus = ["fraction", "held_out", "max_length", "seed", "sources", "streaming", "workers", "cache_dir"]
    assert list(data["corpus"]) == corpus


def test_a_transform_that_is_off_decides_nothing_and_one_that_is_on_decides_the_student():
    plain = load_recipe("minilm_cpu").sha256
    assert load_recipe("minilm_cpu", ["equalisation.on=probabilities", "counterfactual.combine=max"]).sha256 == plain
    others = [
        load_recipe("minilm_cpu", overrides).sha256
        for overrides in (
            ["equalisation.enabled=true"],
            ["equalisation.enabled=true", "equalisation.on=probabilities"],
            ["counterfactual.enabled=true"],
            ["counterfactual.enabled=true", "counterfactual.combine=swap"],
            ["mixup.enabled=true", "mixup.pairs=random"],
            ["mixup.enabled=true", "mixup.pairs=random:1"],
            ["corpus.cda=one_sided"],
            ["corpus.cda=two_sided"],
            ["corpus.cda=two_sided", "corpus.cda_pairs=mine.txt"],
            ["corpus.pair_share=0.1"],
            ["corpus.pair_share=0.1", "corpus.pair_share_pairs=mine.txt"],
        )
    ]
    assert len({plain, *others}) == 12


@pytest.mark.parametrize(
    "overrides",
    [
        *ARMS.values(),
        ["corpus.cda=two_sided", "corpus.cda_pairs=mine.txt"],
        ["corpus.pair_share=0.1", "corpus.pair_share_pairs=mine.txt"],
    ],
)
def test_a_saved_recipe_reads_back_equal(tiny_recipe, tmp_path, overrides):
    recipe = load_recipe(tiny_recipe(), overrides)
    recipe.save(tmp_path / "resolved.yaml")
    assert load_recipe(tmp_path / "resolved.yaml") == recipe


def test_arms_of_a_cohort_may_differ_in_them_but_not_in_their_text(tmp_path):
    arms = tmp_path / "arms.yaml"
    arms.write_text(yaml.safe_dump(ARMS | {"mixup": ["mixup.enabled=true"]}), encoding="utf-8")
    check_common(load_arms("minilm_cpu", arms))
    arms.write_text(yaml.safe_dump({"plain": None, "augmented": ["corpus.cda=two_sided"]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"augmented and plain differ in corpus\.cda, corpus\.cda_pairs;"):
        check_common(load_arms("minilm_cpu", arms))


def test_what_random_pairs_leave_out_is_every_word_that_seat_measures():
    words = {stimulus.word for test in builtin_stimuli().tests for s in test.sets.values() for stimulus in s.stimuli}
    assert {word.lower() for word in words} | {"husband", "her", "gender"} <= measured_words()
    random, other = (
        load_recipe("minilm_cpu", ["mixup.enabled=true", f"mixup.pairs={p}"]) for p in ("random", "builtin")
    )
    assert pairs_of(random) == pairs_of(other)
    assert pairs_sha256(random, pairs_of(random)) != pairs_sha256(other, pairs_of(other)) == pairs_of(other).sha256


def test_random_pairs_draw_no_first_name_and_another_list_of_them_is_another_input(monkeypatch):
    left_out = words_not_drawn()
    names = {"henry", "tom", "donna", "mary", "elizabeth"}
    assert measured_words() | names <= left_out and len(left_out - measured_words()) > 200
    assert all(word == word.lower() and word.isalpha() for word in left_out - measured_words())
    words = sorted({*names, *(f"w{a}{b}" for a in "abcdefgh" for b in "abcd")})
    tokenizer = BertTokenizer(vocab={t: i for i, t in enumerate(["[UNK]", "he", "she", *words])})
    asked = {}
    monkeypatch.setattr(supervision, "random_pairs", lambda *args, **named: asked.update(named))
    monkeypatch.setattr(supervision, "RandomPairMixup", lambda *args, **named: None)
    recipe = load_recipe("minilm_cpu", ["mixup.enabled=true", "mixup.pairs=random:2"])
    corpus = SimpleNamespace(train=[{"input_ids": [1]}], token_counts=None)
    supervision._random_pair_mixup(recipe, corpus, tokenizer, 2)
    assert names <= asked["exclude"] and asked["draw"] == 2
    before = pairs_sha256(recipe, pairs_of(recipe))
    monkeypatch.setattr(supervision, "words_not_drawn", lambda: left_out | {"zebedee"})
    assert pairs_sha256(recipe, pairs_of(recipe)) != before


def test_the_files_they_name_are_needed_where_they_are_on(tiny_recipe):
    def subjects(*overrides):
        found = recipe_needs(load_recipe(tiny_recipe(), overrides))
        return {finding.subject for finding in found if finding.subject.endswith("pairs")}

    of_text = ["corpus.cda_pairs=c.txt", "corpus.pair_share_pairs=d.txt"]
    files = ["equalisation.pairs=a.txt", "counterfactual.pairs=b.txt", *of_text]
    assert subjects(*files) == set() == subjects("mixup.pairs=random") == subjects("mixup.pairs=gendered_words")
    assert subjects(OFF, *files, "equalisation.enabled=true") == {"equalisation.pairs"}
    assert subjects(OFF, *files, "counterfactual.enabled=true") == {"counterfactual.pairs"}
    assert subjects(*files, "corpus.cda=one_sided") == {"corpus.cda_pairs"}
    assert subjects(*files, "corpus.pair_share=0.1") == {"corpus.pair_share_pairs"}
    assert subjects("corpus.pair_share=0.1", "corpus.pair_share_pairs=gendered_words") == set()


# -- a run -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_gal(tmp_path):
    """The tiny vocabulary lacks some of the built-in pairs' words."""
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join(f"{a} {b}" for a, b in zip(PAIR_WORDS[::2], PAIR_WORDS[1::2], strict=True)))
    return path


def test_each_arm_of_a_cohort_is_its_own_training_and_says_what_was_done(tiny_recipe, without_gal, tmp_path):
    recipe = tiny_recipe(
        corpus={"cda": "two_sided", "cda_pairs": str(without_gal)}, training={"max_steps": 3, "save_strategy": "no"}
    )
    arms, together = tmp_path / "arms.yaml", tmp_path / "together"
    arms.write_text(yaml.safe_dump(ARMS), encoding="utf-8")
    assert main(["distill", recipe, "--arms", str(arms), "--output-dir", str(together)]) == 0
    for name, overrides in ARMS.items():
        single = tmp_path / name
        assert main(["distill", recipe, *overrides, "--output-dir", str(single)]) == 0
        facts = facts_without_costs(together / name / "training.json")
        facts.pop("cohort")
        assert facts == facts_without_costs(single / "training.json")
        weights = [run / "student" / "model.safetensors" for run in (single, together / name)]
        assert weights[0].read_bytes() == weights[1].read_bytes()
        assert facts["supervision"]["name"] == NAMES[name]
        assert (facts["corpus"]["cda"], facts["corpus"]["cda_source"]) == ("two_sided", "pairs.txt")
        assert facts["corpus"]["counterfactual_lines"] > 20
    equal, counterfactual, random = (facts_without_costs(tmp_path / n / "training.json")["supervision"] for n in ARMS)
    assert (equal["on"], equal["temperature"], equal["equalised_positions"] > 100) == ("probabilities", 2.0, True)
    assert counterfactual["combine"] == "max" and counterfactual["combined_positions"] > 100
    words = {word for pair in random["pairs"]["matched"] for word in pair}
    assert random["mixed_positions"] > 10 and not words & (set(PAIR_WORDS) | words_not_drawn())
    drawn = random["random_pairs"]
    assert drawn["draw"] == 1 and drawn["occurrences"] > 0 and len(drawn["pairs"]) == len(random["pairs"]["matched"])


def test_a_run_does_not_go_on_with_other_pairs_for_its_text(tiny_recipe, without_gal, tmp_path, capsys):
    recipe = tiny_recipe(corpus={"cda": "one_sided", "cda_pairs": str(without_gal)}, training={"max_steps": 1})
    command = ["distill", recipe, "--output-dir", str(tmp_path / "run")]
    assert main(command) == 0
    shutil.rmtree(tmp_path / "run" / "student")
    without_gal.write_text("he she\n")
    assert main(command) == 2
    assert "another content of: cda_pairs" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "training.json").read_text())["corpus"]["cda"] == "one_sided"


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["equalisation.enabled=true"], "mixup and equalisation are both enabled"),
        ([OFF, "equalisation.enabled=true", "counterfactual.enabled=true"], "equalisation and counterfactual are both"),
        ([*ARMS["equal"], "equalisation.on=words"], "equalisation.on must be one of logits, probabilities"),
        ([*ARMS["equal"], "equalisation.pairs=absent.txt"], "absent.txt does not exist"),
        ([OFF, "equalisation.enable=true"], "Unknown recipe key equalisation.enable;"),
        ([*ARMS["counterfactual"], "counterfactual.combine=min"], "counterfactual.combine must be one of mean, max"),
        ([*ARMS["counterfactual"], "counterfactual.forms=all"], "counterfactual.forms must be one of"),
        (["mixup.pairs=random:x"], "random:x does not exist"),
        (["corpus.cda=both"], "corpus.cda must be one of none, one_sided, two_sided"),
        (["corpus.cda=one_sided", "corpus.cda_pairs=absent.txt"], "absent.txt does not exist"),
        (["corpus.pair_share=2"], "corpus.pair_share must be at least 0 and at most 1, not 2"),
        (["corpus.pair_share=0.1", "corpus.pair_share_pairs=absent.txt"], "absent.txt does not exist"),
    ],
)
def test_wrong_settings_are_one_line_and_leave_nothing(tiny_recipe, tmp_path, capsys, overrides, message):
    run = tmp_path / "run"
    assert main(["distill", tiny_recipe(), *overrides, "--output-dir", str(run)]) == 2
    error = capsys.readouterr().err
    assert message in error.strip().splitlines()[-1] and "Traceback" not in error
    assert not run.exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (ARMS["counterfactual"], "so the counterfactual would change nothing"),
        (["mixup.pairs=random"], "mixup.pairs=random: the corpus holds no word of the pairs"),
    ],
)
def test_a_corpus_that_does_not_suit_them_leaves_no_claim(tiny_recipe, tmp_path, capsys, overrides, message):
    text, run = tmp_path / "plain.txt", tmp_path / "run"
    text.write_text("the old dog saw a big red house by the river and the tree\n" * 60, encoding="utf-8")
    recipe = tiny_recipe(corpus={"sources": [{"path": str(text)}]})
    assert main(["distill", recipe, *overrides, "--output-dir", str(run)]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert {path.name for path in run.iterdir()} == {"cache"}
