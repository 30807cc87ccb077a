"""Which tests go to one process of `make test`: those of a file, and all that need what is too dear to be made twice."""

import pytest

MADE_ONCE = {"finished": "miniature of the study"}
"""Session fixture that takes a minute or more → the name of the group of its tests. pytest-xdist has sessions of its own in each process, so two
files in two processes would make it twice."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(config, items):
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        dear = [group for fixture, group in MADE_ONCE.items() if fixture in item.fixturenames]
        item.add_marker(pytest.mark.xdist_group(dear[0] if dear else str(item.path.relative_to(config.rootpath))))
