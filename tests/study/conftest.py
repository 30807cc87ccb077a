"""The miniature of the whole study, run once for all tests here."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import datasets
import miniature
import pytest
import torch
from in_process import InProcess
from kept_reports import KeptReports
from made_up_study import made_up_results, made_up_study, measured_seat
from miniature import LAUNCHER, SECTIONS, study_command

from evenhand.launch.command import main
from evenhand.launch.study.directory import StudyDirectory
from evenhand.launch.study.execution import StudyJob
from evenhand.launch.study.page.study_page import write_page
from evenhand.launch.study.results import StudyResults, results_of
from evenhand.launch.study.study_file import load_study


@dataclass(frozen=True)
class Finished:
    """A finished study: its file, its directory, what it found, and what its page says."""

    file: Path
    directory: Path
    results: StudyResults
    said: dict

    @property
    def page(self) -> Path:
        return self.directory / "page"


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The whole miniature."""
    folder = tmp_path_factory.mktemp("miniature")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        directory = miniature.run_miniature(folder, patch)
        torch.set_num_threads(threads)
    file = folder / "ahn2022.yaml"
    study = load_study(file, "miniature", only=SECTIONS.split(","))
    results = results_of(StudyJob(study, StudyDirectory(directory), str(file)), "")
    said = json.loads((directory / "page" / "results.json").read_text(encoding="utf-8"))
    return Finished(file, directory, results, said)


@pytest.fixture
def begun(finished, tmp_path):
    """A study directory in which the teachers are made and nothing else."""
    directory = tmp_path / "study"
    shutil.copytree(finished.directory / "teachers", directory / "teachers")
    return directory


@pytest.fixture
def evenhand_study(finished, tmp_path, monkeypatch):
    """``evenhand_study(*words, launcher=…, file=…, directory=…)``: the command's exit code.

    By default nothing is trained: reports are those of the finished miniature.
    """
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")

    def run(*words, launcher=None, file=None, directory=None):
        launcher = launcher or KeptReports(finished.results, finished.directory)
        monkeypatch.setattr(LAUNCHER, lambda *args, **kwargs: launcher)
        return main(study_command(file or finished.file, directory or tmp_path / "study", *words))

    return run


@pytest.fixture
def in_process():
    return InProcess


# the made-up study, measured by hand, and its page


@pytest.fixture(scope="module")
def entry():
    return measured_seat()


@pytest.fixture(scope="module")
def results(entry, tmp_path_factory):
    return made_up_results(made_up_study(tmp_path_factory.mktemp("tiny")), entry)


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    return write_page(results, tmp_path_factory.mktemp("page") / "here").parent


@pytest.fixture(scope="module")
def text(page):
    return (page / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data(page):
    return json.loads((page / "results.json").read_text(encoding="utf-8"))
