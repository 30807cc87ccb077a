"""Why a student is as biased as it is, or less: what differs inside teacher and student on bias-aligned and on bias-conflicting examples.

`Internals` is the evaluator; its parts can be used alone: `MinibatchCka` (similarity of representations), `MeanDivergence` (of attention maps),
`ablate` and `overlap` (which components a prediction hangs on).
"""

from evenhand.evaluation.internals.anatomy import Anatomy, anatomy
from evenhand.evaluation.internals.attention_divergence import MeanDivergence, attention_maps, jensen_shannon
from evenhand.evaluation.internals.cka import MinibatchCka, cka_difference
from evenhand.evaluation.internals.component_ablation import ablate
from evenhand.evaluation.internals.component_overlap import importance_correlation, overlap
from evenhand.evaluation.internals.internals import Internals
from evenhand.evaluation.internals.layer_map import map_layers
from evenhand.evaluation.internals.layer_outputs import layer_vectors

__all__ = [
    "Anatomy",
    "Internals",
    "MeanDivergence",
    "MinibatchCka",
    "ablate",
    "anatomy",
    "attention_maps",
    "cka_difference",
    "importance_correlation",
    "jensen_shannon",
    "layer_vectors",
    "map_layers",
    "overlap",
]
