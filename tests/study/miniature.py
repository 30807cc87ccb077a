"""Ahn et al. 2022 in miniature: the packaged study's arms and sections, at a scale of its own that takes a minute."""

from pathlib import Path

import yaml
from in_process import InProcess
from tiny_glue import write_glue_data

from evenhand.launch.command import main
from evenhand.launch.study.study_file import PACKAGED

SECTIONS = "table1,table2,table3,figure1,random_pairs,equalisation,counterfactual,cda,fraction"
LAUNCHER = "evenhand.launch.study_work.make_launcher"
TEACHER = {"layers": 3, "hidden_size": 16, "heads": 2, "steps": 6, "batch_size": 16}
RECIPE = {
    "student": {"family": "distilbert", "layers": 1},
    "corpus": {"max_length": 64, "held_out": 0.05, "workers": 1},
    "objective": {"alpha_ce": 1.0, "alpha_mlm": 1.0, "alpha_cos": 1.0},
    "training": {
        "max_steps": 4, "per_device_train_batch_size": 16, "learning_rate": 0.01, "logging_steps": 2, "save_strategy": "steps",
        "save_steps": 2, "use_cpu": True, "disable_tqdm": True,
    },
    "watch": {"every_steps": 4, "measures": {"seat": {"families": ["gender"]}}},
    "evaluation": {"stimuli": ["builtin"], "poolings": ["mean", "cls"], "families": ["gender"], "sensitivity": False, "speed": False},
    "publish": {"licence": "cc0-1.0"},
}  # fmt: skip


def packaged_study() -> dict:
    """The content of the packaged study file."""
    return yaml.safe_load((PACKAGED / "ahn2022.yaml").read_text(encoding="utf-8"))


def miniature_scale(glue_data: Path) -> dict:
    """Two seeds of what is core and one of the rest, each with its own planted corpus and a teacher of 16 features."""
    return {
        "note": "A miniature.",
        "seeds": {"core": 2, "other": 1},
        "lists": {
            "depths": [3, 2, 1], "combinations": ["mean"], "temperatures": [1, 2], "alphas": [0.4, 1], "fractions": [0.5, 1], "draws": [],
        },
        "planted": {
            "associations": {"career_family": 0.8, "math_arts": 0.4, "science_arts": 0.0},
            "n_documents": 1000,
            "teacher": TEACHER,
        },
        "teachers": {"debiased": {"debias": {"epochs": 1, "max_sentences": 100}}},
        "glue": {
            "seeds": 1,
            "arms": ["original", "proposed"],
            "settings": {"data": str(glue_data), "tasks": ["sst2", "rte"], "epochs": 1, "seeds": [0]},
        },
        "recipe": RECIPE,
    }  # fmt: skip


def write_study(path: Path, content: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def miniature_study(folder: Path) -> Path:
    """The study file, and GLUE data for it."""
    scale = miniature_scale(write_glue_data(folder / "glue_data"))
    return write_study(folder / "ahn2022.yaml", packaged_study() | {"scales": {"miniature": scale}})


def study_command(file: Path, directory: Path, *words: str) -> list[str]:
    return ["study", str(file), "--scale", "miniature", "--output-dir", str(directory), *words]


def run_miniature(folder: Path, monkeypatch) -> Path:
    """Run the whole miniature; the study's directory."""
    monkeypatch.setattr(LAUNCHER, lambda *args, **kwargs: InProcess())
    file = miniature_study(folder)
    assert main(study_command(file, folder / "study", "--only", SECTIONS)) == 0
    return folder / "study"
