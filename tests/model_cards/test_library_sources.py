"""The library's files beside a metric's script or an app: what is imported comes along, and what cannot is refused."""

from importlib.resources import files
from pathlib import Path

import pytest

from evenhand.model_cards.hub.library_sources import flat_sources, package_sources, relative_imports


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


# --- an app's files --------------------------------------------------------------------------------------------------


def test_an_app_brings_every_library_file_that_it_imports_unchanged(tmp_path):
    app = tmp_path / "app.py"
    app.write_text(
        "from typing import TYPE_CHECKING\n"
        "from evenhand.evaluation import multiplicity\n"
        "def lazy():\n    from evenhand.evaluation.detectable_effect import POWER\n"
        "if TYPE_CHECKING:\n    from evenhand.evaluation.seat import Seat\n"
    )
    sources = package_sources(app)
    assert set(sources) == {
        *("evenhand/evaluation/multiplicity.py", "evenhand/evaluation/detectable_effect.py"),
        "evenhand/evaluation/effect_size.py",  # which the latter imports
    }
    for path, text in sources.items():
        assert text == Path(str(files("evenhand.evaluation"))).joinpath(Path(path).name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("from evenhand.trainer.mixup import GenderMixup\n", "evenhand.trainer.mixup is outside"),
        ("\nimport evenhand.launch.recipe\n", "line 2: evenhand.launch.recipe is outside"),
        ("from evenhand.evaluation import Seat\n", "import evenhand.evaluation.Seat from the file that holds it"),
        ("import evenhand.evaluation\n", "evenhand.evaluation is outside"),
    ],
)
def test_what_an_app_cannot_bring_along_is_refused(tmp_path, source, fault):
    (tmp_path / "app.py").write_text(source)
    with pytest.raises(ValueError, match=fault):
        package_sources(tmp_path / "app.py")
