"""Numbers of the pages of studies as they are written."""

import pytest

from evenhand.launch.page_text import passes


@pytest.mark.parametrize(
    ("epochs", "shown"), [(12.34, "12.3"), (1.0, "1.0"), (0.9999, "1.0"), (0.41, "0.41"), (0.0437, "0.044"), (0.0007, "0.0007")]
)  # fmt: skip
def test_less_than_one_pass_over_a_text_is_not_none(epochs, shown):
    assert passes(epochs) == shown
