"""What the steps of a study are timed on before anything is made: a teacher of its sizes, its tokenizer, and text of the lengths that its
students will read.

Speed does not depend on the weights, so the teacher's are random. Where teacher or text cannot be had on this machine, published sizes and
assumed lengths stand in for them, and the notes say so.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    BertConfig,
    BertTokenizerFast,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from evenhand.evaluation.stimuli import builtin_stimuli
from evenhand.launch.hub_cache import HubModel
from evenhand.launch.planted_corpus import PlantedCorpus
from evenhand.launch.planted_teacher import planted_config
from evenhand.launch.planted_tokenizer import build_tokenizer
from evenhand.launch.pruned_vocabulary import prune_vocabulary
from evenhand.launch.recipe import Recipe
from evenhand.launch.study.planning.text_sample import TextSample
from evenhand.launch.study.study_file import PlantedScale
from evenhand.trainer.corpus_settings import CorpusSettings
from evenhand.trainer.pair_dense_text import PairDenseText
from evenhand.trainer.sequences import MIN_TOKENS, SequenceRules
from evenhand.trainer.teacher import LoadedTeacher, load_tokenizer, resolve_model_path
from evenhand.trainer.word_pairs import WordPairs

PLANTED_DOCUMENTS = 2_000
"""Of a small planted corpus, for the vocabulary and the lengths of any."""
ASSUMED_SEQUENCES = 2_000
LOOKED_AT = 1_000
"""Sequences that words of pairs are counted in."""

PUBLISHED = {"bert-base-uncased": BertConfig, "google-bert/bert-base-uncased": BertConfig}
"""Teachers whose sizes are known without their files: the configuration's defaults are theirs."""


@dataclass(frozen=True)
class AssumedText:
    """Lengths and words of English text that is not on this machine.

    Args:
        mean_length, root_mean_square_length: of its sequences, in tokens. (Defaults: WikiText-2's lines by the corpus's rules, with BERT's
            word pieces; see docs/paper_scale.md, which the other defaults are from too.)
        with_pair: share of the sequences that hold a word of the ten pairs.
        pair_words: such words, a token.
        n_bytes: of the whole corpus: English Wikipedia and BookCorpus, 16 GB (Liu et al. 2019, section 3.2).
        bytes_a_token: of its text.
    """

    mean_length: float = 120.8
    root_mean_square_length: float = 144.6
    with_pair: float = 0.484
    pair_words: float = 0.0116
    n_bytes: float = 16e9
    bytes_a_token: float = 4.78


