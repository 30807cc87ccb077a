"""Plain against mixup over seeds: which runs are made, from what, where, and what a failure says."""

from pathlib import Path

import pytest
import yaml

from evenhand.launch import paired_runs
from evenhand.launch.command import main
from evenhand.launch.launchers import LocalLauncher
from evenhand.launch.recipe import load_recipe
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.study_runs import EVENHAND, Outcome


class InProcess:
    """Runs ``distill`` and the preparation in this process, and evaluates nothing; keeps every run it is given."""

    def __init__(self, codes=None):
        self.codes, self.launched = codes or {}, []

    def launch(self, runs):
        self.launched.append(list(runs))
        return [Outcome(run.name, self.codes.get(run.name, 0) or self._run(run), run.log) for run in runs]

    @staticmethod
    def _run(run) -> int:
        for words in run.commands:
            if words[:3] == (*EVENHAND, "distill") and (code := main(list(words[2:]))):
                return code
            if words[1] == "evenhand.launch.paired_runs" and (code := paired_runs.main(list(words[2:]))):
                return code
        return 0


@pytest.fixture
def output(tmp_path):
    (tmp_path / "pairs").mkdir()
    return tmp_path / "pairs"


def test_each_seed_has_one_student_of_each_arm_from_one_teacher(tiny_recipe, output):
    launcher = InProcess()
    recipe = load_recipe(tiny_recipe(training={"max_steps": 2}))
    assert paired_runs.run_pairs(recipe, output, 2, launcher) == 0
    records = {
        (arm, seed): RunDirectory(output / f"{arm}-seed{seed}").training()
        for arm in ("plain", "mixup")
        for seed in (0, 1)
    }
    assert len({record["teacher"]["weights_sha256"] for record in records.values()}) == 1
    assert {key: record["seed"] for key, record in records.items()} == {key: key[1] for key in records}
    assert all((record["supervision"] is not None) == (arm == "mixup") for (arm, _), record in records.items())
    assert len({record["student"]["weights_sha256"] for record in records.values()}) == 4
    [runs] = launcher.launched
    assert [run.name for run in runs] == ["plain-seed0", "mixup-seed0", "plain-seed1", "mixup-seed1"]
    for run in runs:
        directory = str(output / run.name)
        assert run.commands == (
            (*EVENHAND, "distill", f"{directory}.yaml", "--output-dir", directory),
            (*EVENHAND, "evaluate", directory),
        )
        assert run.log == Path(f"{directory}.log") and run.inputs == (Path(f"{directory}.yaml"),)


def test_a_failed_run_is_named_with_its_log_and_stopped_ones_ask_for_another_start(tiny_recipe, output):
    class Said:
        def __init__(self, *codes):
            self.codes = codes

        def launch(self, runs):
            return [
                Outcome(run.name, code, run.log, stopped=code == 75) for run, code in zip(runs, self.codes, strict=True)
            ]

    recipe = load_recipe(tiny_recipe())
    assert paired_runs.run_pairs(recipe, output, 2, Said(0, 75, 0, 75)) == 75
    with pytest.raises(RuntimeError, match=r"1 of 4 runs failed: plain-seed1 \(see .*plain-seed1\.log\)"):
        paired_runs.run_pairs(recipe, output, 2, Said(0, 75, 1, 75))


def test_each_student_is_distilled_with_the_config_of_accelerate_and_variables_that_were_named(tmp_path):
    [run] = paired_runs.make_runs([tmp_path / "a.yaml"], "ddp", {"A": "b"})
    assert run.commands[0] == (
        *EVENHAND, "distill", str(tmp_path / "a.yaml"), "--output-dir", str(tmp_path / "a"), "--accelerate", "ddp",
    )  # fmt: skip
    assert run.environment == {"A": "b"}


