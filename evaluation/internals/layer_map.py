"""Which layer of a teacher is compared with which layer of its student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evenhand.evaluation.internals.anatomy import Anatomy, Layer

LayerMap = Sequence[int] | Mapping[str, Sequence[int]]
"""For each layer of the student (of a stack) the layer of the teacher, counted from 0, as a student made from a teacher's layers records it."""

LayerPairs = tuple[tuple[Layer, Layer], ...]
"""A teacher's and a student's layer each, from the input to the output."""


def map_layers(teacher: Anatomy, student: Anatomy, layer_map: LayerMap | None = None) -> LayerPairs:
    """Pairs of a teacher's and a student's layer, from the input to the output; no layer stands in two of them.

    With a ``layer_map`` these are its pairs. Without one, layers of the same relative depth: of the shallower model layer i of n, counted from 1,
    stands beside layer ⌈i·m/n⌉ of the deeper one's m, so that both models' last layers are a pair. Stacks (T5's encoder and decoder, the stages of
    ResNet) are mapped each to the one of its name; where no name is shared (ResNet and ViT), all layers are one stack.

    Args:
        teacher, student: from `anatomy`.
        layer_map: of the only stack (or of each, where all have as many layers); a mapping where stacks differ.

    Raises:
        ValueError: a map that does not fit the models.
    """
    shared = [name for name in teacher.stacks if name in student.stacks]
    if layer_map is None:
        if not shared:
            return _by_depth(*(tuple(one for one in model.layers if not one.is_input) for model in (teacher, student)))
        return tuple(pair for name in shared for pair in _by_depth(teacher.stack(name), student.stack(name)))
    maps = layer_map if isinstance(layer_map, Mapping) else dict.fromkeys(shared, layer_map)
    unknown = [name for name in maps if name not in shared]
    if unknown or not maps:
        known = f"the models share {', '.join(shared)}" if shared else "they share none"
        raise ValueError(
            f"layer_map names the stack {unknown[0]!r}: {known}" if unknown else f"layer_map is empty: {known}"
        )
    return tuple(pair for name in maps for pair in _by_map(name, teacher.stack(name), student.stack(name), maps[name]))


def _by_depth(teacher: tuple[Layer, ...], student: tuple[Layer, ...]) -> LayerPairs:
    count = min(len(teacher), len(student))

    def layers(stack: tuple[Layer, ...]) -> list[Layer]:
        return [stack[-(-number * len(stack) // count) - 1] for number in range(1, count + 1)]

    return tuple(zip(layers(teacher), layers(student), strict=True))


def _by_map(name: str, teacher: tuple[Layer, ...], student: tuple[Layer, ...], layers: Sequence[int]) -> LayerPairs:
    if len(layers) != len(student):
        raise ValueError(f"layer_map has {len(layers)} layers for the student's {name}, which has {len(student)}")
    outside = [index for index in layers if not 0 <= index < len(teacher)]
    if outside:
        raise ValueError(
            f"layer_map: layer {outside[0]} is not in the teacher's {name}, which has 0 to {len(teacher) - 1}"
        )
    if len(set(layers)) < len(layers):
        raise ValueError(f"layer_map names a layer of the teacher's {name} twice")
    return tuple((teacher[index], layer) for index, layer in zip(layers, student, strict=True))


def check_layer_map(layer_map: object, name: str = "layer_map") -> None:
    """Raises ValueError for what is no `LayerMap`, whatever the models; ``name``: of the argument."""
    lists = list(layer_map.values()) if isinstance(layer_map, Mapping) else [layer_map]
    for layers in lists if layer_map is not None else ():
        if not isinstance(layers, (list, tuple)) or not all(type(index) is int and index >= 0 for index in layers):
            raise ValueError(
                f"{name} must be a list of the teacher's layers, counted from 0, or one for each stack, not {layer_map!r}"
            )


def thirds(count: int) -> dict[str, list[int]]:
    """Which of ``count`` layers, in order, are early, middle and late: the output of layer i stands at depth i/count; up to 1/3 and 2/3."""
    depths = {"early": (0, 1), "middle": (1, 2), "late": (2, 3)}
    return {
        name: [index for index in range(count) if low * count < 3 * (index + 1) <= high * count]
        for name, (low, high) in depths.items()
    }
