"""Places of labels and ends of axes, against an independent optimiser and by hand."""

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, minimize

from evenhand.model_cards.figures.cut_whiskers import limits
from evenhand.model_cards.figures.margin_labels import spread


@pytest.mark.parametrize("seed", range(6))
def test_labels_are_as_near_to_their_points_as_the_distance_between_them_lets_them(seed):
    draws = np.random.default_rng(seed)
    wanted, gap = np.sort(draws.normal(0.5, 0.1, 9)), 0.06
    places = spread(wanted, gap, 0.0, 1.0)
    between = LinearConstraint(np.diff(np.eye(9), axis=0), gap, np.inf)
    best = minimize(
        lambda x: ((x - wanted) ** 2).sum(), np.linspace(0, 1, 9), jac=lambda x: 2 * (x - wanted), method="SLSQP",
        bounds=[(0, 1)] * 9, constraints=[between], options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    assert best.success and places == pytest.approx(best.x, abs=1e-5)


def test_labels_at_an_edge_stay_within_it_and_too_many_share_the_room():
    assert spread([0.0, 0.0, 0.0], 0.1, 0, 1) == pytest.approx([0, 0.1, 0.2])
    assert spread([0.97, 1.0], 0.1, 0, 1) == pytest.approx([0.9, 1.0])
    assert spread([0.2, 0.3, 0.9], 0.7, 0, 1) == pytest.approx([0, 0.5, 1])
    assert spread([0.4], 0.1, 0, 1) == pytest.approx([0.4])


def test_an_axis_shows_every_value_and_of_long_intervals_what_leaves_the_values_their_share():
    assert limits([0.0, 1.0], [(-0.5, 1.2), None], widest=3) == pytest.approx((-0.5 - 0.085, 1.2 + 0.085))
    assert limits([0.0, 1.0], [(-9.0, 1.2)], widest=3) == pytest.approx((-1 - 0.11, 1.2 + 0.11))
    # the shortest whole, the other as far as the room goes
    two = [(-9.0, 1.2), (0.5, 2.5), None]
    assert limits([0.0, 1.0], two, widest=3, one_whole=True) == pytest.approx((-1 - 0.175, 2.5 + 0.175))
    assert limits([0.0, 1.0], two, widest=3) == pytest.approx((-1 - 0.15, 2 + 0.15))
    assert limits([0.0, 1.0], [None], widest=3, one_whole=True) == pytest.approx((-0.05, 1.05))
    assert limits([0.0, 1.0], [], widest=3, near=[1.8, 2.1]) == pytest.approx((-0.09, 1.89))
    assert limits([2.0], [(0.0, 5.0)], widest=3) == pytest.approx((-0.25, 5.25))
    assert limits([2.0], [], widest=3) == (1.5, 2.5)
