"""Where stimuli come from: the built-in families, files of sent-bias, or a file of word lists of one's own."""

from __future__ import annotations

from pathlib import Path

from evenhand.evaluation.sent_bias import SUFFIXES, sent_bias_stimuli
from evenhand.evaluation.stimuli import Stimuli, builtin_stimuli
from evenhand.evaluation.word_list_file import word_list_stimuli


def load_stimuli(source: str | Path | Stimuli) -> Stimuli:
    """The association tests of ``source``.

    Args:
        source: ``"builtin"``; a directory of files in sent-bias's format or one such file (``.jsonl``, ``.json``); or a
            file of word lists (``.yaml``, ``.yml``). `Stimuli` that are made already are given back as they are.

    Raises:
        FileNotFoundError, ValueError: no such place, or a file that is no test; the message names it.
    """
    if isinstance(source, Stimuli):
        return source
    if str(source) == "builtin":
        return builtin_stimuli()
    path = Path(source)
    if path.suffix in (".yaml", ".yml") and not path.is_dir():
        return word_list_stimuli(path)
    if path.is_file() and path.suffix not in SUFFIXES:
        raise ValueError(
            f"stimuli: {path} is neither a .jsonl or .json file in sent-bias's format nor a .yaml file of word lists"
        )
    return sent_bias_stimuli(path)
