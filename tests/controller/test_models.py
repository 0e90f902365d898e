"""Choosing a model: getting it, checking it, and going on with what was done before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_sam3.controller import Models, Transfer, why_model_disabled
from napari_sam3.engine import CancelledError, Engine, ModelError
from napari_sam3.engine.backends.embedded.model import shipped_weights
from tests.backends import DiskBackend
from tests.controller.bench import MOVIE, Bench
from tests.controller.models import EDGETAM, SAM3, Computer
from tests.jobs import HeldJobs, InlineJobs

Report = Callable[[int, int], None]


class ModelBench(Bench):
    """A time-lapse of one disk, the models, and what they say."""

    def __init__(self, computer: Computer, jobs: InlineJobs | HeldJobs | None = None) -> None:
        super().__init__(jobs)
        self.add_image(MOVIE)
        self.models = Models(self.controller.annotations, self.jobs, computer.load)
        self.missing: list[str] = []
        self.offered: list[Transfer] = []
        self.models.failed.connect(self.messages.append)
        self.models.missing.connect(self.missing.append)
        self.models.transfer_offered.connect(self.offered.append)

    def download(self, model: str) -> None:
        """Agree to the download of a model."""
        self.models.offer_download(model)
        self.models.transfers.start(self.offered[-1])


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Computer:
    return Computer(monkeypatch, tmp_path / "hub")


@pytest.fixture
def bench(computer: Computer) -> ModelBench:
    """Models whose work is done at once; the embedded one is loaded."""
    made = ModelBench(computer)
    made.models.load()
    return made


@pytest.fixture
def held(computer: Computer) -> ModelBench:
    """Models whose work waits until a test lets it go on."""
    return ModelBench(computer, HeldJobs())


def test_embedded_model_is_loaded_first(bench: ModelBench) -> None:
    assert (bench.models.model, bench.models.device) == ("embedded", "auto")
    assert bench.models.state == "ready, cpu"
    assert bench.controller.annotations.engine is bench.models.engine


def test_model_that_is_being_loaded_is_shown_as_such(held: ModelBench) -> None:
    before = held.models.state

    held.models.choose_model(EDGETAM)
    loading = held.models.model, held.models.state
    held.jobs.run_all()

    assert before == "not loaded"
    assert loading == (EDGETAM, "loading …")
    assert held.models.state == "ready, cpu"


def test_first_click_finds_a_model_that_has_run_once(bench: ModelBench, computer: Computer) -> None:
    gpu = computer.backends[EDGETAM] = DiskBackend(device="cuda")

    bench.models.choose_model(EDGETAM)

    assert gpu.segmented == 1


def test_next_model_goes_on_with_objects_prompts_and_masks(
    bench: ModelBench, computer: Computer
) -> None:
    bench.click_disk(0)
    before = bench.mask(0)

    bench.models.choose_model(EDGETAM)
    bench.click_disk(1)

    np.testing.assert_array_equal(bench.mask(0), before)
    assert bench.mask(1).any()
    assert [obj.name for obj in bench.workspace.objects] == ["cell 1"]
    assert computer.backends[EDGETAM].encoded == 1


def test_model_that_fails_to_load_leaves_the_previous_one_at_work(
    bench: ModelBench, computer: Computer
) -> None:
    computer.broken = {EDGETAM}

    bench.models.choose_model(EDGETAM)
    bench.click_disk(0)

    assert bench.messages == ["The weights are broken: download them again."]
    assert bench.models.model == "embedded"
    assert computer.backends["embedded"].segmented == 1


def test_model_that_fails_its_first_prompt_leaves_the_previous_one_at_work(
    bench: ModelBench, computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = computer.backends[EDGETAM] = DiskBackend(device="cuda")

    def fail(*_: object) -> None:
        raise ModelError("The memory of the graphics card is too small.")

    monkeypatch.setattr(small, "encode", fail)

    bench.models.choose_model(EDGETAM)
    bench.click_disk(0)

    assert bench.messages == ["The memory of the graphics card is too small."]
    assert computer.backends["embedded"].segmented == 1


def test_error_that_napari_shows_is_not_shown_again(
    bench: ModelBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> Engine:
        raise CancelledError("It did not work: napari shows the error.")

    monkeypatch.setattr(bench.models, "_load", load)

    bench.models.choose_model(EDGETAM)

    assert bench.messages == []
    assert bench.models.model == "embedded"


def test_first_model_that_fails_leaves_none_loaded(computer: Computer) -> None:
    computer.broken = {"embedded"}
    bench = ModelBench(computer)

    bench.models.load()

    assert bench.models.state == "not loaded"
    assert bench.models.engine is None
    assert bench.models.on_this_computer is None


def test_model_that_is_not_on_this_computer_is_reported_and_not_loaded(
    bench: ModelBench, computer: Computer
) -> None:
    bench.models.choose_model(SAM3)

    assert bench.missing == [SAM3]
    assert bench.models.model == "embedded"
    assert [model for model, _ in computer.loaded] == ["embedded"] * 2


def test_models_on_this_computer_are_known(bench: ModelBench) -> None:
    assert bench.models.on_this_computer == {"embedded", EDGETAM}


def test_device_is_changed_for_the_same_model(bench: ModelBench, computer: Computer) -> None:
    bench.models.choose_model(EDGETAM)

    bench.models.choose_device("cpu")

    assert computer.loaded[-1] == (EDGETAM, "cpu")
    assert (bench.models.model, bench.models.device) == (EDGETAM, "cpu")


def test_long_wait_is_announced_before_it_begins(bench: ModelBench, computer: Computer) -> None:
    computer.models |= {SAM3}
    before = bench.models.hint

    bench.models.choose_model(SAM3)

    assert before == ""
    assert bench.models.hint == (
        "Encoding one image takes about 30 s with this model on this computer."
    )
    assert computer.backends[SAM3].encoded == 0


def test_a_model_is_recommended_for_this_computer(bench: ModelBench) -> None:
    assert bench.models.recommendation is not None
    assert bench.models.recommendation.why.endswith(".")


def test_download_is_offered_with_licence_size_and_free_space(bench: ModelBench) -> None:
    bench.models.offer_download(SAM3)

    (offer,) = bench.offered
    assert "SAM License" in offer.terms
    assert "takes 3.5 GB of" in offer.terms
    assert not bench.models.transfers.is_busy


def test_downloaded_model_is_loaded(bench: ModelBench, computer: Computer) -> None:
    def download(name: str, report: Report, _: object) -> Path:
        report(1, 2)
        computer.models.add(name)
        return Path("/hub/models--facebook--sam3/snapshots/abc")

    computer.download_with(download)

    bench.download(SAM3)

    assert bench.models.model == SAM3
    assert SAM3 in computer.backends
    assert bench.models.transfers.message == ""


def test_download_tells_how_far_it_has_come(bench: ModelBench, computer: Computer) -> None:
    seen = []

    def download(_: str, report: Report, __: object) -> Path:
        report(1, 4)
        seen.append(bench.models.transfers.progress)
        raise ModelError("The connection broke.")

    computer.download_with(download)

    bench.download(SAM3)

    (progress,) = seen
    assert (progress.activity, progress.done, progress.total) == ("Downloading SAM 3", 1, 4)
    assert bench.models.transfers.progress is None


def test_stopped_download_says_so_and_is_no_failure(held: ModelBench, computer: Computer) -> None:
    computer.hold_downloads()
    held.download(SAM3)

    held.models.transfers.stop()
    held.jobs.streams[-1].finish()

    assert held.models.transfers.message == "Stopped."
    assert not held.models.transfers.is_busy
    assert held.messages == []


def test_refused_download_says_what_to_do(bench: ModelBench, computer: Computer) -> None:
    sentence = "Its makers approve every user: ask for access."

    def refuse(*_: object) -> Path:
        raise ModelError(sentence)

    computer.download_with(refuse)

    bench.download(SAM3)

    assert bench.models.transfers.message == sentence
    assert bench.messages == [sentence]


def test_second_download_waits_for_the_first(held: ModelBench, computer: Computer) -> None:
    held.download(SAM3)

    held.download(EDGETAM)

    assert len(held.jobs.streams) == 1


def test_closed_models_say_nothing_of_a_download(held: ModelBench, computer: Computer) -> None:
    computer.hold_downloads()
    held.download(SAM3)

    held.models.close()
    held.jobs.streams[-1].finish()

    assert held.messages == []
    assert not held.models.transfers.is_busy


def test_opened_file_is_checked_and_loaded(
    bench: ModelBench, computer: Computer, tmp_path: Path
) -> None:
    weights = Path(shutil.copy(shipped_weights(), tmp_path / "mine.safetensors"))

    bench.models.open(weights)

    assert bench.models.model == str(weights)
    assert bench.models.opened == {str(weights): "Embedded model: mine.safetensors"}
    assert str(weights) in computer.backends


def test_opened_file_that_is_broken_is_refused(bench: ModelBench, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"<html>")

    bench.models.open(tmp_path / "model.safetensors")

    (message,) = bench.messages
    assert "is not a safetensors file" in message
    assert bench.models.transfers.message == message
    assert bench.models.model == "embedded"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A file as the makers of SAM 3 publish it."""
    import torch

    path = tmp_path / "sam3.pt"
    torch.save({"detector.a": torch.ones(1), "tracker.a": torch.ones(1)}, path)
    return path


