"""The command line of ``evenhand verify``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

EXAMPLE = (
    "evenhand verify user/student@v1\n"
    "         evenhand verify published/student --stimuli sent-bias/tests --teacher google-bert/bert-base-uncased\n"
    "         evenhand verify published/student --measure crows_pairs data=crows_pairs_anonymized.csv --measure glue data=glue_data store=checked"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything but ``--debug``."""
    parser.add_argument(
        "target", metavar="FOLDER_OR_REPO_ID", help="a published folder, or OWNER/NAME[@REVISION] on the Hub"
    )
    parser.add_argument(
        "--stimuli", action="append", default=[], metavar="PATH",
        help="directory of sent-bias files, or YAML file of word lists, that numbers of the report were computed on; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--measure", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"),
        help="compute a further measure of the report again, with the report's settings, on your copy of its data "
        "(data=PATH; store=PATH keeps GLUE's finished parts); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--teacher", metavar="PATH_OR_ID",
        help="compute the teacher's numbers and the differences from it again (its weights must be those of the report)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the table as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the table; 0 where every checked claim agrees and the headline was recomputed, else 1."""
    from evenhand.model_cards import verify
    from evenhand.trainer.teacher import PACKAGE_PREFIX, resolve_model_path

    measures = measure_settings(options.measure)
    teacher = options.teacher
    if teacher is not None and teacher.startswith(PACKAGE_PREFIX):
        teacher = Path(resolve_model_path(teacher))
    verification = verify(options.target, options.stimuli, measures=measures, teacher=teacher, progress=True)
    if options.json:
        print(json.dumps(verification.to_dict(), indent=2, ensure_ascii=False))
    else:
        print(verification.table())
    return 0 if verification.ok else 1


def measure_settings(groups: Sequence[Sequence[str]]) -> dict[str, dict[str, object]]:
    """``[["glue", "data=folder"]]`` → ``{"glue": {"data": "folder"}}``; values are read as YAML, paths as they stand.

    Raises:
        ValueError: a measure named twice, or a word after its name that is not KEY=VALUE.
    """
    measures: dict[str, dict[str, object]] = {}
    for name, *words in groups:
        if name in measures:
            raise ValueError(f"--measure {name} is given twice")
        measures[name] = {}
        for word in words:
            key, equals, text = word.partition("=")
            if not equals or not key:
                raise ValueError(f"--measure {name}: {word!r} is not KEY=VALUE; name what is verified before --measure")
            measures[name][key] = text if key in ("data", "store") else _value(name, key, text)
    return measures


def _value(name: str, key: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError(f"--measure {name}: the value of {key} is not valid YAML: {text!r}") from None
