"""A card's front matter as the Hub shows it: labels under the name, the model's tree and its results beside the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import model_index_to_eval_results

from evenhand.model_cards import numbers


def front_matter_of(text: str) -> dict[str, Any]:
    """The YAML between the ``---`` lines.

    Args:
        text: what stands between them.

    Raises:
        ValueError: it is no YAML, or no mapping by name.
    """
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # a date that is none is a ValueError
        raise ValueError(f"the card's front matter is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data or {}, Mapping) or not all(isinstance(key, str) for key in data or {}):
        raise ValueError("the card's front matter must be fields by name, such as 'license: apache-2.0'")
    return dict(data or {})


def page_metadata(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the template prints around a card.

    Args:
        data: the front matter.

    Returns:
        ``chips`` of (kind, text), ``language``, ``base_models``, ``datasets``, and ``results`` as `_results` makes them. A field of
        another form than the Hub's is left out here; to say what is wrong with it is the linter's part.
    """
    fields = {
        "task": "pipeline_tag",
        "library": "library_name",
        "language": "language",
        "tag": "tags",
        "licence": "license",
    }
    return {
        "chips": [(kind, text) for kind, field in fields.items() for text in _texts(data.get(field))],
        "language": _texts(data.get("language")),
        "base_models": _texts(data.get("base_model")),
        "datasets": _texts(data.get("datasets")),
        "results": _results(_model_index(data.get("model-index"))),
    }


def _model_index(index: Any) -> list[EvalResult]:
    try:
        return model_index_to_eval_results(index)[1]
    except (AttributeError, KeyError, TypeError, ValueError):  # absent, or of a form that the Hub does not read either
        return []


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(item) for item in values if isinstance(item, (str, int, float)) and not isinstance(item, bool)]


def _results(results: list[EvalResult]) -> list[dict[str, Any]]:
    """By data set, in the card's order: ``dataset``, and ``rows`` with ``metric``, ``config``, ``value`` and ``interval`` as text."""
    groups: dict[str, list[dict[str, str]]] = {}
    for result in results:
        args = result.metric_args if isinstance(result.metric_args, Mapping) else {}
        row = {
            "metric": str(result.metric_name or result.metric_type),
            "config": str(result.dataset_config or ""),
            "value": _number(result.metric_value),
            "interval": _interval(args.get("confidence_interval")),
        }
        groups.setdefault(str(result.dataset_name), []).append(row)
    return [{"dataset": name, "rows": rows} for name, rows in groups.items()]


def _number(value: Any) -> str:
    if isinstance(value, float):
        return str(numbers.fixed(value)) if value == value and abs(value) != float("inf") else str(value)
    return str(value)


def _interval(value: Any) -> str:
    ends = value if isinstance(value, list) and len(value) == 2 else []
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends):
        return ""
    return f"[{', '.join(_number(float(end)) for end in ends)}]" if ends else ""
