import numpy as np
import pytest
from skimage.io import imsave

from napari_sam3.training.real import RealPairs, pictures_in


@pytest.fixture
def folder(tmp_path):
    """Two pictures, grey and coloured, of one bright square each."""
    labels = np.zeros((120, 150), np.uint16)
    labels[40:80, 50:90] = 1
    for name, channels in (("grey", ()), ("coloured", (3,))):
        picture = np.full((120, 150, *channels), 40, np.uint8)
        picture[labels > 0] = 200
        for kind, image in (("images", picture), ("labels", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            imsave(tmp_path / kind / f"{name}.png", image, check_contrast=False)
    return tmp_path


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="Check `real`"):
        pictures_in(tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_labels_stay_on_their_objects(folder, seed):
    pair = RealPairs(pictures_in(folder))(np.random.default_rng(seed))

    assert pair.shape == (2, 6, 256, 256)
    for frame in pair:
        inside, outside = frame[3] > 0, frame[3] == 0
        if inside.any() and outside.any():
            assert frame[:3, inside].mean() > frame[:3, outside].mean() + 30


def test_objects_are_sometimes_painted_over(folder):
    make = RealPairs(pictures_in(folder))

    pairs = [make(np.random.default_rng(seed)) for seed in range(40)]

    assert any(pair[0, 3].any() and not pair[1, 3].any() for pair in pairs)