def test_a_teacher_without_a_head_is_made_once_and_by_the_launcher_where_asked(
    tiny_recipe, tiny_teacher, output, tmp_path
):
    from transformers import AutoModel, AutoTokenizer

    encoder = tmp_path / "encoder"
    AutoModel.from_pretrained(tiny_teacher).save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(encoder)
    recipe = load_recipe(
        tiny_recipe(teacher={"path": str(encoder), "mlm_steps": 2, "mlm_batch_size": 8}, training={"max_steps": 1})
    )
    launcher = InProcess(codes=dict.fromkeys(("plain-seed0", "mixup-seed0", "plain-seed1", "mixup-seed1"), 1))
    with pytest.raises(RuntimeError, match="4 of 4 runs failed"):
        paired_runs.run_pairs(recipe, output, 2, launcher, teacher_by_launcher=True)
    [[preparation], runs] = launcher.launched
    assert preparation.name == "teacher" and preparation.environment == {"CUDA_VISIBLE_DEVICES": "0"}
    paths = {yaml.safe_load(run.inputs[0].read_text())["teacher"]["path"] for run in runs}
    assert paths == {str(output / "teacher_run" / "teacher")}
    launcher.launched.clear()
    with pytest.raises(RuntimeError):
        paired_runs.run_pairs(recipe, output, 2, launcher, teacher_by_launcher=True)
    assert [len(runs) for runs in launcher.launched] == [4]  # the teacher is there


def command(recipe: str, output: Path, *words: str) -> int:
    return paired_runs.main([recipe, "--output-dir", str(output), "--seeds", "2", *words])


def test_preparing_only_writes_recipes_that_evenhand_sbatch_takes(tiny_recipe, output, capsys):
    assert command(tiny_recipe(), output, "--prepare-only", "training.max_steps=1") == 0
    files = capsys.readouterr().out.splitlines()[-4:]
    assert files == [str(output / f"{arm}-seed{seed}.yaml") for seed in (0, 1) for arm in ("plain", "mixup")]
    assert main(["sbatch", *files, "--output-dir", str(output)]) == 0
    script = capsys.readouterr().out
    assert "#SBATCH --array=0-3\n" in script and f"    {output / 'mixup-seed1'}\n" in script
    assert load_recipe(files[3]).training["max_steps"] == 1


def test_what_slurm_is_told_and_what_the_recipe_is_told_may_stand_together(tiny_recipe, output, monkeypatch):
    seen = {}

    def launcher(name, output_dir, code, *, jobs, slurm):
        seen.update(name=name, slurm=slurm)
        return LocalLauncher(jobs, code)

    def run_pairs(recipe, output_dir, seeds, launcher, accelerate, environment, teacher_by_launcher):
        seen.update(steps=recipe.training["max_steps"], environment=environment, teacher=teacher_by_launcher)
        return 75

    monkeypatch.setattr(paired_runs, "make_launcher", launcher)
    monkeypatch.setattr(paired_runs, "run_pairs", run_pairs)
    words = ("--launcher", "slurm", "--slurm", "partition=gpu", "time=20:00:00", "training.max_steps=7")
    assert command(tiny_recipe(), output, *words) == 75
    assert seen.pop("environment") == {"TOKENIZERS_PARALLELISM": "false"}
    assert seen == {"name": "slurm", "slurm": ["partition=gpu", "time=20:00:00"], "steps": 7, "teacher": True}
    assert command(tiny_recipe(), output, "--jobs", "2") == 75
    assert seen["name"] == "local" and "OMP_NUM_THREADS" in seen["environment"] and seen["teacher"] is False


def test_jobs_at_a_time_are_of_the_local_launcher(tiny_recipe, output, capsys):
    assert command(tiny_recipe(), output, "--launcher", "slurm", "--jobs", "2") == 2
    assert "--slurm array_parallelism=N" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "jobs", "threads"),
    [([], 6, "1"), (["--accelerate", "ddp"], 1, None), (["--accelerate", "ddp", "--jobs", "2"], 2, "3")],
    ids=["one process each", "several", "several, as told"],
)
def test_runs_of_several_processes_are_one_at_a_time_unless_told_otherwise(
    tiny_recipe, output, monkeypatch, words, jobs, threads
):
    """Each takes every GPU, and its launcher deals the cores."""
    seen = {}

    def run_pairs(recipe, output_dir, seeds, launcher, accelerate, environment, teacher_by_launcher):
        seen.update(jobs=launcher.jobs, threads=environment.get("OMP_NUM_THREADS"))
        return 75

    monkeypatch.setattr(paired_runs, "run_pairs", run_pairs)
    monkeypatch.setattr(paired_runs.os, "cpu_count", lambda: 6)
    assert command(tiny_recipe(), output, *words) == 75
    assert seen == {"jobs": jobs, "threads": threads}
