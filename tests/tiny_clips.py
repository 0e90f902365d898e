"""Tiny text models with random weights, in the file layouts of the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import BertConfig, PretrainedConfig, PreTrainedTokenizerFast, XLMRobertaConfig

FEATURES = 16
SIDE = 32
VISION = {"image_size": SIDE, "layers": 1, "width": 64, "patch_size": 8}
PREPROCESSING = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ENGLISH = ["cell", "nucleus", "nuclei", "microscopy", "image", "of", "debris", "yeast", "-"]
WORLD = ["▁cell", "▁nucleus", "▁细胞", "▁ядро", "▁Zellkern", "▁debris", "▁image", "▁of", "-"]


def tiny_clip(folder: Path) -> Path:
    """Write what a CLIP in the way of OpenAI holds: a text network and tokenizer of open_clip."""
    config = {
        "embed_dim": FEATURES,
        "vision_cfg": VISION,
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2}
        | {"layers": 1},
    }
    network = _random(open_clip.CLIP, config)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return _described(folder, config)


def tiny_biomed_clip(folder: Path) -> Path:
    """Write what BiomedCLIP holds: an image network of timm, BERT, and pickled weights."""
    config = {
        "embed_dim": FEATURES,
        "vision_cfg": {
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 160,
        },
        "text_cfg": {
            "hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
            "hf_tokenizer_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 77,
        },
    }
    inside = [f"##{letter}" for letter in LETTERS]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ENGLISH, *LETTERS, *inside]
    text = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=48,
        max_position_embeddings=80,
    )
    network = _random(open_clip.CustomTextCLIP, with_text_network(config, folder, text))
    torch.save(network.state_dict(), folder / "open_clip_pytorch_model.bin")
    (folder / "config.json").unlink()  # the real one has none
    token_model = models.WordPiece(
        {word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"
    )
    _save_tokenizer(
        folder, token_model, normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    )
    return _described(folder, config)


def tiny_multilingual_clip(folder: Path) -> Path:
    """Write what a CLIP with XLM-RoBERTa holds, and its sizes beside it."""
    config = {
        "embed_dim": FEATURES,
        "vision_cfg": VISION,
        "text_cfg": {
            "hf_model_name": "xlm-roberta-base",
            "hf_tokenizer_name": "xlm-roberta-base",
            "hf_pooler_type": "mean_pooler",
        },
    }
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *WORLD, "▁", *LETTERS]
    text = XLMRobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=82,
        type_vocab_size=1,
    )
    network = _random(open_clip.CustomTextCLIP, with_text_network(config, folder, text))
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    token_model = models.Unigram([(word, -float(n)) for n, word in enumerate(vocabulary)], unk_id=3)
    _save_tokenizer(folder, token_model, normalizers.NFKC(), pre_tokenizers.Metaspace())
    return _described(folder, config)


def with_text_network(config: dict[str, Any], folder: Path, text: PretrainedConfig) -> Any:
    """Return a config that takes the sizes of its text network from a folder."""
    text.save_pretrained(folder)
    named = {"hf_model_name": str(folder), "hf_model_pretrained": False}
    return {**config, "text_cfg": {**config["text_cfg"], **named}}


def _random(network_class: type[nn.Module], config: dict[str, Any]) -> nn.Module:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = network_class(**config).eval()
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif not name.startswith("logit"):
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return network


def _described(folder: Path, config: dict[str, Any]) -> Path:
    described = {"model_cfg": config, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def _save_tokenizer(folder: Path, token_model: Any, normalizer: Any, splitting: Any) -> None:
    tokenizer = Tokenizer(token_model)
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitting
    is_bert = isinstance(token_model, models.WordPiece)
    start, end = ("[CLS]", "[SEP]") if is_bert else ("<s>", "</s>")
    pad, unknown = ("[PAD]", "[UNK]") if is_bert else ("<pad>", "<unk>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in (start, end)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token=start,
        sep_token=end,
        pad_token=pad,
        unk_token=unknown,
    ).save_pretrained(folder)
