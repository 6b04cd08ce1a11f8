"""Fonts and logos: the bytes that a copy spec names, read and checked where a job is ordered.

They travel with the spec, and their digests are part of it: a font or logo that is replaced is another finish.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from PIL import Image

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.overlay.copy_spec import CopySpec
from pressrun.pipeline.overlay.fonts import check_font, check_type_can_be_set, is_file, packaged_font
from pressrun.pipeline.references.png_chunks import pixels_alone

MAX_LOGO_PIXELS = 16_000_000
_LOGO_FORMATS = ("PNG", "WEBP", "JPEG")


def with_assets(copy: CopySpec, read: Callable[[str], bytes]) -> CopySpec:
    """A spec with the fonts and logos that it names, `read` where they are files, and their digests.

    Raises JobError with every one that cannot be had.
    """
    check_type_can_be_set()
    assets: dict[str, bytes] = {}
    problems: list[str] = []
    fonts = {(text.font, text.weight) for text in copy.texts if text.font}
    fonts |= {(font, text.weight) for text in copy.texts for _, font in copy.fonts}
    for font, weight in sorted(fonts):
        try:
            data = read(font) if is_file(font) else packaged_font(font, weight)
            check_font(data, font)
            assets[font_name(font, weight)] = data
        except JobError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    for file in dict.fromkeys(file for logo in copy.logos for file in logo.files):
        try:
            assets[file] = read(file)
            read_logo(assets[file], file)
        except JobError as error:
            problems += error.problems
    if problems:
        raise JobError(*problems, code="bad_finish_spec")
    digests = tuple((name, sha256(data).hexdigest()) for name, data in sorted(assets.items()))
    return replace(copy, digests=digests, assets=assets)


def font_name(font: str, weight: int) -> str:
    """What the bytes of a font go by: a family may have a file for each weight."""
    return f"{font}@{weight}"


def read_logo(data: bytes, file: str) -> Image.Image:
    """A logo's pixels with their opacity. Raises JobError for bytes that are none."""
    try:
        with Image.open(io.BytesIO(pixels_alone(data)[0]), formats=_LOGO_FORMATS) as picture:
            if picture.width * picture.height > MAX_LOGO_PIXELS:
                raise JobError(
                    f"The logo {file} has more than {MAX_LOGO_PIXELS:,} pixels; make it smaller.",
                    code="bad_finish_spec",
                )
            return picture.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise JobError(
            f"The logo {file} is no picture that can be read (PNG, WebP or JPEG).", code="bad_finish_spec"
        ) from None