def test_published_file_is_converted_when_the_user_agrees(
    bench: ModelBench, computer: Computer, published: Path, tmp_path: Path
) -> None:
    def convert(path: Path, into: Path, report: Report) -> Path:
        report(1, 2)
        into.mkdir()
        shutil.copy(shipped_weights(), into / "model.safetensors")
        return into

    computer.convert_with(convert)

    bench.models.open(published)
    (offer,) = bench.offered
    bench.models.transfers.start(offer)

    assert "must be converted once" in offer.terms
    assert bench.models.model == str(tmp_path / "sam3-converted" / "model.safetensors")


def test_published_file_that_was_converted_before_is_not_converted_again(
    bench: ModelBench, published: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sam3-converted"
    folder.mkdir()
    shutil.copy(shipped_weights(), folder / "model.safetensors")

    bench.models.open(published)

    assert bench.offered == []
    assert bench.models.model == str(folder / "model.safetensors")


def test_what_cannot_be_done_with_a_model_says_why(held: ModelBench) -> None:
    held.models.load()
    held.jobs.run_all()

    assert why_model_disabled(held.models, "embedded", "use") == ""
    assert "is not on this computer" in why_model_disabled(held.models, SAM3, "use")
    assert "is on this computer" in why_model_disabled(held.models, EDGETAM, "download")
    assert why_model_disabled(held.models, SAM3, "download") == ""
    assert "Nothing is being downloaded" in why_model_disabled(held.models, SAM3, "stop")


def test_download_that_runs_is_the_only_one_and_can_be_stopped(held: ModelBench) -> None:
    held.download(SAM3)

    assert "Wait" in why_model_disabled(held.models, EDGETAM, "download")
    assert why_model_disabled(held.models, SAM3, "stop") == ""
