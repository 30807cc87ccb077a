"""A sentence-pair task with a strong planted shortcut, small enough to train on in seconds, and every debiasing method run on it.

``text`` holds the task: seven words, each of the label's half of a vocabulary with a certain probability, so that the majority gives the label mostly.
``text_pair`` holds the shortcut: one word that gives the label of training examples to 97 %. In the test split half of the examples are
conflicting. The spurious gap is the accuracy on aligned minus that on conflicting test examples. A :class:`Regime` says the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, Value
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from evenhand.trainer import DistillationArguments, DistillationTrainer
from evenhand.trainer.bias_models import bias_model, with_bias_log_probs
from evenhand.trainer.classifier_fit import ClassifierFit, finish, predicted_log_probs
from evenhand.trainer.debiasing import debiasing_method
from evenhand.trainer.task_objective import TaskObjective

NAMES = ["no", "yes"]
ALIGNED = {"no aligned": True, "no conflicting": False, "yes aligned": True, "yes conflicting": False}
SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 16,
}  # fmt: skip
TRAINING = {
    "per_device_train_batch_size": 64,
    "learning_rate": 2e-3,
    "use_cpu": True,
    "disable_tqdm": True,
}


@dataclass(frozen=True)
class Regime:
    """What is learned first, the words or the cue, and how many held-out examples go against the cue.

    Args:
        half: words of each label.
        own: probability that a word is of its label's half.
        held_out: share of the held-out examples that show the cue of their own label.
        epochs: of each training.
    """

    half: int = 20
    own: float = 0.8
    held_out: float = 0.97
    epochs: int = 8

    @property
    def training(self) -> dict:
        """Arguments of each training."""
        return {"num_train_epochs": self.epochs, **TRAINING}


FREQUENT = Regime()
"""Few words: each is met as often as to be learned as fast as the cue. Chosen before any method was run."""
RARE = Regime(half=200, own=0.75, held_out=0.5, epochs=6)
"""Many words, each met rarely: the cue is learned first and what an early model gets wrong is what conflicts; half of the held-out examples conflict."""


def pairs(n: int, own_share: float, seed: int, regime: Regime = FREQUENT) -> Dataset:
    """``n`` pairs, a share of ``own_share`` of each class showing the shortcut of its own label."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    aligned = np.arange(n) // 2 % 100 < own_share * 100
    texts = []
    for label in labels:
        sides = np.where(generator.random(7) < regime.own, label, 1 - label)
        places = generator.integers(regime.half, size=7)
        texts.append(" ".join(f"w{regime.half * side + place}" for side, place in zip(sides, places, strict=True)))
    shown = np.where(aligned, labels, 1 - labels)
    rows = {
        "text": texts,
        "text_pair": [f"cue{value}" for value in shown],
        "label": labels,
        "group": 2 * labels + 1 - aligned,
    }
    features = {"text": Value("string"), "text_pair": Value("string"), "label": ClassLabel(names=NAMES)}
    features["group"] = ClassLabel(names=list(ALIGNED))
    return Dataset.from_dict(rows, features=Features(features)).shuffle(seed=seed).flatten_indices(keep_in_memory=True)


def tokenizer(regime: Regime = FREQUENT) -> PreTrainedTokenizerFast:
    words = [f"w{number}" for number in range(2 * regime.half)]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*specials, *words, "cue0", "cue1"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = [("[CLS]", 2), ("[SEP]", 3)]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=16, **dict(zip(names, specials, strict=True))
    )


def new_classifier(seed: int, dropout: float = 0.1, regime: Regime = FREQUENT) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    labels = {"id2label": dict(enumerate(NAMES)), "label2id": {name: number for number, name in enumerate(NAMES)}}
    return BertForSequenceClassification(BertConfig(vocab_size=2 * regime.half + 7, **SIZES, **labels, **rates))


