"""Fonts: open families out of installed font packages, or a customer's own files, and which letters they have.

A font's bytes are read once, where a job is ordered, and travel with it: the same type is set on every machine. Where
it is used, the bytes lie in a file without a name, because FreeType maps a file but copies memory for every size.
"""

import importlib.util
import os
import tempfile
import threading
import unicodedata
import weakref
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import ImageFont, features

from pressrun.pipeline.errors import JobError

CJK = {f"Noto Sans CJK {place}": index for index, place in enumerate(("JP", "KR", "SC", "TC", "HK"))}
"""Faces of the one collection that has Chinese, Japanese and Korean, by family."""

_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
_NEEDED = ("fontpkg", "manimgx_fonts_cjk", "fontTools", "uniseg", "budoux")


def check_type_can_be_set() -> None:
    """Raise JobError where the packages that setting type needs are not installed."""
    missing = [name for name in _NEEDED if not importlib.util.find_spec(name)]
    if missing:
        raise JobError(
            "Setting type needs packages that are not installed: pip install 'pressrun[copy]'.", code="missing_extra"
        )
    if not features.check("raqm"):
        raise JobError(
            "This build of Pillow cannot shape text (no Raqm): install Pillow's own wheel from PyPI.",
            code="environment",
        )


def is_file(font: str) -> bool:
    """Whether a font is named by its file rather than by its family."""
    return Path(font).suffix.lower() in _ENDINGS


def packaged_font(family: str, weight: int) -> bytes:
    """The bytes of a family's file, the one nearest to `weight` if it has several. Raises JobError for none."""
    if family in CJK:
        import manimgx_fonts_cjk

        return (Path(manimgx_fonts_cjk.__file__).parent / "NotoSansCJK-VF.otf.ttc").read_bytes()
    import fontpkg

    try:
        return Path(fontpkg.path(family, weight, nearest=True)).read_bytes()
    except fontpkg.FontpkgError:
        known = sorted([*CJK, *(each.name for each in _installed(fontpkg))])
        raise JobError(
            f"There is no font “{family}” here; there are {', '.join(known)}. Install its package "
            f"(pip install fontpkg-{family.lower().replace(' ', '-')}), or name a file (.ttf, .otf).",
            code="bad_finish_spec",
        ) from None


def _installed(fontpkg: Any) -> list[Any]:
    found = fontpkg.families()
    return list(found.values()) if isinstance(found, dict) else list(found)


class Fonts:
    """Fonts by name, ready to be measured and drawn with; `files` are their bytes. Safe for threads."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {name: _unnamed(data) for name, data in files.items()}
        for file in self._files.values():
            weakref.finalize(self, os.close, file)
        self._local = threading.local()  # FreeType's faces are not to be shared by threads

    def face(self, name: str, font: str, size: int, weight: int) -> ImageFont.FreeTypeFont:
        """A font at a size in pixels; `name` is what its bytes go by, `font` what the spec calls it."""
        faces = self._local.__dict__.setdefault("faces", lru_cache(64)(self._open))
        face: ImageFont.FreeTypeFont = faces(name, CJK.get(font, 0), size, weight)
        return face

    def missing(self, name: str, font: str, text: str) -> str:
        """The characters of `text` that the font has no glyph for, each once."""
        known = self._local.__dict__.setdefault("known", lru_cache(16)(self._characters))
        letters = (sign for sign in dict.fromkeys(text) if unicodedata.category(sign) not in ("Cf", "Cc", "Zs", "Zl"))
        return "".join(sign for sign in letters if ord(sign) not in known(name, CJK.get(font, 0)))

    def _open(self, name: str, index: int, size: int, weight: int) -> ImageFont.FreeTypeFont:
        path = _path(self._files[name])
        face = ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.RAQM)
        try:
            axes = face.get_variation_axes()
        except OSError:  # one weight only
            return face
        wanted = {b"Weight": weight, b"Optical size": size}
        face.set_variation_by_axes([_within(axis, wanted.get(axis["name"] or b"")) for axis in axes])
        return face

    def _characters(self, name: str, index: int) -> frozenset[int]:
        from fontTools.ttLib import TTFont

        with Path(_path(self._files[name])).open("rb") as file:
            return frozenset(TTFont(file, fontNumber=index, lazy=True).getBestCmap())


def _within(axis: Any, wanted: int | None) -> int:
    """A place on a font's axis: the one that is wanted, as far as the axis reaches; else its default."""
    return int(axis["default"] if wanted is None else min(max(wanted, axis["minimum"]), axis["maximum"]))


def check_font(data: bytes, where: str) -> None:
    """Raise JobError for bytes that are no font."""
    file = _unnamed(data)
    try:
        ImageFont.truetype(_path(file), 20)
    except OSError:
        raise JobError(f"{where} is no font that can be read (TrueType or OpenType).", code="bad_finish_spec") from None
    finally:
        os.close(file)


def _unnamed(data: bytes) -> int:
    """The descriptor of a file that holds `data` and that nobody else can find."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return os.dup(file.fileno())


def _path(file: int) -> str:
    return f"/dev/fd/{file}"
