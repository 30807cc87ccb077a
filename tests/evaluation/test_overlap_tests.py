"""MNLI with HANS and QQP with PAWS: published layouts, the Hub, groups, and what is refused."""

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Dataset
from tiny_glue import write_file

from evenhand.evaluation.grouped_data import load_grouped_data
from evenhand.evaluation.grouped_data.mnli_hans import HUB_NAME as HANS_NAME
from evenhand.evaluation.grouped_data.qqp_paws import HUB_NAME as PAWS_NAME
from evenhand.evaluation.grouped_data.qqp_paws import HUB_REVISION as PAWS_REVISION
from evenhand.evaluation.grouped_data.word_overlap import jaccard, overlap_groups

HANS_HEADER = (
    "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\tsentence2"
    "\tpairID\theuristic\tsubcase\ttemplate"
)
HANS_ROWS = [
    ("non-entailment", "The poet saw the king .", "The king saw the poet .", "lexical_overlap"),
    ("entailment", "The poet was seen by the king .", "The king saw the poet .", "lexical_overlap"),
    ("non-entailment", "The poet near the king ran .", "The king ran .", "subsequence"),
    ("entailment", "The poet and the king ran .", "The king ran .", "subsequence"),
    ("non-entailment", "If the poet ran , the king slept .", "The poet ran .", "constituent"),
    ("entailment", "Because the poet ran , the king slept .", "The poet ran .", "constituent"),
]


def write_hans(folder, rows=HANS_ROWS, header=HANS_HEADER):
    lines = [f"{label}\tb\tb\tp\tp\t{a}\t{b}\tex{i}\t{kind}\tsub\ttemp1" for i, (label, a, b, kind) in enumerate(rows)]
    path = folder / "heuristics_evaluation_set.txt"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def mnli(tmp_path):
    def line(i, first, second, label):
        return f"{i}\t1\t2\tfiction\tb\tb\tp\tp\t{first}\t{second}\tneutral\t{label}"

    texts = [("a man eats a cold meal", "a man eats"), ("a man eats a cold meal", "no one sleeps here")]
    labels = ("entailment", "neutral", "contradiction")
    rows = [line(i, *texts[i % 2], labels[i % 3]) for i in range(60)]
    for name in ("train", "dev_matched", "dev_mismatched"):
        write_file(tmp_path / "MNLI" / f"{name}.tsv", "MNLI", rows)
    return tmp_path


@pytest.fixture
def qqp(tmp_path):
    pairs = [("why is it so", "why is it"), ("why is it so", "how old are you now")]
    rows = [f"{i}\t{i}\t{i}\t{pairs[i % 2][0]}\t{pairs[i % 2][1]}\t{(i // 2) % 2}" for i in range(80)]
    for name in ("train", "dev"):
        write_file(tmp_path / "QQP" / f"{name}.tsv", "QQP", rows)
    return tmp_path


def test_hans_is_read_from_its_file_and_its_groups_are_heuristic_times_label(mnli):
    data = load_grouped_data("mnli_hans", path=mnli, hans_path=write_hans(mnli))
    hans = data.splits["hans"]
    assert [(row["text"], row["text_pair"], row["heuristic"]) for row in hans] == [row[1:] for row in HANS_ROWS]
    assert [data.label_names("hans")[row["label"]] for row in hans] == [row[0] for row in HANS_ROWS]
    assert data.group_counts("hans") == {
        f"{kind} × {label}": 1
        for kind in ("lexical overlap", "subsequence", "constituent")
        for label in ("entailment", "non-entailment")
    }
    assert data.side_counts("hans") == {True: 3, False: 3, None: 0}
    assert data.aligned["subsequence × entailment"] is True and data.aligned["constituent × non-entailment"] is False
    assert data.shift == ("hans",)
    assert load_grouped_data("mnli_hans", path=mnli, hans_path=mnli).facts == data.facts


