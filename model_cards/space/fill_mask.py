"""One sentence with a gap: what each model would put there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.evaluation.evaluator import NotApplicable
from evenhand.model_cards.space.compared_models import LoadedModel

GAP = "[MASK]"
MOST_TOKENS, MOST_WORDS, LONGEST = 20, 20, 500


@dataclass(frozen=True)
class Filled:
    """What one model says of the gap.

    Args:
        name: the model's.
        likeliest: (token, probability), the likeliest first; empty where the model cannot say.
        words: by each word asked for, its probability, or ``None`` where it is not one token in this place.
        reason: why there is nothing, or ``None``.
    """

    name: str
    likeliest: tuple[tuple[str, float], ...] = ()
    words: tuple[tuple[str, float | None], ...] = ()
    reason: str | None = None


def fill_gap(
    models: Sequence[LoadedModel],
    sentence: str,
    n_tokens: int = 5,
    words: Sequence[str] = (),
    steps: Callable[[Iterable], Iterable] = iter,
) -> list[Filled]:
    """The likeliest tokens in the gap of a sentence under each model, and the probabilities of chosen words.

    Args:
        models: loaded; one without a masked-LM head gets a reason instead.
        sentence: with ``[MASK]`` once, whatever the models' own mask token is.
        n_tokens: how many of the likeliest.
        words: to compare; a model whose tokenizer splits one has no probability for it.
        steps: wraps the models while they are asked, to show how far it is.

    Raises:
        ValueError: no gap or several, a sentence or a list that is too long.
    """
    sentence, words = " ".join(sentence.split()), list(dict.fromkeys(w for w in (word.strip() for word in words) if w))
    if sentence.count(GAP) != 1:
        raise ValueError(f"the sentence holds {GAP} {sentence.count(GAP)} times; write it once, where the gap is")
    if len(sentence) > LONGEST or len(words) > MOST_WORDS:
        raise ValueError(f"at most {LONGEST} characters and {MOST_WORDS} words")
    if not 1 <= n_tokens <= MOST_TOKENS:
        raise ValueError(f"between 1 and {MOST_TOKENS} tokens, not {n_tokens}")
    return [_filled(model, sentence, n_tokens, words) for model in steps(models)]


def _filled(loaded: LoadedModel, sentence: str, n_tokens: int, words: list[str]) -> Filled:
    import torch

    from evenhand.evaluation.masked_lm import check_applicable, encode_texts

    name, model, tokenizer = loaded.about.name, loaded.model, loaded.tokenizer
    try:
        check_applicable(model, tokenizer, "fill-mask")
        ids = encode_texts(model, tokenizer, [sentence.replace(GAP, tokenizer.mask_token)])[0][0]
    except (ValueError, NotApplicable) as error:
        return Filled(name, reason=" ".join(str(error).split()))
    place = ids.index(tokenizer.mask_token_id)
    inputs = torch.tensor([ids], device=next(model.parameters()).device)
    with torch.no_grad():
        logits = model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).logits[0, place]
    probabilities = logits.double().softmax(-1).cpu()
    top = probabilities.topk(min(n_tokens, len(probabilities)))
    likeliest = [
        (tokenizer.decode([token]).strip() or tokenizer.convert_ids_to_tokens(token), p)
        for token, p in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    tokens = {word: _token_of(tokenizer, ids, place, sentence, word) for word in words}
    chosen = [(word, None if token is None else float(probabilities[token])) for word, token in tokens.items()]
    return Filled(name, tuple(likeliest), tuple(chosen))


def _token_of(tokenizer: Any, ids: list[int], place: int, sentence: str, word: str) -> int | None:
    """The id that stands in the gap when ``word`` does; ``None`` where that is not one known token.

    The whole sentence is tokenised with the word in it, so that a vocabulary with a blank or a capital at the start of
    a word gives the form that belongs there.
    """
    with_word = tokenizer(sentence.replace(GAP, word))["input_ids"]
    same = len(with_word) == len(ids) and all(
        one == other for i, (one, other) in enumerate(zip(with_word, ids, strict=True)) if i != place
    )
    return with_word[place] if same and with_word[place] not in tokenizer.all_special_ids else None


def likeliest_table(filled: Sequence[Filled]) -> list[list[str]]:
    """Rank, then a column for each model: ``nurse 12.3 %``."""
    n_rows = max((len(one.likeliest) for one in filled), default=0)
    return [
        [str(rank + 1), *(_token_cell(one, rank) for one in filled)]
        for rank in range(max(1, n_rows))
    ]  # fmt: skip


def words_table(filled: Sequence[Filled]) -> list[list[str]]:
    """A row for each word asked for, then a column for each model with its probability."""
    words = next(([word for word, _ in one.words] for one in filled if one.words), [])
    return [[word, *(_word_cell(one, row) for one in filled)] for row, word in enumerate(words)]


def _token_cell(one: Filled, rank: int) -> str:
    if one.reason and rank == 0:
        return one.reason
    return "–" if rank >= len(one.likeliest) else f"{one.likeliest[rank][0]}  {_share(one.likeliest[rank][1])}"


def _word_cell(one: Filled, row: int) -> str:
    if not one.words:
        return "–"
    probability = one.words[row][1]
    return "not one token" if probability is None else _share(probability)


def _share(probability: float) -> str:
    return f"{100 * probability:.3g} %"
