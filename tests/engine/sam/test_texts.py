from __future__ import annotations

from shutil import copytree

import pytest
import torch

from napari_sam3.engine.errors import PromptError, WeightsError
from napari_sam3.engine.sam.texts import PHRASE_BYTES, Texts
from tests.tiny_models import load_tiny, visits


@torch.inference_mode()
def test_a_text_is_read_as_the_stock_model_reads_it(tiny_sam3, texts):
    stock = load_tiny("Sam3Model", tiny_sam3)
    said = load_tiny("Sam3Processor", tiny_sam3)(text="cell", return_tensors="pt")

    phrase = texts.read("cell")

    expected = stock.get_text_features(**said).pooler_output
    torch.testing.assert_close(phrase.features, expected)
    assert phrase.is_said.sum() == 6  # four letters between a start and an end


@torch.inference_mode()
def test_a_text_is_read_once(sam3, texts):
    with visits(sam3.detector.text_encoder) as seen:
        texts.read("mitochondria")
        texts.read("mitochondria")

    assert len(seen) == 1


@torch.inference_mode()
def test_phrases_do_not_pile_up(texts):
    phrase = texts.read("cell")

    assert 50 * phrase.nbytes < PHRASE_BYTES < 500 * phrase.nbytes


@torch.inference_mode()
def test_a_text_that_just_fits_is_read(texts):
    phrase = texts.read("x" * 30)

    assert phrase.is_said.all()


def test_a_text_that_is_too_long_is_refused_with_what_is_too_much(texts):
    with pytest.raises(PromptError, match="2 tokens too long, the model would not read 'yz'"):
        texts.read("x" * 30 + "yz")


def test_a_folder_without_a_tokenizer_is_refused(tiny_sam3, tmp_path, sam3):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    for file in folder.glob("tokenizer*"):
        file.unlink()

    with pytest.raises(WeightsError, match="lacks its tokenizer"):
        Texts.load(folder, sam3)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["", "{"])
def test_a_tokenizer_that_was_cut_off_is_refused(tiny_sam3, tmp_path, sam3, name, content):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    (folder / name).write_text(content)

    with pytest.raises(WeightsError, match=r"cannot be read: copy tokenizer\.json"):
        Texts.load(folder, sam3)


def test_a_tokenizer_that_says_nothing_is_refused(tiny_sam3, tmp_path, sam3):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    (folder / "tokenizer.json").write_text("{}")

    with pytest.raises(WeightsError, match=r"cannot be read: copy tokenizer\.json"):
        Texts.load(folder, sam3)
