"""What a classifier reads of an example: token ids of its own tokenizer, or pixels as its image processor makes them."""

from __future__ import annotations

import inspect
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

TEXT, IMAGE = "text", "image"
KEPT_PIXELS = 64 * 2**20
"""Bytes of pixels, and of the images that they were made of, that are kept in memory: some 5,000 images of 32 × 32."""
_OFFSET_FAMILIES = ("roberta", "xlm-roberta", "camembert")
"""Families that number positions from ``pad_token_id + 1``."""


def kind_of(model: PreTrainedModel) -> str:
    """``text`` or ``image``, by what the model reads."""
    return IMAGE if model.main_input_name == "pixel_values" else TEXT


def inputs_for(model: PreTrainedModel, processor: Any, max_length: int, what: str) -> TextInputs | ImageInputs:
    """What turns examples into inputs of ``model``.

    Args:
        model: a sequence or image classifier.
        processor: its tokenizer or image processor.
        max_length: tokens of a text (or pair) at most.
        what: the model is called in messages, ``the student``.

    Raises:
        ValueError: the processor is missing, of the wrong kind, or does not fit the model.
    """
    if kind_of(model) == TEXT:
        if not isinstance(processor, PreTrainedTokenizerBase):
            raise ValueError(f"{what} reads text and needs its tokenizer as processing class, not {_named(processor)}.")
        return TextInputs(processor, model.config, accepted_names(model), max_length, what)
    if processor is None or isinstance(processor, PreTrainedTokenizerBase):
        raise ValueError(
            f"{what} reads images and needs its image processor as processing class, not {_named(processor)}."
        )
    return ImageInputs(processor, model.config, what)


def _named(processor: Any) -> str:
    return "none" if processor is None else type(processor).__name__


def accepted_names(model: PreTrainedModel) -> frozenset[str]:
    """Arguments of the model's forward."""
    return frozenset(inspect.signature(type(model).forward).parameters)


class TextInputs:
    """Token ids of texts or pairs, cut to a length and padded to the longest of the batch; nothing random, nothing kept.

    Args:
        tokenizer: of the model.
        config: of the model.
        accepted: arguments of its forward; what else the tokenizer gives is left out.
        max_length: at most so many tokens, special ones included; less where tokenizer or model take less.
        what: the model is called in messages.

    Raises:
        ValueError: the tokenizer has more tokens than the model, no padding, or ends texts without the mark that an encoder-decoder classifies by.
    """

    main = "input_ids"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        config: PretrainedConfig,
        accepted: frozenset[str],
        max_length: int,
        what: str,
    ) -> None:
        self.processor, self.what = tokenizer, what
        self.max_length = min(max_length, tokenizer.model_max_length, position_limit(config))
        if len(tokenizer) > config.vocab_size:
            raise ValueError(
                f"{what} has {config.vocab_size} word embeddings and cannot read {len(tokenizer)} tokens; give each model its own tokenizer "
                "(processing_class, teacher_processing_class)."
            )
        if tokenizer.pad_token_id is None:
            raise ValueError(
                f"{what} cannot be trained in batches: its tokenizer has no padding token; set tokenizer.pad_token."
            )
        types = getattr(config, "type_vocab_size", 0) or 0
        self.names = tuple(
            name for name in tokenizer.model_input_names if name in accepted and (name != "token_type_ids" or types > 1)
        )
        # an encoder-decoder makes its decoder's inputs from input_ids and classifies at the last end mark
        self.end_mark = config.eos_token_id if config.is_encoder_decoder else None
        if config.is_encoder_decoder:
            self._check_decoder(config)

    def _check_decoder(self, config: PretrainedConfig) -> None:
        missing = [
            name
            for name in ("decoder_start_token_id", "pad_token_id", "eos_token_id")
            if getattr(config, name, None) is None
        ]
        if missing:
            raise ValueError(
                f"{self.what} ({config.model_type}) makes its decoder's inputs from config.{missing[0]}, which is not set; without decoder inputs it "
                "cannot classify."
            )
        if not isinstance(self.end_mark, int) or self._encoded(["a"], None)["input_ids"][0, -1] != self.end_mark:
            raise ValueError(
                f"{self.what} ({config.model_type}) classifies at token {self.end_mark}, config.eos_token_id, but its tokenizer does not end a text with it."
            )

    def __call__(self, examples: Sequence[dict]) -> dict[str, torch.Tensor]:
        """``input_ids`` and what else the model reads, each ``(n, length)``, of examples with ``text`` and perhaps ``text_pair``."""
        for example in examples:
            wrong = [name for name in ("text", "text_pair") if not isinstance(example.get(name, ""), (str, type(None)))]
            if wrong or example["text"] is None:
                raise ValueError(f"{called(example)}: its {wrong[0] if wrong else 'text'} is no text.")
        pairs = [example["text_pair"] for example in examples] if examples[0].get("text_pair") is not None else None
        encoded = self._encoded([example["text"] for example in examples], pairs)
        if self.end_mark is not None:
            marks = (encoded["input_ids"] == self.end_mark).sum(1)
            odd = (marks != (1 if pairs is None else marks.min())).nonzero()
            if len(odd):
                raise ValueError(
                    f"{called(examples[int(odd[0])])} holds the token {self.processor.convert_ids_to_tokens(self.end_mark)!r} in its text, by which "
                    f"{self.what} tells where a text ends; take it out."
                )
        return {name: encoded[name] for name in self.names}

    def _encoded(self, texts: list[str], pairs: list[str] | None) -> dict[str, torch.Tensor]:
        return self.processor(
            texts, pairs, truncation=True, max_length=self.max_length, padding=True, return_tensors="pt"
        )

    def empty(self) -> dict[str, torch.Tensor]:
        """The inputs of one empty text."""
        return self([{"text": ""}])

    def tokens(self, inputs: dict[str, torch.Tensor]) -> int:
        """How many real tokens a batch has."""
        return int(inputs["attention_mask"].sum()) if "attention_mask" in inputs else inputs["input_ids"].numel()

    def same_as(self, other: TextInputs | ImageInputs) -> bool:
        """Whether both give the same tensors."""
        if not isinstance(other, TextInputs):
            return False
        return self.processor is other.processor and (self.max_length, self.names) == (other.max_length, other.names)