def test_two_of_mnlis_labels_count_as_hans_non_entailment(mnli):
    data = load_grouped_data("mnli_hans", path=mnli, hans_path=write_hans(mnli))
    assert data.label_names() == ("entailment", "neutral", "contradiction")
    assert data.merged_labels == {"hans": {"neutral": "non-entailment", "contradiction": "non-entailment"}}


def test_mnlis_groups_are_label_times_overlap(mnli):
    data = load_grouped_data("mnli_hans", path=mnli, hans_path=write_hans(mnli))
    for split in ("train", "validation", "test"):
        for row in data.splits[split]:
            kind = "high" if row["text_pair"] == "a man eats" else "low"
            name = data.group_names(split)[row["group"]]
            label = data.label_names()[row["label"]]
            assert name == f"{label} × {kind} overlap"
            assert data.aligned[name] == ((label == "entailment") == (kind == "high"))
    assert len(data.splits["train"]) + len(data.splits["validation"]) == 60 == len(data.splits["test"])
    all_words = load_grouped_data("mnli_hans", path=mnli, hans_path=mnli, high_overlap=1.0)
    assert all_words.facts["n_by_group"] == data.facts["n_by_group"]  # "from which on": 1 is high


def test_limits_apply_by_split(mnli):
    data = load_grouped_data("mnli_hans", path=mnli, hans_path=write_hans(mnli), max_examples={"train": 12, "hans": 6})
    assert {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 12,
        "validation": 3,
        "test": 60,
        "hans": 6,
    }
    assert set(data.group_counts("train").values()) == {2}
    with pytest.raises(
        ValueError, match="'flipped' is none of the splits that can be limited, train, validation, test, hans"
    ):
        load_grouped_data("mnli_hans", path=mnli, hans_path=mnli, max_examples={"flipped": 12})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"header": HANS_HEADER.replace("heuristic", "kind")}, "has no column 'heuristic'"),
        ({"rows": [("neutral", *HANS_ROWS[0][1:])]}, "'neutral' is no label of HANS; they are entailment, non-entail"),
        ({"rows": [(*HANS_ROWS[0][:3], "negation")]}, "'negation' is no heuristic of HANS"),
        ({"rows": []}, "holds a header and no rows"),
    ],
)
def test_another_file_than_hans_is_one_line(mnli, change, message):
    with pytest.raises(ValueError, match=message):
        load_grouped_data("mnli_hans", path=mnli, hans_path=write_hans(mnli, **change))


