"""How an arm of a study looks, the same in every picture of its page: the few that matter in colour, the rest in grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.model_cards.figures.canvas import STYLES

ROLES = ("teacher", "baseline", "proposed", "core", "exploratory")
"""What an arm is in its study. ``core``: planned with enough seeds; ``exploratory``: with few. At most one of each of the first three."""

GREY = "#6e6e6e"
_COLOURED_CORE = STYLES[2:5]
_GREY_MARKERS = ("X", "<", ">", "h", "p", "d")


@dataclass(frozen=True)
class ArmLook:
    """How the points and lines of one arm are drawn.

    Args:
        colour: of points and lines; grey for arms that are not to stand out.
        marker: matplotlib's name of the point's shape.
        filled: whether points are filled; those of exploratory arms are hollow.
        stands_out: whether its line is thick and its label bold (baseline and proposed).
        is_grey: whether it stands behind the coloured ones.
    """

    colour: str
    marker: str
    filled: bool
    stands_out: bool
    is_grey: bool

    @property
    def face(self) -> str:
        """The colour inside its points."""
        return self.colour if self.filled else "white"

    @property
    def height(self) -> float:
        """Its place in front of others (matplotlib's zorder)."""
        return 2 if self.is_grey else 4 if self.stands_out else 3


def arm_looks(roles: Sequence[str]) -> list[ArmLook]:
    """The look of each arm.

    The teacher is black, the baseline blue, the proposed arm vermilion, the next three core arms have the palette's other colours; further core
    arms are grey with shapes of their own, exploratory ones hollow grey circles. Labels name each of them, so that neither colour nor shape has to.

    Args:
        roles: of each arm, of `ROLES`.

    Raises:
        ValueError: an unknown role, or two teachers, baselines or proposed arms.
    """
    for role in roles:
        if role not in ROLES:
            raise ValueError(f"the role of an arm in a picture is one of {', '.join(ROLES)}, not {role!r}")
    for role in ROLES[:3]:
        if list(roles).count(role) > 1:
            raise ValueError(f"a picture of a study has one {role} at most, not {list(roles).count(role)}")
    single = {"teacher": STYLES[5], "baseline": STYLES[0], "proposed": STYLES[1]}
    looks, core = [], 0
    for role in roles:
        if role in single:
            looks.append(ArmLook(*single[role], filled=True, stands_out=role != "teacher", is_grey=False))
        elif role == "exploratory":
            looks.append(ArmLook(GREY, "o", filled=False, stands_out=False, is_grey=True))
        elif core < len(_COLOURED_CORE):
            looks.append(ArmLook(*_COLOURED_CORE[core], filled=True, stands_out=False, is_grey=False))
            core += 1
        else:
            marker = _GREY_MARKERS[(core - len(_COLOURED_CORE)) % len(_GREY_MARKERS)]
            looks.append(ArmLook(GREY, marker, filled=True, stands_out=False, is_grey=True))
            core += 1
    return looks
