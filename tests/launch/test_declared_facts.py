"""What a run declares: the thresholds of the gate are those of its training."""

import pytest

from evenhand.launch.declared_facts import card_facts
from evenhand.launch.recipe import recipe_from_dict


def recipe(**gate):
    publish = {"gate": gate} if gate else {}
    return recipe_from_dict({"teacher": {"path": "t"}, "corpus": {"sources": [{"path": "t.txt"}]}, "publish": publish})


@pytest.mark.parametrize("gate", [{}, {"mean_margin": 0.1}])
def test_thresholds_named_before_the_training_stand_in_the_facts(gate):
    facts = card_facts(recipe(**gate), {"recipe": recipe(**gate).to_dict()})
    assert dict(facts.gate) == {"mean_margin": 0.0, "test_margin": 0.0, "alpha": 0.05} | gate


def test_a_run_trained_before_there_was_a_gate_has_the_default_thresholds():
    assert card_facts(recipe(), {"recipe": {"publish": {"licence": None}}}).gate["mean_margin"] == 0.0


@pytest.mark.parametrize(
    ("before", "after"), [({}, {"mean_margin": 9.0}), ({"alpha": 0.01}, {}), ({"alpha": 0.01}, {"alpha": 0.2})]
)
def test_thresholds_changed_after_the_training_are_refused_in_one_line(before, after):
    with pytest.raises(ValueError, match=r"publish\.gate was changed after the training") as error:
        card_facts(recipe(**after), {"recipe": recipe(**before).to_dict()})
    assert "\n" not in str(error.value) and f"alpha: {before.get('alpha', 0.05):g}" in str(error.value)
