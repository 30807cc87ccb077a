"""A user's own directory of sent-bias files as stimuli (May et al. 2019; github.com/W4ngatang/sent-bias).

Those sentences are CC BY-NC 4.0 and are not part of this project; the files are read where the user keeps them.
"""

import json
from pathlib import Path

from evenhand.evaluation.stimuli import (
    CONTROL_TESTS,
    GENDER_TESTS,
    LABELS,
    AssociationTest,
    Stimuli,
    StimulusSet,
)
from evenhand.evaluation.word_recovery import infer_words, match_words

ROLES = {"X": "targ1", "Y": "targ2", "A": "attr1", "B": "attr2"}


def sent_bias_stimuli(directory: str | Path) -> Stimuli:
    """The tests C1, C2 (controls) and C6 to C8b that ``directory`` holds as ``sent-weat*.jsonl``.

    Sentences do not name their words in these files, so words are recovered: matched to the word-level file beside it
    (``weat6.jsonl`` for ``sent-weat6.jsonl``) where there is one and it fits, else inferred from the sentences.

    Args:
        directory: where the files are; other files in it are left alone.

    Raises:
        FileNotFoundError: no such directory, or none of the eight files in it.
        ValueError: a file that cannot be read as a test; the message names it and the fault.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise FileNotFoundError(f"stimuli: {directory} is not a directory; give one with sent-bias's sent-weat*.jsonl")
    names = [name for name in (*GENDER_TESTS, *CONTROL_TESTS) if (directory / f"{name}.jsonl").exists()]
    if not names:
        wanted = ", ".join(f"{name}.jsonl" for name in GENDER_TESTS)
        raise FileNotFoundError(f"stimuli: {directory} holds none of sent-bias's files ({wanted})")
    tests = tuple(_read_test(directory, name) for name in names)
    return Stimuli("sent-bias", directory.resolve().name, tests)


def _read_test(directory: Path, name: str) -> AssociationTest:
    """One file as a test, with the word of every sentence."""
    content = _read_sets(directory / f"{name}.jsonl")
    word_file = directory / f"{name.removeprefix('sent-')}.jsonl"
    word_lists = _read_sets(word_file) if word_file.exists() else None
    sentences = {role: examples for role, (_, examples) in content.items()}
    inferred = None
    sets = {}
    for role, (category, examples) in content.items():
        stimuli = match_words(examples, word_lists[role][1]) if word_lists else None
        if stimuli is None:
            inferred = inferred or infer_words(sentences)
            stimuli = inferred[role]
        sets[role] = StimulusSet(_spaced(category), stimuli)
    family = "gender" if name in GENDER_TESTS else "control"
    return AssociationTest(name, LABELS[name], sets["X"], sets["Y"], sets["A"], sets["B"], family)


def _read_sets(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Category and examples of the four sets of one file, keyed X, Y, A, B."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as UTF-8 text ({error.__class__.__name__})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not one JSON object (line {error.lineno}: {error.msg})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, not an object with targ1, targ2, attr1, attr2")
    sets = {}
    for role, key in ROLES.items():
        entry = content.get(key)
        if not isinstance(entry, dict) or not isinstance(entry.get("category"), str):
            raise ValueError(f"{path}: {key} is missing or is not an object with category and examples")
        examples = entry.get("examples")
        if not isinstance(examples, list) or not examples:
            raise ValueError(f"{path}: {key}.examples is missing or is not a list with sentences")
        bad = [i for i, example in enumerate(examples) if not isinstance(example, str) or not example.strip()]
        if bad:
            raise ValueError(f"{path}: {key}.examples[{bad[0]}] is not a sentence")
        sets[role] = (entry["category"], examples)
    return sets


def _spaced(category: str) -> str:
    """``"MaleNames"`` as ``"male names"``."""
    return "".join(f" {c}" if c.isupper() and i else c for i, c in enumerate(category)).lower().replace("  ", " ")
