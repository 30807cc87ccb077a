"""`.eval_results/`: scores for the Hub's leaderboards, of registered benchmarks alone.

A result there is a number without an interval beside those of other models. So an entry is written only where the Hub's own
description of the benchmark names what was measured: the Hub's own data, the same configuration and split, all examples.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from evenhand.model_cards.escaping import one_line
from evenhand.model_cards.hub.retries import retried
from evenhand.model_cards.numbers import checked

GLUE, FROM_THE_HUB = "nyu-mll/glue", "hub, revision "
REGISTERED = "benchmark:official"
DESCRIPTION = "eval.yaml"


def benchmark_results(published: Mapping[str, Any], api: Any) -> dict[str, str]:
    """Files by path for the registered benchmarks among the report's data sets; asked of the Hub now.

    Args:
        published: a published report.
        api: a `huggingface_hub.HfApi`.

    Returns:
        Texts of `.eval_results/evenhand-NAME.yaml`; none where no data set of the report is a registered benchmark.
    """
    glue = (published["measures"].get("glue") or [{}])[0].get("model")
    if not glue or not glue["data"]["source"].startswith(FROM_THE_HUB):
        return {}
    entries = list(glue_entries(glue, _registered_tasks(GLUE, api)))
    if not entries:
        return {}
    text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=False)
    return {".eval_results/evenhand-glue.yaml": text}


def _registered_tasks(dataset: str, api: Any) -> list[Mapping[str, Any]]:
    """The tasks that a registered benchmark describes; none for other data sets."""
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

    try:
        info = retried(api.dataset_info, dataset)
    except RepositoryNotFoundError:
        return []
    if REGISTERED not in (info.tags or []):
        return []
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = retried(
                api.hf_hub_download, dataset, DESCRIPTION, repo_type="dataset", revision=info.sha, local_dir=folder
            )
        except RemoteEntryNotFoundError:
            return []
        try:
            described = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            return []
    tasks = described.get("tasks") if isinstance(described, dict) else None
    return [task for task in tasks or [] if isinstance(task, dict)]


def glue_entries(glue: Mapping[str, Any], tasks: list[Mapping[str, Any]]) -> Iterator[EvalResultEntry]:
    """The results of a report's GLUE for those of ``tasks`` (with id, config and split) that were measured in this way."""
    for task in tasks:
        key = task.get("config")
        measured = glue["tasks"].get(key) if isinstance(key, str) else None
        if not measured or measured["subset"] is not None or not isinstance(task.get("id"), str):
            continue
        metric = measured["metrics"][measured["main_metric"]]
        value = checked(metric["mean"])
        if value is not None and task.get("split") == metric["split"]:
            seeds = ", ".join(str(seed) for seed in glue["seeds"])
            yield EvalResultEntry(
                dataset_id=GLUE,
                task_id=task["id"],
                value=value,
                dataset_revision=glue["data"]["source"].removeprefix(FROM_THE_HUB),
                notes=one_line(
                    f"{metric['name']} on {metric['split']}, n {metric['n']}, fine-tuned with seeds {seeds}"
                ),
            )
