"""Context-debias against plain float64 loops over sentences, words, layers and sides: no batch, no padding, no index."""

import math
import signal

import numpy as np
import pytest
import torch
from transformers import BertTokenizer, TrainerCallback

from evenhand.trainer.context_debias import drift_sum, projection_sum
from evenhand.trainer.context_debias_sentences import DebiasCollator, DebiasSentence, DebiasSentences, words_of
from evenhand.trainer.context_debias_trainer import ContextDebiasTrainer, debias_arguments
from evenhand.trainer.context_debias_words import STEREOTYPES
from evenhand.trainer.stop_signals import StoppedBySignal

MALE, FEMALE = 0, 1
# (kind, words of the sentence, places of its words among the pieces, [CLS] being place 0): "galaxy" is of two pieces, gal ##axy
TEXTS = (
    (MALE, "he saw the old man with the galaxy .", ((1, 2), (5, 6))),
    (FEMALE, "she was in town", ((1, 2),)),
    (STEREOTYPES, "a galaxy was in the old galaxy of the town", ((2, 4), (8, 10))),
    (STEREOTYPES, "the teacher was happy", ((2, 3),)),
    (MALE, "the boy was a teacher and the father saw the boy in the town with the law", ((2, 3), (8, 9), (11, 12))),
    (FEMALE, "her mother saw the happy girl", ((1, 2), (2, 3), (6, 7))),
    (STEREOTYPES, "the law and the teacher", ((2, 3), (5, 6))),
)
ALPHA, BETA = 0.2, 0.8


@pytest.fixture(scope="module")
def sentences(wordpiece: BertTokenizer):
    made = []
    for kind, text, spans in TEXTS:
        ids = wordpiece.encode(text)
        made.append(DebiasSentence(np.array(ids, dtype=np.int32), kind, spans))
    galaxy = wordpiece.convert_ids_to_tokens(made[2].ids[2:4].tolist())
    assert galaxy == ["gal", "##axy"]  # or the spans above would point elsewhere
    return made


def layers_of(model, sentence: DebiasSentence) -> list[torch.Tensor]:
    """States (length, width) of every layer, of the sentence alone."""
    output = model.base_model(
        input_ids=torch.from_numpy(sentence.ids.astype(np.int64))[None], output_hidden_states=True
    )
    return [layer[0] for layer in output.hidden_states[1:]]


def attributes_by_loops(model, sentences) -> dict[int, list[torch.Tensor]]:
    """v_i(a): of each side, per layer, the mean over its words, each the mean over its pieces."""
    means = {}
    for side in (MALE, FEMALE):
        words = []
        for sentence in sentences:
            if sentence.kind == side:
                states = layers_of(model, sentence)
                for start, stop in sentence.spans:
                    words.append([sum(layer[p] for p in range(start, stop)) / (stop - start) for layer in states])
        means[side] = [sum(word[i] for word in words) / len(words) for i in range(len(words[0]))]
    return means


def losses_by_loops(model, original, sentences, attributes) -> tuple[torch.Tensor, torch.Tensor]:
    """L_i and L_reg."""
    squares, n_words, drifts, n_tokens = 0.0, 0, 0.0, 0
    for sentence in sentences:
        states = layers_of(model, sentence)
        if sentence.kind == STEREOTYPES:
            for start, stop in sentence.spans:
                n_words += 1
                for i, layer in enumerate(states):
                    word = sum(layer[p] for p in range(start, stop)) / (stop - start)
                    for side in (MALE, FEMALE):
                        squares = squares + sum(a * e for a, e in zip(attributes[side][i], word, strict=True)) ** 2
        else:
            for place in range(len(sentence.ids)):
                n_tokens += 1
                for now, before in zip(states, layers_of(original, sentence), strict=True):
                    drifts = drifts + ((now[place] - before[place]) ** 2).mean()
    n_layers = len(states)
    return squares / (n_words * n_layers), drifts / (n_tokens * n_layers)


def trainer_of(model, sentences, tokenizer, folder, *, dev=None, original=None, callbacks=None, **changes):
    arguments = {"use_cpu": True, "disable_tqdm": True} | changes
    split = DebiasSentences(list(sentences), list(dev or sentences), {})
    trainer = ContextDebiasTrainer(model, debias_arguments(folder, **arguments), split, tokenizer, callbacks=callbacks)
    if original is not None:
        trainer._original = original
    return trainer


