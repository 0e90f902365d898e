import numpy as np
import pytest
from tifffile import imwrite

from napari_sam3.io import open_image


@pytest.fixture
def opened(tmp_path):
    """Writes a stack as ImageJ does, and opens it."""
    images = []

    def written(axes="ZYX", resolution=None, resolutionunit=None, **words):
        path = tmp_path / "embryo.tif"
        stack = np.zeros((3,) * (len(axes) - 2) + (20, 30), np.uint16)
        imwrite(
            path,
            stack,
            imagej=True,
            resolution=resolution,
            resolutionunit=resolutionunit,
            metadata={"axes": axes, **words},
        )
        images.append(open_image(path))
        return images[-1]

    yield written
    for image in images:
        image.close()


def test_a_tiff_of_imagej_is_opened_with_its_scale(opened):
    image = opened(resolution=(4, 2), spacing=3.0, unit="um")

    assert image.scale == (3.0, 0.5, 0.25)
    assert image.units == ("micrometer",) * 3


def test_time_and_channels_of_imagej_have_no_size(opened):
    image = opened("TZCYX", resolution=(4, 2), spacing=3.0, unit="nm")

    assert image.scale == (1.0, 3.0, 1.0, 0.5, 0.25)
    assert image.units == ("pixel", "nanometer", "pixel", "nanometer", "nanometer")


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_micrometers_have_many_names_in_imagej(opened, unit):
    assert opened(unit=unit).units == ("micrometer",) * 3


def test_axes_of_imagej_may_have_units_of_their_own(opened):
    assert opened(unit="um", zunit="nm", spacing=300).units == (
        "nanometer",
        "micrometer",
        "micrometer",
    )


def test_pixels_per_centimeter_are_made_micrometers_as_in_imagej(opened):
    image = opened(resolution=(40_000, 20_000), resolutionunit="CENTIMETER", unit="um", spacing=3)

    assert image.scale == pytest.approx((3, 0.5, 0.25))


def test_without_words_the_unit_of_the_resolution_counts(opened):
    image = opened("YX", resolution=(4, 2), resolutionunit="CENTIMETER")

    assert (image.scale, image.units) == ((0.5, 0.25), ("centimeter",) * 2)


@pytest.mark.parametrize("words", [{}, {"spacing": 0, "unit": "furlong"}, {"spacing": "nan"}])
def test_where_imagej_says_nothing_sensible_a_pixel_is_a_pixel(opened, words):
    image = opened(**words)

    assert (image.scale, image.units) == ((1.0,) * 3, ("pixel",) * 3)


def test_a_unit_of_no_length_in_an_ome_tiff_is_a_pixel(tmp_path):
    size = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "reference frame"}
    imwrite(tmp_path / "slide.ome.tif", np.zeros((20, 30), np.uint8), metadata=size)

    image = open_image(tmp_path / "slide.ome.tif")

    assert (image.scale, image.units) == ((1.0, 0.5), ("pixel", "pixel"))
    image.close()


def test_a_resolution_for_the_printer_is_no_scale(tmp_path):
    imwrite(tmp_path / "photo.tif", np.zeros((20, 30), np.uint8), resolution=(300, 300))

    image = open_image(tmp_path / "photo.tif")

    assert image.scale == (1.0, 1.0)
    image.close()
