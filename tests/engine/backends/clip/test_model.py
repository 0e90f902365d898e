"""Text models in the three layouts of the hub, loaded without it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from napari_sam3.engine.backends.clip import model as clip_model
from napari_sam3.engine.backends.clip.clip import Clip, Phrase
from napari_sam3.engine.backends.clip.model import TEXT_BATCH, ClipModel
from napari_sam3.values.candidates import Candidates
from napari_sam3.values.errors import ModelError, PromptError, WeightsError
from tests.tiny_clips import PREPROCESSING, tiny_biomed_clip, tiny_clip, tiny_multilingual_clip
from tests.tiny_models import visits

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
PICKLED = "open_clip_pytorch_model.bin"
Layout = tuple[Callable[[Path], Path], str]
LAYOUTS = {"native": tiny_clip, "biomed": tiny_biomed_clip, "world": tiny_multilingual_clip}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in LAYOUTS.items()}


@pytest.fixture(scope="session")
def models(folders: dict[str, Path]) -> dict[str, ClipModel]:
    return {name: ClipModel.load(folder, "cpu") for name, folder in folders.items()}


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: copytree(folders[name], tmp_path / name)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def stock(folder: Path, tmp_path: Path) -> Any:
    """Build a model as a user of open_clip would who has the sizes of its text network."""
    config = json.loads((folder / CONFIG).read_text())["model_cfg"]
    if "hf_model_name" in config["text_cfg"]:
        text_config = ClipModel.load(folder, "cpu")._network.text.config
        AutoConfig.for_model(**text_config.to_dict()).save_pretrained(tmp_path)
        config["text_cfg"] |= {"hf_model_name": str(tmp_path), "hf_model_pretrained": False}
    network_class = (
        open_clip.CustomTextCLIP if "hf_model_name" in config["text_cfg"] else open_clip.CLIP
    )
    network = network_class(**config).eval()
    weights = folder / WEIGHTS
    path = weights if weights.is_file() else folder / PICKLED
    open_clip.load_checkpoint(network, str(path))
    return network


@pytest.mark.parametrize("name", LAYOUTS)
@torch.inference_mode()
def test_texts_are_encoded_as_by_open_clip(folders, models, name, tmp_path):
    texts = ["cell", "microscopy image of nucleus", "debris"]
    tokens = open_clip.get_tokenizer(f"local-dir:{folders[name]}")(texts)

    embeddings = models[name].encode_texts(texts)

    expected = stock(folders[name], tmp_path).encode_text(tokens, normalize=True)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    assert abs(embeddings[0] @ embeddings[1]) < 0.999


@pytest.mark.parametrize("name", LAYOUTS)
@torch.inference_mode()
def test_images_are_encoded_as_by_open_clip(folders, models, name, tmp_path):
    side = models[name].side
    images = np.random.default_rng(0).random((2, *side, 3), np.float32)
    scaled = (torch.tensor(images) - PREPROCESSING["mean"][0]) / PREPROCESSING["std"][0]

    embeddings = models[name].encode_images(images)

    network = stock(folders[name], tmp_path)
    expected = network.encode_image(scaled.permute(0, 3, 1, 2), normalize=True)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    assert models[name].scale == pytest.approx(float(network.logit_scale.exp()))


@pytest.mark.parametrize("name", LAYOUTS)
def test_all_is_done_without_the_network(folders, name, no_network):
    boxes, masks = np.array([[5, 5, 30, 30]]), (np.ones((25, 25), bool),)
    candidates = Candidates((40, 40), boxes, masks, np.array([0.5]))

    ranked = Clip.load(folders[name], "cpu").ranked(
        np.zeros((40, 40, 3), np.float32), candidates, Phrase.parse("cell, not debris")
    )

    assert 0 < ranked.scores[0] < 1


@pytest.mark.parametrize("name", LAYOUTS)
def test_only_the_model_of_many_languages_is_multilingual(models, name):
    assert models[name].is_multilingual == (name == "world")


@pytest.mark.parametrize("name", ["native", "biomed"])
def test_a_model_of_english_refuses_other_scripts(models, name):
    with pytest.raises(PromptError, match=r"reads English and would not understand '细胞'"):
        models[name].encode_texts(["细胞"])


def test_a_model_of_many_languages_tells_them_apart(models):
    chinese, russian, english = models["world"].encode_texts(["细胞", "ядро", "nucleus"])

    assert max(chinese @ russian, russian @ english, english @ chinese) < 0.999


def test_a_text_of_unknown_tokens_is_refused(models):
    with pytest.raises(PromptError, match=r"knows nothing of 'ꙮ'"):
        models["world"].encode_texts(["ꙮ"])


@pytest.mark.parametrize(("name", "count"), [("native", 22), ("world", 75)])
def test_a_text_that_just_fits_is_encoded_and_a_longer_one_is_refused(models, name, count):
    fitting = " ".join(["cell"] * count)
    models[name].encode_texts([fitting])

    with pytest.raises(PromptError, match=r"2 words too long: .* would not read 'debris debris'"):
        models[name].encode_texts([f"{fitting} debris debris"])


def test_images_of_any_size_are_encoded_in_batches_of_bounded_size(models, monkeypatch):
    model = models["native"]
    monkeypatch.setattr(clip_model, "BATCH_BYTES", 3 * 4 * 3 * model.side[0] * model.side[1])
    images = (np.zeros((size, size, 3), np.float32) for size in (8, 50, 9, 200))

    with visits(model._network.visual) as batches:
        embeddings = model.encode_images(images)

    assert len(batches) == 2
    assert embeddings.shape == (4, 16)


def test_texts_are_encoded_together(models):
    with visits(models["native"]._network.transformer) as batches:
        models["native"].encode_texts(["cell"] * TEXT_BATCH)

    assert len(batches) == 1


def test_short_texts_cost_little_in_a_text_network_of_transformers(models):
    network = models["biomed"]._network.text.transformer
    lengths: list[int] = []
    hook = network.register_forward_pre_hook(
        lambda _, __, tokens: lengths.append(tokens["input_ids"].shape[1]), with_kwargs=True
    )

    models["biomed"].encode_texts(["cell", "microscopy image of cell"])
    hook.remove()

    assert lengths == [6]  # four words between a start and an end


@pytest.mark.parametrize("name", LAYOUTS)
def test_missing_weights_are_named(copied, name):
    folder = copied(name)
    file = folder / WEIGHTS
    weights = load_file(file) if file.is_file() else torch.load(folder / PICKLED)
    missing = next(key for key in weights if key.startswith("visual"))
    del weights[missing]
    save_file(weights, file)

    with pytest.raises(WeightsError, match=rf"lacks {missing}: it is not the whole model"):
        ClipModel.load(folder, "cpu")


def test_weights_of_other_sizes_are_named(copied):
    folder = copied("native")
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["embed_dim"] = 24
    (folder / CONFIG).write_text(json.dumps(config))

    with pytest.raises(WeightsError, match="text_projection"):
        ClipModel.load(folder, "cpu")


def test_weights_that_could_run_programs_are_refused(copied):
    folder = copied("biomed")
    torch.save({"weights": Path("anything")}, folder / PICKLED)

    with pytest.raises(WeightsError, match="can run programs"):
        ClipModel.load(folder, "cpu")


def test_weights_that_are_cut_short_are_refused(copied):
    file = copied("native") / WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(WeightsError, match="cut short"):
        ClipModel.load(file.parent, "cpu")


def test_weights_that_run_nothing_are_preferred(copied):
    folder = copied("native")
    (folder / PICKLED).write_bytes(b"not to be opened")

    assert ClipModel.load(folder, "cpu").name == "native"


def test_a_text_network_of_unknown_sizes_is_refused_by_name(copied):
    folder = copied("biomed")
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "someone/strange-network"
    (folder / CONFIG).write_text(json.dumps(config))

    with pytest.raises(WeightsError, match=r"copy config\.json of someone/strange-network"):
        ClipModel.load(folder, "cpu")


def test_a_text_network_whose_heads_do_not_show_is_refused_by_name(copied):
    folder = copied("world")
    (folder / "config.json").unlink()

    with pytest.raises(WeightsError, match=r"copy config\.json of xlm-roberta-base"):
        ClipModel.load(folder, "cpu")


def test_a_model_that_open_clip_cannot_build_is_refused(copied):
    folder = copied("native")
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["vision_cfg"]["wings"] = 2
    (folder / CONFIG).write_text(json.dumps(config))

    with pytest.raises(WeightsError, match="cannot build"):
        ClipModel.load(folder, "cpu")


@pytest.mark.parametrize(
    ("name", "file", "why"),
    [
        ("native", WEIGHTS, "lacks its weights"),
        ("biomed", "tokenizer.json", "lacks its tokenizer"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused(copied, name, file, why):
    folder = copied(name)
    (folder / file).unlink()

    with pytest.raises(WeightsError, match=why):
        ClipModel.load(folder, "cpu")


@pytest.mark.parametrize(("text", "why"), [("{", "cannot be read"), ("[]", "describes no model")])
def test_a_config_that_says_nothing_is_refused(copied, text, why):
    folder = copied("native")
    (folder / CONFIG).write_text(text)

    with pytest.raises(WeightsError, match=why):
        ClipModel.load(folder, "cpu")


def test_a_device_that_is_not_there_is_refused(folders):
    with pytest.raises(ModelError, match="has no device"):
        ClipModel.load(folders["native"], "warp")
