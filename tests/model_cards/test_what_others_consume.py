"""A staged folder works in the libraries that people load models with, and gives the run's own numbers there."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

SENTENCES = ["He is a doctor.", "The mother and her brother are at home with the family."]


@pytest.fixture(scope="module")
def logits(staged_once):
    """What the folder's weights give: per sentence (seq_len, vocab_size) without padding, and the last hidden state (seq_len, width)."""
    tokenizer = AutoTokenizer.from_pretrained(staged_once)
    model = AutoModelForMaskedLM.from_pretrained(staged_once).eval()
    with torch.no_grad():
        encoded = [tokenizer(sentence, return_tensors="pt") for sentence in SENTENCES]
        outputs = [model(**inputs, output_hidden_states=True) for inputs in encoded]
    return [(output.logits[0].numpy(), output.hidden_states[-1][0].numpy()) for output in outputs]


def test_transformers_loads_every_weight_and_no_other(staged_once, measured_run):
    model, info = AutoModelForMaskedLM.from_pretrained(staged_once, output_loading_info=True)
    assert not any(info.values()), info
    student = AutoModelForMaskedLM.from_pretrained(measured_run / "student").state_dict()
    assert model.state_dict().keys() == student.keys()
    assert all(torch.equal(tensor, student[name]) for name, tensor in model.state_dict().items())


def test_a_pipeline_fills_the_mask_as_the_logits_say(staged_once):
    fill = pipeline("fill-mask", model=str(staged_once))
    text = f"He is a {fill.tokenizer.mask_token}."
    inputs = fill.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        row = fill.model(**inputs).logits[0, inputs["input_ids"][0].tolist().index(fill.tokenizer.mask_token_id)]
    best = fill(text, top_k=1)[0]
    assert best["token"] == row.argmax().item()
    assert best["score"] == pytest.approx(row.softmax(0).max().item(), rel=1e-5)


def test_sentence_transformers_gives_the_mean_over_all_tokens(staged_once, logits):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    vectors = sentence_transformers.SentenceTransformer(str(staged_once), device="cpu").encode(SENTENCES)
    by_hand = np.stack([hidden.mean(axis=0) for _, hidden in logits])
    np.testing.assert_allclose(vectors, by_hand, atol=2e-6)


# optimum-onnx allows transformers 4 only, so it cannot stand beside this project: it gets an environment of its own.
EXPORTED = """
import sys
import numpy as np
import onnxruntime
from optimum.exporters.onnx import main_export
from transformers import AutoTokenizer

folder, out, *sentences = sys.argv[1:]
main_export(folder, out, task="fill-mask")
tokenizer, session = AutoTokenizer.from_pretrained(folder), onnxruntime.InferenceSession(f"{out}/model.onnx")
for number, sentence in enumerate(sentences):
    encoded = tokenizer(sentence, return_tensors="np")
    inputs = {one.name: encoded[one.name].astype(np.int64) for one in session.get_inputs()}
    np.save(f"{out}/{number}.npy", session.run(None, inputs)[0][0])
"""


@pytest.mark.heavy
def test_an_onnx_export_through_optimum_gives_the_same_logits(staged_once, logits, tmp_path):
    environment, out = tmp_path / "environment", tmp_path / "onnx"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", f"torch=={torch.__version__.split('+')[0]}"]
    installed = subprocess.run([*install, "optimum-onnx[onnxruntime]"], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"optimum-onnx cannot be installed here: {installed.stderr.strip().splitlines()[-1]}")
    out.mkdir()
    subprocess.run([python, "-c", EXPORTED, staged_once, out, *SENTENCES], check=True)
    for number, (expected, _) in enumerate(logits):
        np.testing.assert_allclose(np.load(out / f"{number}.npy"), expected, atol=1e-5)