@dataclass(frozen=True)
class Ground:
    """See the module.

    Args:
        teacher: random weights.
        tokenizer: of teacher and students.
        sequences: a sample of what the students read, each a list of token ids.
        whole_tokens: of the whole corpus, estimated from the sample; None where a stream does not say its size.
        notes: what stands in for something else, a sentence each.
    """

    teacher: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    sequences: Sequence[Sequence[int]]
    whole_tokens: float | None
    notes: tuple[str, ...] = ()

    @property
    def mean_length(self) -> float:
        """Tokens of a sequence."""
        return sum(map(len, self.sequences)) / len(self.sequences)

    def sequences_of(self, section: CorpusSettings, held_out: bool = False) -> float | None:
        """About how many sequences a corpus section gives for training, or holds out; None of a stream."""
        if self.whole_tokens is None:
            return None
        chosen = section.fraction * self.whole_tokens / self.mean_length
        if held_out:
            return section.held_out * chosen
        added = self._with_pair(section.cda_pairs) if section.cda == "two_sided" else 0.0
        return (1 - section.held_out) * chosen * self._kept(section) * (1 + added)

    def _kept(self, section: CorpusSettings) -> float:
        """Share of the sequences that ``corpus.pair_share`` keeps; where it keeps none of the sample, half a sequence of it."""
        dense = PairDenseText.of(section)
        if dense is None:
            return 1.0
        some = self.sequences[:: max(1, len(self.sequences) // LOOKED_AT)]
        texts = (self.tokenizer.decode(ids, skip_special_tokens=True) for ids in some)
        return max(sum(map(dense.keeps, texts)), 0.5) / len(some)

    def _with_pair(self, pairs: str) -> float:
        """Share of the sequences that hold a word of ``pairs``."""
        compiled = WordPairs.load(pairs).compile(self.tokenizer, unequal="skip")
        some = self.sequences[:: max(1, len(self.sequences) // LOOKED_AT)]
        found = 0
        for sequence in some:
            ids = torch.as_tensor(sequence).unsqueeze(0)
            found += compiled.occurrences(ids, ids, torch.ones_like(ids)).n_words > 0
        return found / len(some)

    @property
    def token_counts(self) -> torch.Tensor:
        """``(vocab_size,)`` occurrences in the sample, for the masks."""
        ids = np.fromiter(itertools.chain.from_iterable(self.sequences), dtype=np.int64)
        return torch.from_numpy(np.bincount(ids, minlength=self.teacher.config.vocab_size))


def ground_of(
    recipe: Recipe,
    vocabulary: int | None = None,
    planted: PlantedScale | None = None,
    assumed: AssumedText | None = None,
) -> Ground:
    """The ground of a scale.

    Args:
        recipe: of any of its arms; its teacher's path leads to the finished teacher, or names what it is made from.
        vocabulary: to which the teacher's will be cut down, None where the teacher is as its path says.
        planted: of a planted scale, whose teacher and corpus need not be there.
        assumed: stands in for text that is not here; default :class:`AssumedText`.

    Raises:
        FileNotFoundError: no teacher, and its sizes are not known. ValueError: a teacher or text that cannot be used.
    """
    if planted is not None:
        return _planted_ground(recipe, planted)
    config, tokenizer, notes = teacher_sizes(recipe)
    try:
        texts = TextSample.of(recipe)
        loss = ""
    except FileNotFoundError as error:
        texts, loss = None, str(error)
    if texts is None or tokenizer is None:
        assumed = assumed or AssumedText()
        why = loss or f"The tokenizer of {recipe.teacher.path} is not here."
        notes += (
            f"{why} Lengths, words of pairs and the size of the corpus are assumed as docs/paper_scale.md has them: {assumed.mean_length} tokens a "
            f"sequence, {assumed.n_bytes / 1e9:g} GB of text as a whole.",
        )
        tokenizer = tokenizer or _made_up_tokenizer(config.vocab_size)
        return _assumed_ground(recipe, config, tokenizer, assumed, notes)
    if vocabulary is not None and vocabulary < len(tokenizer):
        config, tokenizer = _cut_down(config, tokenizer, texts, recipe, vocabulary)
        notes += (
            f"The vocabulary of {vocabulary:,} pieces is not chosen yet; one from a sample of the text stands in for it.",
        )
    sequences, per_byte = texts.sequences(tokenizer, recipe.corpus.max_length)
    return Ground(_random(config), tokenizer, sequences, texts.total(per_byte), notes)


# -- teachers ------------------------------------------------------------------------------------------------------------


def teacher_sizes(recipe: Recipe) -> tuple[PretrainedConfig, PreTrainedTokenizerBase | None, tuple[str, ...]]:
    """Configuration and tokenizer of the recipe's teacher; of one that is not here the published sizes without a tokenizer, and a note that says so.

    Raises:
        FileNotFoundError: it is not here, and its sizes are not known.
    """
    path, revision = recipe.teacher.path, recipe.teacher.revision
    if path in PUBLISHED and HubModel(path, revision).missing():  # a plan fetches nothing
        return PUBLISHED[path](), None, (f"Teacher {path} is not here; its published sizes stand in for it.",)
    resolved = resolve_model_path(path)
    folder = Path(resolved) / "0_Transformer"  # older sentence-transformers layout
    resolved = str(folder) if folder.is_dir() else resolved
    try:
        return AutoConfig.from_pretrained(resolved, revision=revision), load_tokenizer(resolved, path, revision), ()
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileNotFoundError(f"Teacher {path} is not here, and its sizes are not known: {reason}") from None


def _random(config: PretrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForMaskedLM.from_config(config).float().eval()


def _cut_down(
    config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, texts: TextSample, recipe: Recipe, size: int
) -> tuple[PretrainedConfig, PreTrainedTokenizerBase]:
    """With the vocabulary that a sample of the text would give: of the same size, and hardly other lengths."""
    sequences, _ = texts.sequences(tokenizer, recipe.corpus.max_length)
    counts = np.bincount(np.concatenate([np.asarray(s) for s in sequences]), minlength=config.vocab_size)
    loaded = LoadedTeacher(_random(config), tokenizer, True, recipe.teacher.path)
    sentences = builtin_stimuli().distinct_sentences
    encoder, cut, _ = prune_vocabulary(loaded, torch.from_numpy(counts), size, sentences)
    return encoder.config, cut


def _made_up_tokenizer(size: int) -> BertTokenizerFast:
    """A vocabulary of ``size`` in which the words of the ten pairs and of the built-in stimuli are words."""
    pairs = [word.lower() for pair in WordPairs.builtin().pairs for word in pair]
    known = build_tokenizer(pairs, also=builtin_stimuli().distinct_sentences).get_vocab()
    words = sorted(known, key=known.get)[:size]
    words += [f"word{number}" for number in range(size - len(words))]
    return BertTokenizerFast(vocab={word: index for index, word in enumerate(words)}, do_lower_case=True)


# -- text ----------------------------------------------------------------------------------------------------------------


def _planted_ground(recipe: Recipe, planted: PlantedScale) -> Ground:
    """A small planted corpus of the same grammar: vocabulary and lengths are those of a large one."""
    corpus = PlantedCorpus(planted.associations, min(planted.n_documents, PLANTED_DOCUMENTS), seed=0)
    documents = list(corpus.documents("all"))
    sentences = builtin_stimuli().of_families(["gender"]).distinct_sentences
    tokenizer = build_tokenizer(documents, also=sentences)
    rules = SequenceRules(recipe.corpus.max_length)
    sequences = [ids for text in documents for ids in rules.sequences(text, tokenizer, Counter())]
    if not sequences:
        raise ValueError("A planted corpus gave no sequence; check corpus.max_length.")
    whole = planted.n_documents / len(documents) * sum(map(len, sequences))
    return Ground(
        _random(planted_config(planted.teacher, len(tokenizer), tokenizer.pad_token_id)), tokenizer, sequences, whole
    )


def _assumed_ground(
    recipe: Recipe,
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    assumed: AssumedText,
    notes: tuple[str, ...],
) -> Ground:
    """Random words in sequences of log-normal lengths, words of pairs as often as assumed."""
    sequences = list(_random_sequences(tokenizer, assumed, recipe.corpus.max_length))
    return Ground(_random(config), tokenizer, sequences, assumed.n_bytes / assumed.bytes_a_token, notes)


def _random_sequences(tokenizer: PreTrainedTokenizerBase, assumed: AssumedText, max_length: int) -> Iterator[list[int]]:
    rng = np.random.default_rng(0)
    spread = math.log((assumed.root_mean_square_length / assumed.mean_length) ** 2)
    lengths = rng.lognormal(math.log(assumed.mean_length) - spread / 2, math.sqrt(spread), ASSUMED_SEQUENCES)
    pairs = {tokenizer.convert_tokens_to_ids(word.lower()) for pair in WordPairs.builtin().pairs for word in pair}
    pairs = np.array(sorted(pairs - {tokenizer.unk_token_id}))
    usual = {i for token, i in tokenizer.get_vocab().items() if not token.startswith("##")}
    usual = np.array(sorted(usual - set(pairs.tolist()) - set(tokenizer.all_special_ids)))
    for length in lengths.round().astype(int).clip(MIN_TOKENS, max_length):
        ids = rng.choice(usual, length)
        if len(pairs) and rng.random() < assumed.with_pair:
            # within a sequence that has one, so often that all sequences together have the assumed share
            places = rng.random(length) < assumed.pair_words / assumed.with_pair
            places[rng.integers(1, length - 1)] = True
            ids[places] = rng.choice(pairs, int(places.sum()))
        ids[0], ids[-1] = tokenizer.cls_token_id, tokenizer.sep_token_id
        yield ids.tolist()