def test_missing_files_are_one_line(mnli, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no heuristics_evaluation_set\.txt, which HANS"):
        load_grouped_data("mnli_hans", path=mnli, hans_path=mnli)
    with pytest.raises(FileNotFoundError, match=r"holds no dev_and_test\.tsv, which PAWS"):
        load_grouped_data("qqp_paws", path=mnli, paws_path=mnli)
    write_hans(mnli)
    with pytest.raises(FileNotFoundError, match="no such directory; give 'hub' or a glue_data directory"):
        load_grouped_data("mnli_hans", path=tmp_path / "absent", hans_path=mnli)
    with pytest.raises(ValueError, match="high_overlap must lie between 0 and 1"):
        load_grouped_data("mnli_hans", path=mnli, hans_path=mnli, high_overlap=80)


def write_paws(folder, name="dev_and_test.tsv", rows=None):
    rows = rows or [("1", "a to b", "b to a", "0"), ("2", "b'caf\\xc3\\xa9 to b'", 'b"it\'s to b"', "1")]
    lines = ["id\tsentence1\tsentence2\tlabel", *("\t".join(row) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["dev_and_test.tsv", "test.tsv"])
def test_paws_is_read_from_both_layouts_and_grouped_by_label(qqp, name):
    data = load_grouped_data("qqp_paws", path=qqp, paws_path=write_paws(qqp, name))
    assert [(row["text"], row["text_pair"]) for row in data.splits["paws"]] == [
        ("a to b", "b to a"),
        ("café to b", "it's to b"),
    ]
    assert data.group_counts("paws") == {"not_duplicate × high overlap": 1, "duplicate × high overlap": 1}
    assert data.aligned["duplicate × high overlap"] is True and data.aligned["not_duplicate × high overlap"] is False
    assert data.label_names("paws") == data.label_names("train") == ("not_duplicate", "duplicate")
    assert data.group_counts("test") == dict.fromkeys(data.group_names("test"), 20)


def test_a_test_too_small_for_the_groups_of_train_is_refused(mnli, qqp):
    """HANS, PAWS and validation may have other groups."""
    write_hans(mnli)
    further = {"mnli_hans": {"path": mnli, "hans_path": mnli}, "qqp_paws": {"path": qqp, "paws_path": write_paws(qqp)}}
    for name, files in further.items():
        with pytest.raises(
            ValueError, match=f"{name}, split 'test': group .* has no examples.* or a larger max_examples"
        ):
            load_grouped_data(name, **files, max_examples={"test": 2})
        assert len(load_grouped_data(name, **files, max_examples={"validation": 1}).splits["validation"]) == 1


def test_a_label_that_paws_does_not_have_is_one_line(qqp):
    write_paws(qqp, rows=[("1", "a", "b", "yes")])
    with pytest.raises(
        ValueError, match=r"PAWS, local file dev_and_test\.tsv: 'yes' is no label of PAWS; they are 0 and 1"
    ):
        load_grouped_data("qqp_paws", path=qqp, paws_path=qqp)


def test_the_hub_is_asked_for_pinned_or_recorded_revisions(mnli, qqp, monkeypatch):
    commit = "c" * 40
    hans = Dataset.from_dict(
        {
            "premise": [row[1] for row in HANS_ROWS],
            "hypothesis": [row[2] for row in HANS_ROWS],
            "label": [int(row[0] == "non-entailment") for row in HANS_ROWS],
            "heuristic": [row[3] for row in HANS_ROWS],
        }
    ).cast_column("label", ClassLabel(names=["entailment", "non-entailment"]))
    paws = Dataset.from_dict({"id": [1, 2], "sentence1": ["a b", "c d"], "sentence2": ["b a", "d c"], "label": [0, 1]})
    served, asked = {HANS_NAME: hans, PAWS_NAME: paws}, []

    class InCache:
        """The served rows, as if they came from the cache of one commit."""

        cache_files = ({"filename": f"/cache/{commit}/hans.arrow"},)

        def __init__(self, rows):
            self.rows, self.column_names = rows, rows.column_names

        def __getitem__(self, name):
            return self.rows[name]

    def load_dataset(name, config, *, split, revision):
        asked.append((name, config, split, revision))
        return InCache(served[name]) if name == HANS_NAME else served[name]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = load_grouped_data("mnli_hans", path=mnli)
    assert data.side_counts("hans") == {True: 3, False: 3, None: 0}
    assert data.facts["source_hans"] == f"{HANS_NAME}, revision refs/convert/parquet ({commit})"
    assert load_grouped_data("qqp_paws", path=qqp).side_counts("paws") == {True: 1, False: 1, None: 0}
    assert asked == [
        (HANS_NAME, None, "validation", "refs/convert/parquet"),
        (PAWS_NAME, "labeled_final", "test", PAWS_REVISION),
    ]


def test_an_unreachable_hub_asks_for_a_local_copy(mnli, monkeypatch):
    def load_dataset(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(FileNotFoundError, match=r"hans: cannot be had from the Hub \(no route\); give the path"):
        load_grouped_data("mnli_hans", path=mnli)


def test_jaccard_and_groups_by_hand():
    assert jaccard(["a b c", ""], ["b c d", ""]).tolist() == [0.5, 0.0]
    group, names, aligned = overlap_groups(
        np.array([0, 0, 1, 1]), np.array([True, False, True, False]), ["same", "other"], "same"
    )
    assert [names[i] for i in group] == [
        "same × high overlap",
        "same × low overlap",
        "other × high overlap",
        "other × low overlap",
    ]
    assert list(aligned.values()) == [True, False, False, True]
