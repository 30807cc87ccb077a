"""What is known of the benchmarks that a report can hold: the licence that their own repositories state, and what to cite.

A licence of None is one that was not read with certainty: the card then says that it is not recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Benchmark(NamedTuple):
    """One data set: its name, the licence its own page states, and keys of `citations.bib`."""

    name: str
    licence: str | None
    citations: tuple[str, ...]


STIMULI = {
    "builtin": Benchmark("evenhand built-in sentences", "apache-2.0", ()),
    "sent-bias": Benchmark("sent-bias sentences", "cc-by-nc-4.0", ()),
}
GLUE_TASKS = {
    "cola": Benchmark("CoLA", None, ("warstadt-etal-2019-neural",)),
    "sst2": Benchmark("SST-2", None, ("socher-etal-2013-recursive",)),
    "mrpc": Benchmark("MRPC", None, ("dolan-brockett-2005-automatically",)),
    "stsb": Benchmark("STS-B", None, ("cer-etal-2017-semeval",)),
    "qqp": Benchmark("QQP", None, ("iyer-etal-2017-quora",)),
    "mnli": Benchmark("MNLI", None, ("williams-etal-2018-broad",)),
    "qnli": Benchmark("QNLI (from SQuAD)", "cc-by-sa-4.0", ("rajpurkar-etal-2016-squad",)),
    "rte": Benchmark(
        "RTE",
        None,
        (
            "dagan-etal-2006-pascal",
            "bar-haim-etal-2006-second",
            "giampiccolo-etal-2007-third",
            "bentivogli-etal-2009-fifth",
        ),
    ),
    "wnli": Benchmark("WNLI", None, ("levesque-etal-2012-winograd",)),
}
_CROWS_PAIRS = Benchmark("CrowS-Pairs", "cc-by-sa-4.0", ("nangia-etal-2020-crows",))
_WINOGENDER = Benchmark("Winogender", "mit", ("rudinger-etal-2018-gender",))
_WINOBIAS = Benchmark("WinoBias", "mit", ("zhao-etal-2018-gender",))
MEASURES = {
    "crows_pairs": (_CROWS_PAIRS,),
    "aul": (_CROWS_PAIRS,),
    "stereoset": (Benchmark("StereoSet", "cc-by-sa-4.0", ("nadeem-etal-2021-stereoset",)),),
    "pronoun_gap": (_WINOGENDER, _WINOBIAS),
}
METHODS = {"aul": ("kaneko-bollegala-2022-unmasking",), "pseudo_perplexity": ("salazar-etal-2020-masked",)}
"""What to cite for a method that is no data set."""


def used_benchmarks(measures: Mapping[str, Any]) -> list[Benchmark]:
    """The benchmarks whose data a report's numbers come from, each once, in the order of the card.

    Args:
        measures: the report's.
    """
    found: dict[str, Benchmark] = {}
    for entry in measures.get("seat") or []:
        source = (entry.get("stimuli") or {}).get("source")
        stimuli = STIMULI.get(source) or Benchmark(str((entry.get("stimuli") or {}).get("name")), None, ())
        found.setdefault(stimuli.name, stimuli)
    tasks = [key for entry in measures.get("glue") or [] for key in ((entry.get("model") or {}).get("tasks") or {})]
    # counterfactual consistency fine-tunes on one task of GLUE
    tasks += [(entry.get("model") or {}).get("task") for entry in measures.get("counterfactual_consistency") or []]
    named = [GLUE_TASKS[key] for key in GLUE_TASKS if key in tasks]
    named += [benchmark for measure in MEASURES if measures.get(measure) for benchmark in MEASURES[measure]]
    for benchmark in named:
        found.setdefault(benchmark.name, benchmark)
    return list(found.values())
