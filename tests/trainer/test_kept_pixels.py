"""Small images are decoded and resized once in a training; what the model reads stays the same."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_classification import tiny_classifier, tiny_processor

from evenhand.trainer import model_inputs
from evenhand.trainer.model_inputs import ImageInputs


def undecoded(number):
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return {"image": {"bytes": file.getvalue(), "path": None}, "number": number}


@pytest.fixture
def inputs(monkeypatch):
    made = ImageInputs(tiny_processor("vit"), tiny_classifier("vit").config, "the student")
    made.seen = []
    pixels = made._pixels
    monkeypatch.setattr(made, "_pixels", lambda images: made.seen.append(len(images)) or pixels(images))
    return made


def by_the_processor(inputs, examples):
    images = [Image.open(io.BytesIO(example["image"]["bytes"])) for example in examples]
    return inputs.processor(images=images, return_tensors="pt")["pixel_values"]


def test_an_image_is_processed_once_and_gives_the_same_pixels_in_every_batch(inputs):
    examples = [undecoded(number) for number in range(6)]
    for batch in ([0, 1, 2], [2, 3, 0], [3, 2, 1], [4, 5], [0, 0, 5]):
        chosen = [examples[number] for number in batch]
        assert torch.equal(inputs(chosen)["pixel_values"], by_the_processor(inputs, chosen))
    assert inputs.seen == [3, 1, 2]


def test_a_batch_that_is_changed_in_place_changes_no_later_one(inputs):
    examples = [undecoded(0), undecoded(1)]
    for _ in range(2):
        inputs(examples)["pixel_values"].zero_()
    assert torch.equal(inputs(examples)["pixel_values"], by_the_processor(inputs, examples))


def test_what_does_not_fit_is_made_again(monkeypatch):
    examples = [undecoded(number) for number in range(3)]
    one = 3 * 16 * 16 * 4
    room = one + len(examples[0]["image"]["bytes"]) + one // 2
    monkeypatch.setattr(model_inputs, "KEPT_PIXELS", room)
    inputs = ImageInputs(tiny_processor("vit"), tiny_classifier("vit").config, "the student")
    for _ in range(2):
        assert torch.equal(inputs(examples)["pixel_values"], by_the_processor(inputs, examples))
    assert len(inputs._kept) == 1 and 0 <= inputs._room < room


def test_decoded_images_are_not_kept(inputs):
    images = [Image.fromarray(np.full((20, 20, 3), value, dtype=np.uint8)) for value in (0, 200)]
    for _ in range(2):
        inputs([{"image": image} for image in images])
    assert inputs.seen == [2, 2] and not inputs._kept
