"""Fixtures of the tests against a Hub on localhost."""

import shutil

import pytest
from hub_server import running_hub
from huggingface_hub import HfApi
from tiny_run import make_run

from evenhand.model_cards import CardFacts, staging
from evenhand.model_cards.staging import FIGURES, stage


@pytest.fixture
def hub(monkeypatch):
    """A Hub on localhost that knows the user ada; `HfApi(endpoint=hub.address, token=hub.token)` speaks to it."""
    with running_hub(monkeypatch) as server:
        yield server


@pytest.fixture
def api(hub):
    """Ada's."""
    return HfApi(endpoint=hub.address, token=hub.token)


@pytest.fixture(scope="session")
def made_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(made_run, tmp_path):
    """A measured run that a test may change."""
    return shutil.copytree(made_run, tmp_path / "run")


@pytest.fixture
def facts():
    return CardFacts(licence="apache-2.0", author="Ada")


@pytest.fixture(scope="session")
def drawn(made_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return stage(made_run, folder / "staged", CardFacts(licence="apache-2.0")) / FIGURES


@pytest.fixture
def quick(monkeypatch, drawn):
    """Staging without drawing, linting and loading the model again: for tests of what happens after it."""
    monkeypatch.setattr(staging, "draw_pictures", lambda report, folder: shutil.copytree(drawn, folder))
    monkeypatch.setattr("evenhand.model_cards.lint.staged_folder.lint_staged", lambda folder: [])
    monkeypatch.setattr("evenhand.model_cards.verification.verify_folder.changed_since_measured", lambda folder: [])


@pytest.fixture
def pauses(monkeypatch):
    """Seconds that anybody asked to sleep; nobody waits."""
    asked = []
    monkeypatch.setattr("time.sleep", asked.append)
    return asked