class FirstStep(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        control.should_training_stop = True


# -- the losses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro_batch_size", [7, 1])
def test_a_steps_losses_and_gradients_are_those_of_plain_loops_in_float64(
    make_model, wordpiece, sentences, tmp_path, micro_batch_size
):
    """Whole batch and one sentence at a time: padding, pieces, sides and denominators all enter here."""
    model, original = (
        make_model("bert", layers=3, seed=1).double(),
        make_model("bert", layers=3, seed=2).double().eval(),
    )
    step = FirstStep()
    sizes = {"batch_size": 7, "micro_batch_size": micro_batch_size, "max_grad_norm": 1e9, "epochs": 1}
    trainer = trainer_of(model, sentences, wordpiece, tmp_path, original=original, callbacks=[step], **sizes)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    trainer.train()
    logged = next(entry for entry in trainer.state.log_history if "projection" in entry)

    plain = make_model("bert", layers=3, seed=1).double().eval()
    plain.load_state_dict(start)
    attributes = {
        side: [v.detach() for v in vectors] for side, vectors in attributes_by_loops(plain, sentences).items()
    }
    projection, drift = losses_by_loops(plain, original, sentences, attributes)
    (ALPHA * projection + BETA * drift).backward()
    assert logged["projection"] == pytest.approx(projection.item(), rel=1e-6)
    assert logged["drift"] == pytest.approx(drift.item(), rel=1e-6)
    expected = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    assert expected.keys() == step.gradients.keys()
    size = max(float(g.abs().max()) for g in expected.values())
    # the attribute vectors pass through fp32, as everything does in earnest
    for name, gradient in expected.items():
        assert torch.allclose(step.gradients[name], gradient, rtol=0, atol=1e-6 * size), name


def test_the_dev_loss_is_the_loss_of_the_model_with_its_own_vectors(make_model, wordpiece, sentences, tmp_path):
    model, original = make_model("bert", seed=1).double(), make_model("bert", seed=2).double().eval()
    trainer = trainer_of(model, sentences, wordpiece, tmp_path, original=original, batch_size=3)
    measured = trainer.evaluate()
    model.eval()
    with torch.no_grad():
        projection, drift = losses_by_loops(model, original, sentences, attributes_by_loops(model, sentences))
    assert measured["eval_projection"] == pytest.approx(projection.item(), rel=1e-6)
    assert measured["eval_drift"] == pytest.approx(drift.item(), rel=1e-6)
    assert measured["eval_loss"] == pytest.approx(ALPHA * float(projection) + BETA * float(drift), rel=1e-6)


def test_an_untouched_teacher_has_not_drifted(make_model, wordpiece, sentences, tmp_path):
    trainer = trainer_of(make_model("distilbert"), sentences, wordpiece, tmp_path, batch_size=3)
    assert trainer.evaluate()["eval_drift"] == 0


def test_vectors_of_the_chosen_layer_alone(make_model, wordpiece, sentences, tmp_path):
    model = make_model("bert", layers=3).eval()
    expected = attributes_by_loops(model.double(), sentences)
    for layers, chosen in (("all", [0, 1, 2]), ("first", [0]), ("last", [2])):
        split = DebiasSentences(sentences, sentences, {})
        arguments = debias_arguments(tmp_path, use_cpu=True, disable_tqdm=True, batch_size=4)
        trainer = ContextDebiasTrainer(model, arguments, split, wordpiece, layers=layers)
        vectors = trainer.attribute_vectors(sentences)
        assert vectors.shape == (2, len(chosen), 16)
        for side in (MALE, FEMALE):
            for row, layer in enumerate(chosen):
                assert torch.allclose(vectors[side, row].double(), expected[side][layer].detach(), atol=1e-6)


# -- the faults of the published code ----------------------------------------------------------------------------------


def states_of(model, batch):
    model.eval()
    with torch.no_grad():
        ids, mask = batch["input_ids"], batch["attention_mask"]
        return model.base_model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[1:]


def test_padding_changes_neither_loss(make_model, wordpiece, sentences):
    model, original = make_model("bert", seed=1), make_model("bert", seed=2)
    attributes = torch.randn(2, 2, 16, generator=torch.Generator().manual_seed(0))
    short, long = sentences[3], sentences[4]

    def projection(of):
        batch = DebiasCollator(wordpiece.pad_token_id)(of)
        positions, words, n = words_of(batch, STEREOTYPES)
        return float(projection_sum(states_of(model, batch), positions, words, n, attributes))

    def drift(of):
        batch = DebiasCollator(wordpiece.pad_token_id)(of)
        return float(drift_sum(states_of(model, batch), states_of(original, batch), batch["attention_mask"]))

    assert projection([short, long]) == pytest.approx(projection([short]), rel=1e-5)
    both, alone = drift([sentences[1], long]), drift([sentences[1]]) + drift([long])
    assert both == pytest.approx(alone, rel=1e-5)


def test_projections_of_both_signs_do_not_cancel():
    """The square of a mean of +3 and -3 is 0; the mean of their squares is 9."""
    states = [torch.tensor([[[3.0, 0.0], [-3.0, 0.0]]])]
    attributes = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    total = projection_sum(states, torch.tensor([0, 1]), torch.tensor([0, 1]), 2, attributes)
    assert float(total) / 2 == 9


def test_a_word_of_several_pieces_is_their_mean_and_moves_no_other_word():
    states = [torch.tensor([[[1.0], [2.0], [4.0], [8.0]]])]
    attributes = torch.tensor([[[1.0]]])
    # the word of pieces 1 and 2, and the word at 3
    total = projection_sum(states, torch.tensor([1, 2, 3]), torch.tensor([0, 0, 1]), 2, attributes)
    assert float(total) == 3**2 + 8**2


def test_the_drift_is_a_mean_over_dimensions():
    now, before, mask = [torch.full((1, 2, 5), 3.0)], [torch.ones(1, 2, 5)], torch.tensor([[1, 0]])
    assert float(drift_sum(now, before, mask)) == 4


def test_a_batch_without_target_words_or_without_attribute_sentences_has_a_loss(
    make_model, wordpiece, sentences, tmp_path
):
    """Micro-batches of one sentence lack one or the other: their share is 0, not NaN."""
    trainer = trainer_of(make_model("bert"), sentences, wordpiece, tmp_path, batch_size=1, epochs=1)
    trainer.train()
    assert all(math.isfinite(entry.get("loss", 0)) for entry in trainer.state.log_history)


# -- training ----------------------------------------------------------------------------------------------------------


def outcome(trainer):
    kept = ("step", "loss", "projection", "drift", "eval_loss", "eval_drift")
    log = [{name: entry[name] for name in kept if name in entry} for entry in trainer.state.log_history]
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}, log, trainer.total_counts()


