"""What is taken for a picture: headers, sizes, bombs, and any bytes at all."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import moving, picture, png_that_says
from PIL import Image

from sparkctl.agents.core.failure import Failure, Refused, TooLarge
from sparkctl.agents.images.check import FORMATS, Picture, check, facts, first_frame

MEDIA = {name: media for media, name in FORMATS.items()}


@pytest.mark.parametrize("kind", MEDIA)
def test_each_kind_is_known_by_its_bytes(kind: str) -> None:
    assert check(BytesIO(picture(kind, (37, 21)))) == Picture(MEDIA[kind], 37, 21)


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": Image.Exif().tobytes()}, {"quality": 10}])
def test_each_layout_of_webp_has_its_size(options: dict[str, object]) -> None:
    out = BytesIO()
    Image.effect_noise((301, 17), 90).convert("RGB").save(out, "WEBP", **options)
    assert check(out) == Picture("image/webp", 301, 17)


def test_a_jpeg_with_long_segments_before_its_frame_has_its_size() -> None:
    out = BytesIO()
    Image.new("RGB", (9, 8)).save(out, "JPEG", icc_profile=b"x" * 200_000, progressive=True)
    assert check(out) == Picture("image/jpeg", 9, 8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?><svg/>",
        b"%PDF-1.7",
        b"\x00" * 64,
        b"BM" + b"\x00" * 60,
        b"\xff\xd8\xff\xd9",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x00\x00\x00\x00WEBPVP8X",
        b"GIF89a",
        png_that_says(0, 5),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        check(BytesIO(data))


def test_a_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(TooLarge, match="60000 x 60000"):
        check(BytesIO(png_that_says(60_000, 60_000)))
    assert check(BytesIO(png_that_says(8_000, 5_000))) == Picture("image/png", 8_000, 5_000)
    with pytest.raises(TooLarge):
        check(BytesIO(png_that_says(8_000, 5_001)))


def test_a_gif_whose_frame_is_larger_than_its_screen_is_refused() -> None:
    data = bytearray(picture("GIF", (4, 3)))
    at = data.index(b"\x2c\x00\x00\x00\x00\x04\x00\x03\x00")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    with pytest.raises((TooLarge, Refused)):
        check(BytesIO(bytes(data)))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_of_a_moving_picture_the_first_frame_is_shown(kind: str) -> None:
    still = first_frame(moving(kind), MEDIA[kind])
    assert still is not None
    image = Image.open(BytesIO(still))
    assert (image.format, getattr(image, "n_frames", 1)) == ("PNG", 1)
    red, green, blue = image.convert("RGB").getpixel((1, 1))
    assert red > 200 and green < 60 and blue < 60
    assert first_frame(picture(kind), MEDIA[kind]) is None


def test_a_file_tells_its_metadata() -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    out = BytesIO()
    Image.new("L", (4, 3)).save(out, "JPEG", exif=exif, dpi=(72, 72))
    found = facts(out.getvalue(), "image/jpeg")
    assert found == {"mode": "L", "frames": "1", "dpi": "(72, 72)", "exif": {"Make": "Maker"}}


@given(st.sampled_from(sorted(MEDIA)), st.binary(max_size=80), st.integers(0, 400), st.integers(0, 200))
def test_damaged_pictures_are_refused_and_nothing_else_happens(kind: str, noise: bytes, at: int, cut: int) -> None:
    whole = bytearray(picture(kind, (30, 20)))
    whole[at : at + len(noise)] = noise
    data = bytes(whole[: len(whole) - cut])
    try:
        found = check(BytesIO(data))
        first_frame(data, found.media)
        facts(data, found.media)
    except Failure:
        return
    assert found.width * found.height <= 40_000_000
