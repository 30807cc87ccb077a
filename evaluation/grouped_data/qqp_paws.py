"""Quora Question Pairs, with PAWS as the test in which word overlap misleads."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from datasets import Dataset

from evenhand.evaluation.glue_data import HUB_NAME as GLUE_NAME
from evenhand.evaluation.glue_data import HUB_REVISION as GLUE_REVISION
from evenhand.evaluation.grouped_data.glue_pairs import pairs_with_overlap, text_pairs
from evenhand.evaluation.grouped_data.grouped import GroupedData, group_facts
from evenhand.evaluation.grouped_data.subsets import (
    check_groups_of_train,
    check_max_examples,
    limit_of,
    stratified_subset,
)
from evenhand.evaluation.grouped_data.word_overlap import jaccard
from evenhand.evaluation.measure_data import content_sha256, find_file, hub_rows, read_table

HUB_NAME = "google-research-datasets/paws"
HUB_CONFIGURATION = "labeled_final"
HUB_REVISION = "161ece9501cf0a11f3e48bd356eaa82de46d6a09"
FILES = ("dev_and_test.tsv", "test.tsv")
"""Of PAWS-QQP (which its authors' script makes from the Quora data) and of PAWS-Wiki."""
LABELS = ("not_duplicate", "duplicate")
_COLUMNS = ("sentence1", "sentence2", "label")


def load_qqp_paws(
    path: str | Path = "hub",
    paws_path: str | Path = "hub",
    *,
    high_overlap: float = 0.6,
    validation_share: float = 0.02,
    max_examples: int | Mapping[str, int] | None = None,
    seed: int = 0,
) -> GroupedData:
    """QQP with its dev file as the test, and PAWS (Zhang, Baldridge and He 2019) out of distribution.

    QQP's groups are label × word overlap, duplicates with a high overlap and others with a low one bias-aligned. All pairs of
    PAWS have a high overlap by construction: paraphrases are bias-aligned, the others bias-conflicting.

    Args:
        path: of QQP: ``"hub"``, or a directory in the layout of the GLUE download.
        paws_path: a .tsv file with the columns sentence1, sentence2, label, or a directory with PAWS-QQP's
            ``dev_and_test.tsv`` or PAWS-Wiki's ``test.tsv``; ``"hub"`` is PAWS-Wiki (PAWS-QQP may not be redistributed).
        high_overlap: words in both over words in either (Jaccard) from which on the overlap is high in QQP.
        validation_share: of the training file, by class, for validation.
        max_examples: at most so many in each split, or by split; every group in its share.
        seed: of the division of train and validation.

    Raises:
        FileNotFoundError: data that are not there.
        ValueError: a file that cannot be read, a setting out of its range, or a test without one of train's groups.
    """
    check_max_examples(max_examples, ("train", "validation", "test", "paws"))
    paws, paws_source = _paws(paws_path, limit_of(max_examples, "paws"))
    splits, aligned, data = pairs_with_overlap(
        "qqp",
        path,
        label_names=LABELS,
        alike="duplicate",
        overlap=jaccard,
        high_overlap=high_overlap,
        validation_share=validation_share,
        max_examples=max_examples,
        seed=seed,
    )
    splits["paws"] = paws
    facts = {
        "source": f"{GLUE_NAME}, qqp, revision {GLUE_REVISION}" if path == "hub" else "QQP, local files",
        "source_paws": paws_source,
        "licence": "QQP: Quora's terms; PAWS: free for any purpose, its sentences under the licences of their sources",
        "sha256": data.sha256,
        "sha256_paws": content_sha256(paws.to_list()),
        "high_overlap": high_overlap,
        "skipped_rows": data.skipped_rows,
        "n_by_group": group_facts(splits),
    }
    grouped = GroupedData("qqp_paws", "text", splits, aligned, shift=("paws",), facts=facts)
    check_groups_of_train(grouped, ["test"])
    return grouped


def _paws(path: str | Path, limit: int | None) -> tuple[Dataset, str]:
    if path == "hub":
        rows = hub_rows(HUB_NAME, _COLUMNS, split="test", revision=HUB_REVISION, configuration=HUB_CONFIGURATION)
        first, second, labels = (rows[name][:] for name in _COLUMNS)
        source = f"{HUB_NAME}, {HUB_CONFIGURATION} (PAWS-Wiki), test, revision {HUB_REVISION}"
    else:
        file = find_file(path, FILES, "PAWS")
        table = read_table(file, _COLUMNS, delimiter="\t")
        first, second = ([_plain(row[name]) for row in table] for name in _COLUMNS[:2])
        labels = [int(row["label"]) if row["label"] in ("0", "1") else row["label"] for row in table]
        source = f"PAWS, local file {file.name}"
    other = [label for label in labels if label not in (0, 1)]
    if other:
        raise ValueError(f"{source}: {other[0]!r} is no label of PAWS; they are 0 and 1")
    names = [f"{label} × high overlap" for label in LABELS]
    rows = text_pairs(first, second, labels, LABELS, labels, names)
    return rows.select(stratified_subset(np.asarray(labels), limit)), source


def _plain(text: str) -> str:
    """The authors' script, run with Python 3, writes each sentence as a bytes literal, b'…'."""
    if text[:2] in ("b'", 'b"') and text[-1:] == text[1]:
        try:
            return ast.literal_eval(text).decode("utf-8")
        except (ValueError, SyntaxError, UnicodeDecodeError):
            return text
    return text
