from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr
from skimage.io import imsave
from tifffile import TiffWriter, imwrite

from napari_sam3.engine import FramesError
from napari_sam3.engine.images.frames import Window
from napari_sam3.io import OpenedImage, open_image, read_image


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


def whole(image, frame=0):
    """Read a frame through the engine's eyes, (H, W, C)."""
    return image.frames().read(frame)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 60_000, (3, 40, 50), np.uint16)


def write_ome_zarr(path, pixels, axes, version="0.5", levels=2):
    """Write an image with its pyramid, as other programs do."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    steps = [(slice(None),) * (pixels.ndim - 2) + (slice(None, None, 2**i),) * 2 for i in range(9)]
    for level in range(levels):
        data = pixels[steps[level]]
        group.create_array(f"s{level}", data=data, chunks=(*(1 for _ in axes[:-2]), 16, 16))
    units = {"z": "micrometer", "y": "micrometer", "x": "micrometer"}
    sizes = {"z": 2.0, "y": 0.5, "x": 0.25}
    multiscale = {
        "name": "embryo",
        "version": version,
        "axes": [
            {"name": axis, "type": "space"} | ({"unit": units[axis]} if axis in units else {})
            for axis in axes
        ],
        "datasets": [
            {
                "path": f"s{level}",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [sizes.get(axis, 1.0) for axis in axes]}
                ],
            }
            for level in range(levels)
        ],
    }
    told = {"multiscales": [multiscale]}
    group.attrs.update({"ome": {"version": version, **told}} if version == "0.5" else told)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_is_opened_with_its_sizes_and_its_scale(tmp_path, pixels, version):
    path = write_ome_zarr(tmp_path / "embryo.ome.zarr", pixels, "zyx", version)

    image = open_image(path)

    assert (image.name, image.axes) == ("embryo", "zyx")
    assert image.scale == (2.0, 0.5, 0.25)
    assert image.units == ("micrometer",) * 3
    frames = image.frames()
    assert frames.levels == ((40, 50), (20, 25))
    np.testing.assert_array_equal(frames.read(2)[..., 0], pixels[2])


def test_ome_zarr_is_opened_where_it_lies(tmp_path, pixels):
    path = write_ome_zarr(tmp_path / "embryo.zarr", pixels, "zyx")
    group = zarr.open_group(path)
    told = group.attrs["ome"]
    (multiscale,) = told["multiscales"]
    own = {"type": "translation", "translation": [0.0, 10.0, 20.0]}
    multiscale["datasets"][0]["coordinateTransformations"].append(own)
    multiscale["coordinateTransformations"] = [
        {"type": "scale", "scale": [1.0, 2.0, 2.0]},
        {"type": "translation", "translation": [7.0, 0.0, 1.0]},
    ]
    group.attrs["ome"] = told

    image = open_image(path)

    assert image.scale == (2.0, 1.0, 0.5)
    assert image.translation == (7.0, 20.0, 41.0)


def test_frames_have_the_geometry_of_rows_columns_and_what_they_run_along():
    def opened(shape, axes):
        sizes = {"z": 2.0, "y": 0.5, "x": 0.25}
        scale = tuple(sizes.get(axis, 1.0) for axis in axes)
        return OpenedImage("embryo", (np.zeros(shape),), axes, scale, ("um",) * len(axes))

    assert opened((1, 2, 3, 9, 9), "tczyx").geometry.scale == (2.0, 0.5, 0.25)
    assert opened((1, 2, 3, 9, 9), "tczyx").geometry.axes == "zyx"
    assert opened((5, 9, 9, 3), "qyxs").geometry.axes == "tyx"
    assert opened((1, 9, 9), "zyx").geometry.axes == "yx"


def test_channels_of_ome_zarr_are_the_last_axis_of_a_frame(tmp_path, pixels):
    stack = np.stack([pixels, pixels + 1])[:, :, None].swapaxes(0, 1)  # t, c, z, y, x
    path = write_ome_zarr(tmp_path / "embryo.zarr", stack, "tczyx")

    frames = open_image(path).frames()

    assert (frames.count, frames.channels) == (3, 2)
    np.testing.assert_array_equal(frames.read(1)[..., 1], pixels[1] + 1)


def test_a_stack_along_two_axes_is_refused_with_a_remedy(tmp_path, pixels):
    path = write_ome_zarr(tmp_path / "embryo.zarr", np.stack([pixels, pixels]), "tzyx")

    with pytest.raises(FramesError, match=r"t \(2\), z \(3\).*Save one of its stacks"):
        open_image(path).frames()


def test_only_chunks_of_a_window_are_read_from_ome_zarr(tmp_path, pixels):
    path = write_ome_zarr(tmp_path / "embryo.zarr", pixels, "tyx")
    for chunk in (path / "s0" / "c").glob("*/*/*"):
        if chunk.parts[-3:] != ("1", "1", "2"):
            chunk.write_bytes(b"broken")

    part = open_image(path).frames().read_window(1, Window(0, 16, 32, 16, 16))

    np.testing.assert_array_equal(part[..., 0], pixels[1, 16:32, 32:48])


def test_a_plate_is_refused_with_a_remedy(tmp_path):
    group = zarr.open_group(tmp_path / "plate.zarr", mode="w")
    group.attrs["ome"] = {"version": "0.5", "plate": {"wells": []}}

    with pytest.raises(FramesError, match="plate with many images: choose one of its fields"):
        open_image(tmp_path / "plate.zarr")


def test_the_first_image_of_a_converted_series_is_opened(tmp_path, pixels):
    path = tmp_path / "slide.zarr"
    write_ome_zarr(tmp_path / "one", pixels[0], "yx")
    zarr.open_group(path, mode="w").attrs["ome"] = {"bioformats2raw.layout": 3}
    shutil.move(tmp_path / "one", path / "0")

    np.testing.assert_array_equal(whole(open_image(path))[..., 0], pixels[0])


def test_a_plain_zarr_array_is_an_image(tmp_path, pixels):
    zarr.create_array(tmp_path / "plain.zarr", data=pixels, chunks=(1, 40, 50))

    image = open_image(tmp_path / "plain.zarr")

    np.testing.assert_array_equal(whole(image, 2)[..., 0], pixels[2])


def test_a_folder_without_an_image_is_said(tmp_path):
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text(json.dumps({"zarr_format": 9}))

    with pytest.raises(FramesError, match="holds no OME-Zarr image"):
        open_image(tmp_path / "empty.zarr")
    with pytest.raises(FramesError, match="cannot be read as an image"):
        open_image(tmp_path / "broken.zarr")


@pytest.fixture
def slide(tmp_path):
    """A pyramidal OME-TIFF of 300 x 400 pixels in three sizes."""
    data = np.random.default_rng(0).integers(0, 255, (300, 400), np.uint8)
    path = tmp_path / "slide.ome.tif"
    size = {"axes": "YX", "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25}
    with TiffWriter(path) as tiff:
        tiff.write(data, tile=(64, 64), subifds=2, metadata=size, compression="zlib")
        for step in (2, 4):
            tiff.write(data[::step, ::step], tile=(64, 64), subfiletype=1, compression="zlib")
    return path, data


def test_a_pyramidal_tiff_is_opened_with_its_sizes_and_its_scale(slide):
    path, data = slide

    image = open_image(path)

    assert (image.name, image.axes, image.scale) == ("slide", "yx", (0.5, 0.25))
    assert image.units == ("micrometer", "micrometer")
    frames = image.frames()
    assert frames.levels == ((300, 400), (150, 200), (75, 100))
    np.testing.assert_array_equal(frames.read(0)[..., 0], data)
    coarse = frames.read_window(0, Window(2, 10, 20, 30, 40))
    np.testing.assert_array_equal(coarse[..., 0], data[40:160:4, 80:240:4])
    image.close()


def test_frames_of_a_tiff_are_read_one_by_one(tmp_path, pixels):
    imwrite(tmp_path / "movie.tif", pixels, photometric="minisblack")

    image = open_image(tmp_path / "movie.tif")

    assert image.levels[0].chunks == (1, 40, 50)
    np.testing.assert_array_equal(whole(image, 1)[..., 0], pixels[1])
    image.close()


def test_channels_of_a_tiff_are_channels(tmp_path, pixels):
    stack = np.stack([pixels, pixels + 1], axis=1)
    imwrite(tmp_path / "movie.ome.tif", stack, metadata={"axes": "TCYX"})

    image = open_image(tmp_path / "movie.ome.tif")

    assert (image.frames().count, image.frames().channels) == (3, 2)
    np.testing.assert_array_equal(whole(image, 2)[..., 1], pixels[2] + 1)
    image.close()


@pytest.mark.parametrize("samples", [3, 4])
def test_colours_of_a_tiff_and_of_a_picture_are_kept(tmp_path, samples):
    photo = np.random.default_rng(0).integers(0, 255, (30, 40, samples), np.uint8)
    imwrite(tmp_path / "photo.tif", photo, photometric="rgb", extrasamples=(2,) * (samples - 3))
    imsave(tmp_path / "photo.png", photo, check_contrast=False)

    for name in ("photo.tif", "photo.png"):
        image = open_image(tmp_path / name)
        assert image.frames().is_rgb
        np.testing.assert_array_equal(whole(image), photo[..., :3])
        image.close()


@pytest.mark.parametrize("name", ["text.tif", "nothing.tif", "nothing.png"])
def test_a_file_that_is_no_image_is_said(tmp_path, name):
    (tmp_path / "text.tif").write_text("no image")

    with pytest.raises(FramesError, match=rf"{name} cannot be read as an image"):
        open_image(tmp_path / name)


def test_colours_of_a_picture_are_kept(tmp_path):
    imsave(tmp_path / "picture.png", np.full((8, 8, 3), 9, np.uint8), check_contrast=False)

    assert read_image(tmp_path / "picture.png").shape == (8, 8, 3)


def test_a_file_that_is_no_image_cannot_be_read(tmp_path):
    (tmp_path / "text.tif").write_text("no image")

    with pytest.raises(FramesError, match=r"text\.tif cannot be read"):
        read_image(tmp_path / "text.tif")