class At(TrainerCallback):
    """Does something at the end of one step, once."""

    def __init__(self, step, what):
        self.step, self.what = step, what

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.what()


@pytest.fixture(scope="module")
def long_trainer(make_model, wordpiece, sentences):
    """Three epochs of four steps (the last of one micro-batch), with dropout."""

    def make(folder, **parts):
        model = make_model("bert", hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
        return trainer_of(
            model, sentences, wordpiece, folder, batch_size=2, micro_batch_size=1, learning_rate=1e-3, **parts
        )

    return make


@pytest.fixture(scope="module")
def uninterrupted(long_trainer, tmp_path_factory):
    trainer = long_trainer(tmp_path_factory.mktemp("uninterrupted"))
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == 12
    return outcome(trainer)


def fail():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("step", "what", "error"),
    [(6, lambda: signal.raise_signal(signal.SIGTERM), StoppedBySignal), (7, fail, KeyboardInterrupt)],
    ids=["stopped-inside-an-epoch", "killed-after-an-epoch"],
)
def test_a_resumed_run_ends_as_the_uninterrupted_one(long_trainer, uninterrupted, tmp_path, step, what, error):
    """Inside an epoch the attribute vectors are those of its beginning, which only the checkpoint still has."""
    with pytest.raises(error):
        long_trainer(tmp_path, callbacks=[At(step, what)]).train(resume_from_checkpoint=True)
    again = long_trainer(tmp_path)
    again.train(resume_from_checkpoint=True)
    (weights, log, counts), (weights_again, log_again, counts_again) = uninterrupted, outcome(again)
    assert all(torch.equal(value, weights_again[name]) for name, value in weights.items())
    assert log == log_again and counts == counts_again


def test_the_weights_of_the_epoch_with_the_lowest_dev_loss_are_kept(long_trainer, tmp_path):
    """The last epoch is made the worst one."""
    kept = {}

    class Keep(TrainerCallback):
        def on_evaluate(self, args, state, control, model=None, metrics=None, **kwargs):
            if state.global_step:
                kept[metrics["eval_loss"]] = {name: value.clone() for name, value in model.state_dict().items()}

    trainer = long_trainer(tmp_path)
    embeddings = trainer.model.get_input_embeddings().weight
    trainer.add_callback(At(12, lambda: embeddings.data.mul_(30).add_(torch.arange(16.0))))
    trainer.add_callback(Keep())
    trainer.train()
    losses = list(kept)
    assert len(losses) == 3 and min(losses) != losses[-1]
    best = kept[min(losses)]
    assert all(torch.equal(value, best[name]) for name, value in trainer.model.state_dict().items())


def test_training_lowers_the_projection_and_leaves_the_head_alone(make_model, wordpiece, sentences, tmp_path):
    model = make_model("bert")
    head = {name: p.clone() for name, p in model.cls.named_parameters() if "decoder.weight" not in name}
    trainer = trainer_of(model, sentences, wordpiece, tmp_path, epochs=10, learning_rate=2e-3, batch_size=7)
    trainer.train()
    dev = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    assert dev[-1]["eval_projection"] < 0.7 * dev[0]["eval_projection"] and dev[-1]["eval_loss"] < dev[0]["eval_loss"]
    assert all(torch.equal(p, head[name]) for name, p in model.cls.named_parameters() if name in head)


def test_what_is_not_finite_stops_the_training(make_model, wordpiece, sentences, tmp_path):
    trainer = trainer_of(make_model("bert"), sentences, wordpiece, tmp_path, learning_rate=1e30, batch_size=2)
    with pytest.raises(
        RuntimeError, match=r"Loss term \w+ is not finite at step \d+; debiasing stopped.*learning_rate"
    ):
        trainer.train()


def test_several_gpus_in_one_process_are_refused(make_model, wordpiece, sentences, tmp_path, monkeypatch):
    arguments = debias_arguments(tmp_path, use_cpu=True)
    monkeypatch.setattr(type(arguments), "n_gpu", 2)
    with pytest.raises(ValueError, match="one process on one GPU"):
        ContextDebiasTrainer(make_model("bert"), arguments, DebiasSentences(sentences, sentences, {}), wordpiece)
