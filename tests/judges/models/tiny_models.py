"""Tiny models of the real classes with random weights, saved as the hub has them."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

WORDS = ["cat", "dog", "hat", "red", "wooden", "chair", "grey", "tabby", "umbrella", "?"]


@dataclass
class Photo:
    """A LazyImage over a picture."""

    picture: Image.Image
    loads: int = 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.picture.tobytes() + str(self.picture.size).encode()).hexdigest()

    def load(self) -> Image.Image:
        self.loads += 1
        return self.picture


@dataclass
class Broken:
    """A LazyImage that cannot be read."""

    sha256: str = "broken"

    def load(self) -> Image.Image:
        raise OSError("truncated file")


def noise(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """Smooth random colours, (width, height)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def portrait() -> Image.Image:
    """The photograph of Grace Hopper that matplotlib installs."""
    import matplotlib.cbook

    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return Image.open(file).convert("RGB")


def grounding_dino(folder: Path, words: Iterable[str] = WORDS) -> Path:
    """A Grounding DINO with a Swin backbone, BERT, 20 queries and captions of up to 24 tokens."""
    import torch
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        SwinConfig,
    )

    vocabulary = [f"[unused{number}]" for number in range(1100)]
    # The model knows separators by their place in BERT's vocabulary.
    for place, token in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: "."}.items():
        vocabulary[place] = token
    vocabulary[1030 : 1030 + len(WORDS)] = words
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=64,
            patch_size=4,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            out_indices=[2, 3, 4],
        ),
        text_config=BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        ),
        num_queries=20,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        d_model=32,
        max_text_len=24,
        encoder_n_points=2,
        decoder_n_points=2,
    )
    model = GroundingDinoForObjectDetection(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "text_projection" in name and parameter.ndim == 2:
                parameter.mul_(20)  # else every token matches every box alike
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def dinov3(folder: Path, registers: int = 4) -> Path:
    """A DINOv3 ViT with patches of 16 pixels."""
    import torch
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(0)
    config = DINOv3ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_register_tokens=registers,
        initializer_range=0.2,
    )
    DINOv3ViTModel(config).save_pretrained(folder)
    return folder


def dinov2(folder: Path) -> Path:
    """A DINOv2 with four registers and patches of 14 pixels."""
    import torch
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, initializer_range=0.2
    )
    Dinov2WithRegistersModel(config).save_pretrained(folder)
    return folder


def owlv2(folder: Path, side: int = 64, patch: int = 8) -> Path:
    """An OWLv2 with two layers a tower; CLIP's tokenizer without merges, so that every letter is a token."""
    import torch
    from transformers import Owlv2Config, Owlv2ForObjectDetection

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(["!", *words])}
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": 40, "initializer_range": 0.2}
    vision = {"image_size": side, "patch_size": patch, "initializer_range": 0.2}
    special = {"pad_token_id": 0, "bos_token_id": len(words) - 1, "eos_token_id": len(words)}
    config = Owlv2Config(text_config=size | text | special, vision_config=size | vision, projection_dim=32)
    model = Owlv2ForObjectDetection(config)
    with torch.no_grad():
        for head, factor in ((model.box_head, 0.2), (model.class_head.logit_shift, 0.1)):
            for parameter in head.parameters():
                parameter.mul_(factor)  # else boxes fill the image, and every score is 0 or 1
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokens = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "!"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", **tokens}))
    return folder
