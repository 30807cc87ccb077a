"""The front matter says to machines what the tables say to people, one configuration a number."""

import pytest
from full_report import complete, glue_entry, pairs_entry
from huggingface_hub import ModelCard

from evenhand.model_cards import CardFacts, build_card


def results(report):
    """dataset type and config -> result, as the Hub's client reads the card back."""
    read = ModelCard(build_card(report, CardFacts()), ignore_metadata_errors=False).data.eval_results
    found = {(result.dataset_type, result.dataset_config): result for result in read}
    assert len(found) == len(read) == len({result.unique_identifier for result in read})
    return found


def test_glue_and_second_measures_have_entries_with_interval_and_p(report):
    found = results(complete(report))
    cola = found["glue", "cola"]
    assert cola.metric_value == 60.0 and cola.task_type == "text-classification" and cola.dataset_split == "validation"
    assert cola.dataset_args == {"data_sha256": "c" * 64}
    assert cola.metric_args["confidence_interval"] == [57.0, 63.0] and cola.metric_args["n"] == 1043
    assert cola.metric_args["difference_from_teacher"] == -3.0 and cola.metric_args["value_teacher"] == 63.0
    assert cola.metric_args["difference_p_value"] == 0.01 and cola.metric_args["p_value_holm"] == 0.02
    assert cola.metric_args["verdict"] == "worse"
    pairs = found["crows_pairs", "gender"]
    assert pairs.metric_value == 58.5 and pairs.task_type == "fill-mask" and pairs.metric_args["ideal"] == 50.0
    assert not any(kind in ("speed", "seat_sensitivity") for kind, _ in found)


def test_seat_has_an_entry_for_each_test_and_mean_with_n_and_the_difference(report):
    found = results(report)
    test = found["seat", "sent-weat6b-mean-builtin"]
    assert test.metric_args["n_words"] == 32 and test.metric_args["n_sentences"] == 64 + 64 + 101 + 112
    assert test.metric_args["difference_from_teacher"] == pytest.approx(0.062 - 0.499)
    mean = found["seat", "mean-mean-builtin"]
    assert mean.metric_value == pytest.approx(0.737, abs=1e-3) and mean.metric_args["confidence_interval"] == [0.5, 0.9]
    assert mean.metric_args["verdict"] == "better" and len(mean.metric_args["tests"]) == 6


def test_another_family_has_a_mean_of_its_own(report):
    families = report["measures"]["seat"][0]["model"]["families"]
    families["gender-extended"] = {**families["gender"], "mean_absolute_effect_size": 0.25}
    found = results(report)
    assert found["seat", "mean-gender-extended-mean-builtin"].metric_value == 0.25
    assert found["seat", "mean-mean-builtin"].metric_value != 0.25


def test_an_average_of_glue_stands_there_where_it_has_a_value(report):
    report["measures"]["glue"] = [glue_entry()]
    assert not any(config.startswith("average") for _, config in results(report))
    average = report["measures"]["glue"][0]["model"]["averages"][0]
    average |= {"value": 61.5, "confidence_interval": [60.0, 63.0], "tasks": ["cola"], "unit": "points", "note": None}
    assert results(report)["glue", "average_eight_tasks_without_WNLI"].metric_value == 61.5


def test_a_measure_that_was_taken_twice_keeps_both_numbers(report):
    second = pairs_entry()
    second["model"]["scores"][0]["value"] = 51.0
    report["measures"]["crows_pairs"] = [pairs_entry(), second]
    found = results(report)
    assert found["crows_pairs", "gender"].metric_value == 58.5 and found["crows_pairs", "gender-2"].metric_value == 51.0


def test_a_score_that_is_not_defined_has_no_entry(report):
    report["measures"]["glue"] = [glue_entry()]
    report["measures"]["glue"][0]["model"]["scores"][0] |= {"value": None, "confidence_interval": None}
    assert ("glue", "cola") not in results(report) and ("glue", "sst2") in results(report)
