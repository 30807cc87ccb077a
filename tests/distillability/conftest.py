"""The made-up study, its results and its page, made once for all tests here."""

import json

import pytest
from made_up_grid import made_up_grid, made_up_results
from page_reading import whole

from evenhand.launch.distillability.page.distillability_page import write_page
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid


@pytest.fixture(scope="session")
def grid(tmp_path_factory):
    return made_up_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="session")
def results(grid):
    return made_up_results(grid)


@pytest.fixture(scope="session")
def measured(results):
    return MeasuredGrid(results)


@pytest.fixture(scope="session")
def page(results, tmp_path_factory):
    return write_page(results, tmp_path_factory.mktemp("page") / "here").parent


@pytest.fixture(scope="session")
def text(page):
    return whole(page).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="session")
def data(page):
    return json.loads((page / "results.json").read_text(encoding="utf-8"))
