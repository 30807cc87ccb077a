"""MNLI, with HANS as the test in which lexical overlap misleads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from datasets import Dataset, Value

from evenhand.evaluation.glue_data import HUB_NAME as GLUE_NAME
from evenhand.evaluation.glue_data import HUB_REVISION as GLUE_REVISION
from evenhand.evaluation.grouped_data.columns import with_columns
from evenhand.evaluation.grouped_data.glue_pairs import pairs_with_overlap, text_pairs
from evenhand.evaluation.grouped_data.grouped import GroupedData, group_facts
from evenhand.evaluation.grouped_data.hub_copy import resolved_revision
from evenhand.evaluation.grouped_data.subsets import (
    check_groups_of_train,
    check_max_examples,
    limit_of,
    stratified_subset,
)
from evenhand.evaluation.grouped_data.word_overlap import contained_share
from evenhand.evaluation.measure_data import content_sha256, find_file, hub_rows, read_table

HUB_NAME = "jhu-cogsci/hans"
HUB_REVISION = "refs/convert/parquet"
"""The Hub's own conversion: the repository holds a loading script, which ``datasets`` no longer runs. A branch, so the commit
that it stood for is recorded."""
FILE = "heuristics_evaluation_set.txt"
MNLI_LABELS = ("entailment", "neutral", "contradiction")
HANS_LABELS = ("entailment", "non-entailment")
HEURISTICS = ("lexical_overlap", "subsequence", "constituent")


def load_mnli_hans(
    path: str | Path = "hub",
    hans_path: str | Path = "hub",
    *,
    high_overlap: float = 0.8,
    validation_share: float = 0.02,
    max_examples: int | Mapping[str, int] | None = None,
    seed: int = 0,
) -> GroupedData:
    """MNLI (Williams et al. 2018) with its matched dev file as the test, and HANS (McCoy et al. 2019) out of distribution.

    MNLI's groups are label × word overlap, entailment with a high overlap and the others with a low one bias-aligned. The groups
    of HANS are heuristic × label: its heuristics all say entailment, so entailment is bias-aligned. HANS does not tell neutral
    from contradiction: both count as its non-entailment.

    Args:
        path: of MNLI: ``"hub"``, or a directory in the layout of the GLUE download.
        hans_path: ``"hub"``, or ``heuristics_evaluation_set.txt`` or its directory.
        high_overlap: share of the hypothesis's words that are in the premise from which on the overlap is high.
        validation_share: of the training file, by class, for validation.
        max_examples: at most so many in each split, or by split; every group in its share.
        seed: of the division of train and validation.

    Raises:
        FileNotFoundError: data that are not there.
        ValueError: a file that cannot be read, a setting out of its range, or a test without one of train's groups.
    """
    check_max_examples(max_examples, ("train", "validation", "test", "hans"))
    hans, hans_source = _hans(hans_path, limit_of(max_examples, "hans"))
    splits, aligned, data = pairs_with_overlap(
        "mnli",
        path,
        label_names=MNLI_LABELS,
        alike="entailment",
        overlap=contained_share,
        high_overlap=high_overlap,
        validation_share=validation_share,
        max_examples=max_examples,
        seed=seed,
    )
    splits["hans"] = hans
    aligned |= {name: name.endswith("× entailment") for name in hans.features["group"].names}
    facts = {
        "source": f"{GLUE_NAME}, mnli, revision {GLUE_REVISION}" if path == "hub" else "MNLI, local files",
        "source_hans": hans_source,
        "licence": "MNLI: OANC and others, see its paper; HANS: MIT",
        "sha256": data.sha256,
        "sha256_hans": content_sha256(hans.to_list()),
        "high_overlap": high_overlap,
        "n_by_group": group_facts(splits),
    }
    merged = {"hans": {"neutral": "non-entailment", "contradiction": "non-entailment"}}
    grouped = GroupedData("mnli_hans", "text", splits, aligned, shift=("hans",), merged_labels=merged, facts=facts)
    check_groups_of_train(grouped, ["test"])
    return grouped


def _hans(path: str | Path, limit: int | None) -> tuple[Dataset, str]:
    """HANS's evaluation set, and what it was read from."""
    if path == "hub":
        rows = hub_rows(
            HUB_NAME, ("premise", "hypothesis", "label", "heuristic"), split="validation", revision=HUB_REVISION
        )
        labels = [HANS_LABELS[number] if number in (0, 1) else number for number in rows["label"][:]]
        columns = rows["premise"][:], rows["hypothesis"][:], labels, rows["heuristic"][:]
        source = f"{HUB_NAME}, revision {resolved_revision(rows, HUB_REVISION)}"
    else:
        file = find_file(path, (FILE,), "HANS")
        table = read_table(file, ("gold_label", "sentence1", "sentence2", "heuristic"), delimiter="\t")
        columns = tuple([row[name] for row in table] for name in ("sentence1", "sentence2", "gold_label", "heuristic"))
        source = f"HANS, local file {file.name}"
    premises, hypotheses, labels, heuristics = columns
    for known, found, what in ((HANS_LABELS, labels, "label"), (HEURISTICS, heuristics, "heuristic")):
        other = [value for value in found if value not in known]
        if other:
            raise ValueError(f"{source}: {other[0]!r} is no {what} of HANS; they are {', '.join(known)}")
    names = [f"{heuristic.replace('_', ' ')} × {label}" for heuristic in HEURISTICS for label in HANS_LABELS]
    group = [names.index(f"{h.replace('_', ' ')} × {label}") for h, label in zip(heuristics, labels, strict=True)]
    numbers = [HANS_LABELS.index(label) for label in labels]
    rows = text_pairs(premises, hypotheses, numbers, HANS_LABELS, group, names)
    rows = with_columns(rows, {"heuristic": (heuristics, Value("string"))})
    return rows.select(stratified_subset(np.asarray(group), limit)), source