def position_limit(config: PretrainedConfig) -> int:
    """Tokens that the model has positions for; a huge number where positions are relative."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return 1 << 30
    return positions - (config.pad_token_id + 1 if config.model_type in _OFFSET_FAMILIES else 0)


class ImageInputs:
    """Pixels as an image processor makes them, ``(n, channels, height, width)``.

    What was made of an image's bytes is kept, up to `KEPT_PIXELS`: a short training on a few thousand small images meets each of them
    several times, and would spend much of its time in decoding and resizing them again.

    Args:
        processor: e.g. ``ViTImageProcessorPil``; it sets size and normalisation.
        config: of the model, for its ``image_size`` and ``num_channels``.
        what: the model is called in messages.

    Raises:
        ValueError: a model that does not read RGB, or a processor that makes another size than the model reads.
    """

    main = "pixel_values"

    def __init__(self, processor: Any, config: PretrainedConfig, what: str) -> None:
        self.processor, self.what = processor, what
        self._kept: dict[bytes, torch.Tensor] = {}
        self._room = KEPT_PIXELS
        channels = getattr(config, "num_channels", 3)
        if channels != 3:
            raise ValueError(
                f"{what} reads images of {channels} channels; only RGB (config.num_channels=3) is supported."
            )
        made = tuple(self.empty()["pixel_values"].shape[1:])
        size = getattr(config, "image_size", None)
        wanted = None if size is None else (3, *((size, size) if isinstance(size, int) else tuple(size)))
        if wanted is not None and made != wanted:
            raise ValueError(
                f"{what} reads images of {wanted[1]}×{wanted[2]}, but its image processor makes {made[1]}×{made[2]}; set the processor's size."
            )

    def __call__(self, examples: Sequence[dict]) -> dict[str, torch.Tensor]:
        """``pixel_values`` ``(n, 3, height, width)`` fp32 of examples with an RGB ``image``."""
        keys = [_bytes_of(example) for example in examples]
        rows = [self._kept.get(key) for key in keys]
        new = [n for n, row in enumerate(rows) if row is None]
        if new:
            made = self._pixels([rgb_image(examples[n]) for n in new])
            for n, row in zip(new, made, strict=True):
                self._keep(keys[n], row)
                rows[n] = row
        return {"pixel_values": torch.stack(rows)}

    def _keep(self, key: bytes | None, row: torch.Tensor) -> None:
        """Where there is room, and the image came as bytes."""
        if key is None or key in self._kept:
            return
        size = len(key) + row.numel() * row.element_size()
        if size <= self._room:
            self._kept[key] = row.clone()  # and not a part of the batch, which would be held whole
            self._room -= size

    def _pixels(self, images: list[Image.Image]) -> torch.Tensor:
        return self.processor(images=images, return_tensors="pt")["pixel_values"].float()

    def empty(self) -> dict[str, torch.Tensor]:
        """The inputs of one black image."""
        return {"pixel_values": self._pixels([Image.new("RGB", (32, 32))])}

    def tokens(self, inputs: dict[str, torch.Tensor]) -> int:
        """Images have none."""
        return 0

    def same_as(self, other: TextInputs | ImageInputs) -> bool:
        """Whether both give the same tensors."""
        return self.processor is other.processor


def _bytes_of(example: dict) -> bytes | None:
    """The file of an undecoded image, None where that is somewhere else or the image is decoded."""
    image = example["image"]
    return image.get("bytes") if isinstance(image, dict) else None


def rgb_image(example: dict) -> Image.Image:
    """The example's ``image``: a PIL image, an undecoded one of ``datasets`` (``bytes`` or ``path``), or a uint8 array ``(height, width, 3)``.

    Raises:
        ValueError: it cannot be decoded, or is not RGB.
    """
    image = example["image"]
    try:
        if isinstance(image, dict):
            image = Image.open(io.BytesIO(image["bytes"]) if image.get("bytes") is not None else image["path"])
        elif not isinstance(image, Image.Image):
            array = np.asarray(image)
            if array.ndim != 3 or array.shape[2] != 3 or array.min(initial=0) < 0 or array.max(initial=0) > 255:
                raise ValueError(
                    f"{called(example)}: an image must be (height, width, 3) of 0 … 255, not {array.shape}."
                )
            return Image.fromarray(array.astype(np.uint8))
        image.load()
    except OSError as error:  # PIL's, of files that are cut short or no images
        where = example["image"].get("path") if isinstance(example["image"], dict) else None
        reason = "no image file" if isinstance(error, Image.UnidentifiedImageError) else " ".join(str(error).split())
        raise ValueError(
            f"{called(example)}: its image{f' {where}' if where else ''} cannot be read ({reason})."
        ) from None
    if image.mode != "RGB":
        raise ValueError(
            f"{called(example)}: its image is of mode {image.mode}, not RGB; convert it with image.convert('RGB')."
        )
    return image


def called(example: dict) -> str:
    """``Example 17``, where its number is known."""
    return f"Example {example['number']}" if "number" in example else "An example"
