"""Provenance: exiftool, which is not ours, reads it in every format."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pressrun.pipeline.finishing.codec import FORMATS, encode_picture, extension
from pressrun.pipeline.finishing.metadata import COMPOSITE, Record, read_properties, read_record, write_xmp
from pressrun.pipeline.finishing.provenance import Provenance

RECORD = Record("mug-1", 7, "k" * 64, "mini", "d" * 64, "cpu", "fp32", "Pressrun 0", "f" * 64, "hero")
SAID = Provenance(
    title="Tasse <rot> & groß",
    creator="Ada Lovelace",
    copyright="© 2026 Example",
    rights="Only for the autumn campaign\nand nothing else",
    alt_text="A red mug on a wooden table\x07",
    source="dam:4711",
    keywords=("mug", "red & white"),
    prompt="a red mug",
)
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not installed (Debian: libimage-exiftool-perl)"
)


def as_exiftool_reads(path: Path) -> dict[str, Any]:
    command = ["exiftool", "-json", "-G1", "-struct", "-api", "LargeFileSupport=1", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [found] = json.loads(done.stdout)
    return found


@exiftool
@pytest.mark.parametrize("format", FORMATS)
def test_exiftool_reads_every_field_in_every_format(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"mug.{extension(format)}"
    path.write_bytes(encode_picture(PIXELS, format, write_xmp(RECORD, COMPOSITE, SAID.given)))
    found = as_exiftool_reads(path)
    assert found["XMP-dc:Title"] == SAID.title
    assert found["XMP-dc:Creator"] == [SAID.creator] or found["XMP-dc:Creator"] == SAID.creator
    assert found["XMP-dc:Rights"] == SAID.copyright
    assert found["XMP-xmpRights:UsageTerms"] == SAID.rights
    assert found["XMP-dc:Subject"] == list(SAID.keywords)
    assert found["XMP-iptcCore:AltTextAccessibility"] == SAID.alt_text.rstrip("\x07")
    assert found["XMP-dc:Source"] == SAID.source
    assert found["XMP-dc:Identifier"] == "mug-1"
    assert COMPOSITE in found["XMP-iptcExt:DigitalSourceType"]
    others = {name.partition(":")[2]: value for name, value in found.items()}  # newer than Debian's exiftool
    assert (others["AISystemUsed"], others["AISystemVersionUsed"]) == ("mini", "d" * 64)
    assert others["AIPromptInformation"] == SAID.prompt


def test_what_is_empty_is_left_out_and_the_record_is_read_as_before() -> None:
    data = encode_picture(PIXELS, "png", write_xmp(RECORD, provenance=Provenance(title="A mug").given))
    said = read_properties(data)
    assert said["dc:title"] == "A mug"
    assert not {"dc:creator", "dc:rights", "dc:subject", "dc:source", "Iptc4xmpExt:AIPromptInformation"} & set(said)
    assert read_record(data) == RECORD


def test_our_own_reader_gives_lists_back() -> None:
    said = read_properties(encode_picture(PIXELS, "webp", write_xmp(RECORD, COMPOSITE, SAID.given)))
    assert said["dc:subject"] == list(SAID.keywords)
    assert said["dc:creator"] == [SAID.creator]
