"""Data with groups by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from evenhand.evaluation.grouped_data.grouped import GroupedData

PLANTED_GLUE = ("sst2", "cola", "mrpc", "rte", "qnli", "wnli", "qqp", "mnli")
"""GLUE tasks in which a shortcut is planted."""
_LOADERS = {
    "digits": "drawn_digits:load_digits",
    "mnist": "drawn_digits:load_mnist",
    **dict.fromkeys(PLANTED_GLUE, "planted_glue:load_planted_glue"),
    "lexical_overlap": "lexical_overlap:load_lexical_overlap",
    "mnli_hans": "mnli_hans:load_mnli_hans",
    "qqp_paws": "qqp_paws:load_qqp_paws",
    "celeba": "celeba:load_celeba",
    "waterbirds": "waterbirds:load_waterbirds",
    "own": "own_table:load_own_table",
    "planted": "planted_table:load_planted_table",
}
"""Name → module and function, loaded on first use; a function with an argument ``task`` is given the name."""
_kept: dict[tuple[str, str], GroupedData] | None = None
"""Inside `loaded_once`, the data that were loaded last by their name and settings; outside None."""


def grouped_data_names() -> tuple[str, ...]:
    """The names that :func:`load_grouped_data` knows."""
    return tuple(_LOADERS)


def load_grouped_data(name: str, **settings) -> GroupedData:
    """A data set with groups.

    Args:
        name: one of :func:`grouped_data_names`.
        settings: of its loader.

    Raises:
        ValueError: an unknown name or setting; the message has the nearest one, or those that are known.
        FileNotFoundError, RuntimeError: data that are not there or cannot be had.
    """
    if name not in _LOADERS:
        near = difflib.get_close_matches(str(name), _LOADERS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"there are no data with groups named {name!r}; {hint}The names are {', '.join(_LOADERS)}")
    wanted = (name, repr(sorted(settings.items())))
    if _kept and wanted in _kept:
        return _kept[wanted]
    data = _loaded(name, settings)
    if _kept is not None:
        _kept.clear()
        _kept[wanted] = data
    return data


@contextmanager
def loaded_once() -> Iterator[None]:
    """Inside, what was loaded last is not loaded again: for a process that trains and measures many models on the same files, which must stay
    as they are meanwhile."""
    global _kept
    before, _kept = _kept, {}
    try:
        yield
    finally:
        _kept = before


def _loaded(name: str, settings: dict) -> GroupedData:
    load = _loader(name)
    known = _settings(load)
    given = {"task": name} if known.pop("task", False) else {}
    unknown = [setting for setting in settings if setting not in known]
    if unknown:
        raise ValueError(f"{name}: has no setting {unknown[0]!r}; its settings are {', '.join(known)}")
    missing = [setting for setting, needed in known.items() if needed and setting not in settings]
    if missing:
        raise ValueError(f"{name}: needs the setting {missing[0]!r}")
    return load(**given, **settings)


def default_settings(name: str) -> dict[str, object]:
    """Setting → its default, of those settings of a loader that have one.

    Args:
        name: one of :func:`grouped_data_names`.
    """
    parameters = inspect.signature(_loader(name)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _loader(name: str) -> Callable[..., GroupedData]:
    module, function = _LOADERS[name].split(":")
    return getattr(import_module(f"evenhand.evaluation.grouped_data.{module}"), function)


def _settings(load: Callable) -> dict[str, bool]:
    """Setting → whether it must be given; a loader's ``**settings`` are those of the function that it names in ``passes_on``."""
    parameters = dict(inspect.signature(load).parameters)
    passed_on = getattr(load, "passes_on", None)
    known = {
        name: parameter.default is parameter.empty
        for name, parameter in parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    if passed_on is not None:
        further = inspect.signature(passed_on).parameters.values()
        known |= {p.name: p.default is p.empty for p in further if p.kind is p.KEYWORD_ONLY}
    return known
