"""What `python -m build` puts into the wheel and the source distribution."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = {
    "evenhand/launch/slurm/array.sbatch", "evenhand/launch/slurm/run_and_requeue.sh", "evenhand/launch/accelerate_configs/ddp.yaml", "evenhand/launch/recipes/minilm_cpu.yaml", "evenhand/launch/recipes/planted.yaml", "evenhand/launch/planted_grammar.yaml",
    "evenhand/model_cards/sections/opening.md.jinja", "evenhand/model_cards/sections/citations.bib", "evenhand/evaluation/word_lists.yaml", "evenhand/evaluation/templates.yaml",
    "evenhand/trainer/word_pairs.json", "evenhand/trainer/function_words.txt", "evenhand/launch/first_names.txt", "evenhand/trainer/py.typed", "evenhand/evaluation/py.typed",
    "evenhand/model_cards/py.typed", "evenhand/launch/py.typed", "evenhand/launch/evaluations/minilm_local.yaml",
    "evenhand/evaluation/extended_gender.yaml", "evenhand/evaluation/gender_swaps.yaml",
    "evenhand/model_cards/space/requirements.txt", "evenhand/evaluation/modules/seat/seat.py", "evenhand/evaluation/modules/glue/README.md",
}  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist of a copy of the tracked tree, built with what is installed (no network)."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wheel_holds_the_four_packages_and_their_data(built):
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    assert names >= DATA
    assert {name.split("/")[1] for name in names if name.startswith("evenhand/")} == {
        "trainer",
        "evaluation",
        "model_cards",
        "launch",
    }
    assert not any("tests/" in name or "benchmarks/" in name for name in names)


def test_the_source_distribution_can_build_it_again(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {name.removeprefix("evenhand/") for name in DATA} | {
        "setup.cfg",
        "pyproject.toml",
        "LICENSE",
        "README.md",
    } <= names


def test_the_wheel_runs_where_the_repository_is_not(built, tmp_path):
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(tmp_path)
    code = (
        "import evenhand.launch.recipe as r, evenhand.trainer.word_pairs as w, evenhand.evaluation.stimuli as s;"
        "print(r.__file__); print(r.load_recipe('planted').student.layers, len(w.WordPairs.builtin().pairs), len(s.builtin_stimuli().tests))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    where, facts = done.stdout.strip().splitlines()[-2:]
    assert where.startswith(str(tmp_path)) and facts.split()[1] == "10"
