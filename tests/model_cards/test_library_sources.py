"""The library's files beside a metric's script: imports become relative, and what cannot come along is refused."""

import pytest

from evenhand.model_cards.hub.library_sources import flat_sources, relative_imports


def test_imports_from_the_library_become_relative_and_nothing_else_changes():
    source = (
        '"""Not code:\n\nfrom evenhand.evaluation.seat import Seat\n"""\n'
        "import numpy as np\n"
        "from evenhand.evaluation import intervals\n"
        "from evenhand.evaluation.effect_size import (\n    unit_rows,\n)\n"
        "def lazy():\n    from evenhand.evaluation.scores import Score\n    return Score\n"
    )
    text, modules = relative_imports(source, "x.py")
    assert modules == {"intervals", "effect_size", "scores"}
    expected = source.replace("from evenhand.evaluation import int", "from . import int")
    expected = expected.replace("from evenhand.evaluation.effect_size", "from .effect_size")
    assert text == expected.replace("    from evenhand.evaluation.scores", "    from .scores")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import evenhand.evaluation.seat\n", "x.py, line 1: write 'from"),
        ("\nfrom evenhand.trainer.mixup import GenderMixup\n", "line 2: evenhand.trainer.mixup is outside"),
    ],
)
def test_imports_that_cannot_come_along_are_refused(source, fault):
    with pytest.raises(ValueError, match=fault):
        relative_imports(source, "x.py")


def test_a_library_file_cannot_take_the_name_of_the_script(tmp_path):
    script = tmp_path / "effect_size.py"
    script.write_text(
        "from evenhand.evaluation.intervals import METHOD\nfrom evenhand.evaluation.effect_size import x\n"
    )
    with pytest.raises(ValueError, match="effect_size, whose name is taken"):
        flat_sources(script)