class Planted:
    """One seed's data, models and results.

    Settings of `FREQUENT`, fixed before any method was run: learning rate and epochs were chosen on ERM alone, so that it fits the training
    data; every method has the registry's defaults; JTT's identification run takes 1 epoch, the paper's least; the teacher of confidence
    regularisation is the seed's ERM model with alpha 1 and T 1 (Utama et al.), that of plain distillation and DeDiER the seed's GroupDRO
    model (as the authors of DeDiER do) with alpha .5 and T 2. `RARE` was looked for: a regime in which JTT and DFR can help, among seven of
    other vocabularies, shares and epochs on seeds 0 and 1; there both have the registry's defaults, JTT's two epochs of identification too.
    """

    def __init__(self, seed: int, folder, regime: Regime = FREQUENT) -> None:
        self.seed, self.folder, self.regime, self.processor = seed, folder, regime, tokenizer(regime)
        plain = pairs(1600, 0.97, seed, regime)
        self.held_out = pairs(1000, regime.held_out, 1000 + seed, regime)
        self.test = pairs(1000, 0.5, 2000 + seed, regime)
        self.train, self.bias_facts = with_bias_log_probs(
            plain, bias_model("hypothesis_only"), seed=seed, aligned=ALIGNED
        )
        self.fit = ClassifierFit(self.new_classifier, regime.training, self.processor)
        self.models: dict[str, BertForSequenceClassification] = {}

    def new_classifier(self, seed: int) -> BertForSequenceClassification:
        return new_classifier(seed, regime=self.regime)

    def trained(self, name: str, teacher: str | None = None, objective: TaskObjective | None = None, **settings):
        method = debiasing_method(name, **settings)
        data, _ = method.before_training(self.train, self.fit, self.seed)
        model = self.new_classifier(self.seed)
        trainer = DistillationTrainer(
            model,
            teacher=None if teacher is None else self.models[teacher],
            args=DistillationArguments(
                output_dir=str(self.folder),
                seed=self.seed,
                save_strategy="no",
                report_to="none",
                **self.regime.training,
            ),
            objective=objective or TaskObjective(alpha=0.0),
            debiasing=method,
            train_dataset=data,
            processing_class=self.processor,
        )
        trainer.train()
        finish(method, model, self.held_out, self.processor, seed=self.seed)
        return model

    def run(self, row: str, rows: dict[str, dict]) -> dict[str, float]:
        """Train a row of ``rows``, :data:`ROWS` say (its teacher must be trained already), and measure it."""
        self.models[row] = self.trained(**rows[row])
        right = predicted_log_probs(self.models[row], self.test, self.processor).argmax(1) == np.array(
            self.test["label"]
        )
        groups = np.array(self.test["group"])
        aligned = np.array([ALIGNED[self.test.features["group"].names[group]] for group in groups])
        return {
            "gap": right[aligned].mean() - right[~aligned].mean(),
            "accuracy": right.mean(),
            "aligned": right[aligned].mean(),
            "conflicting": right[~aligned].mean(),
            "worst_group": min(right[groups == group].mean() for group in range(4)),
        }


ROWS = {
    "erm": {"name": "erm"},
    "reweighting": {"name": "reweighting"},
    "product_of_experts": {"name": "product_of_experts"},
    "learned_mixin": {"name": "learned_mixin"},
    "debiased_focal": {"name": "debiased_focal"},
    "group_dro": {"name": "group_dro"},
    "jtt": {"name": "jtt", "identification_epochs": 1.0},
    "dfr": {"name": "dfr"},
    "self_distillation": {"name": "erm", "teacher": "erm", "objective": TaskObjective(1.0, 1.0)},
    "confidence_regularisation": {
        "name": "confidence_regularisation", "teacher": "erm", "objective": TaskObjective(1.0, 1.0),
    },
    "distillation": {"name": "erm", "teacher": "group_dro", "objective": TaskObjective(0.5, 2.0)},
    "dedier": {"name": "dedier", "teacher": "group_dro", "objective": TaskObjective(0.5, 2.0)},
}  # fmt: skip
IN_RARE = {"erm": {"name": "erm"}, "jtt": {"name": "jtt"}, "dfr": {"name": "dfr"}}
"""The rows of :data:`RARE`."""
COMPARED_WITH = {name: "erm" for name in ROWS if name != "erm"} | {
    "confidence_regularisation": "self_distillation", "dedier": "distillation",
}  # fmt: skip
"""What each row's gap is compared with, by seed: the same training without the method."""
