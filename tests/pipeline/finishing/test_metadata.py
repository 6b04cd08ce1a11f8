"""The record in a picture: it survives every format and every custom_id, and foreign pictures have none."""

import io
from dataclasses import replace

import numpy as np
import pytest
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pressrun.pipeline.finishing.codec import FORMATS, encode_picture
from pressrun.pipeline.finishing.metadata import Record, head_bytes, read_record, write_xmp

RECORD = Record(
    custom_id="mug/spring-1",
    seed=2**63 - 1,
    render_key="0123456789abcdef" * 4,
    model="mini",
    model_digest="fedcba9876543210" * 4,
    device="cpu (avx512), torch 2.13.0",
    precision="fp32",
    generator="Pressrun 0.1.0",
)
PIXELS = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)


def _picture(record: Record, format: str = "png") -> bytes:
    return encode_picture(PIXELS[:8, :8], format, write_xmp(record))


@pytest.mark.parametrize("format", FORMATS)
def test_a_record_survives_in_the_head_of_every_format(format: str) -> None:
    data = encode_picture(PIXELS, format, write_xmp(RECORD))
    assert read_record(data) == RECORD
    assert read_record(data[: head_bytes(format)]) == RECORD


@given(st.text())
def test_every_custom_id_survives(custom_id: str) -> None:
    record = replace(RECORD, custom_id=custom_id)
    assert read_record(_picture(record)) == record


@pytest.mark.parametrize(
    "custom_id",
    [
        pytest.param("", id="empty"),
        pytest.param(" \t a \r\n ", id="white-space"),
        pytest.param("\0\x1f\x7f\x85\u2028\ufffe\uffff", id="control"),
        pytest.param("\ud83d\ude00\udfff", id="lone-surrogates"),
        pytest.param("<&>\"']]><?xpacket end?>", id="markup"),
        pytest.param("percent:%41", id="our-own-escape"),
        pytest.param("{rdf}{0}%s", id="templates"),
        pytest.param("‮Größe-⁦😀", id="bidi-and-astral"),
    ],
)
@pytest.mark.parametrize("format", FORMATS)
def test_difficult_custom_ids_survive(format: str, custom_id: str) -> None:
    record = replace(RECORD, custom_id=custom_id)
    assert read_record(_picture(record, format)) == record


def test_others_read_the_mark_and_the_name() -> None:
    with Image.open(io.BytesIO(_picture(replace(RECORD, custom_id="Größe 100% & mehr")))) as picture:
        packet = picture.info["xmp"]
    found = {element.tag: element.text for element in ElementTree.fromstring(packet).iter()}
    iptc = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
    mark = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert found[f"{iptc}DigitalSourceType"] == mark
    assert found[f"{iptc}AISystemUsed"] == "mini"
    assert found[f"{iptc}AISystemVersionUsed"] == RECORD.model_digest
    assert found["{http://purl.org/dc/elements/1.1/}identifier"] == "Größe 100% & mehr"
    assert found["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == "Pressrun 0.1.0"


def test_a_composite_is_marked_as_one() -> None:
    packet = write_xmp(RECORD, "compositeWithTrainedAlgorithmicMedia")
    assert b"/digitalsourcetype/compositeWithTrainedAlgorithmicMedia<" in packet


def test_the_same_record_gives_the_same_bytes() -> None:
    assert write_xmp(RECORD) == write_xmp(replace(RECORD))
    assert Record("a", 1, "k", "m", "d", "cpu", "fp32").generator.startswith("Pressrun")


def _with_packet(packet: bytes) -> bytes:
    return encode_picture(PIXELS[:8, :8], "jpeg", packet)


_BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no picture", id="text"),
        pytest.param(_with_packet(b""), id="no-xmp"),
        pytest.param(_with_packet(b"<x:xmpmeta"), id="broken-xml"),
        pytest.param(_with_packet(b"<a/>"), id="foreign-xml"),
        pytest.param(_with_packet(_BOMB), id="entities"),
        pytest.param(
            _with_packet(write_xmp(RECORD).replace(b"pressrun:renderKey", b"pressrun:other")), id="incomplete"
        ),
        pytest.param(_with_packet(write_xmp(RECORD).replace(b"9223372036854775807", b"many")), id="seed-no-number"),
        pytest.param(_with_packet(write_xmp(RECORD).replace(b">mug/spring-1<", b">percent:%FF<")), id="broken-escape"),
        pytest.param(_picture(RECORD)[:200], id="cut-off"),
    ],
)
def test_foreign_and_broken_pictures_have_no_record(data: bytes) -> None:
    assert read_record(data) is None


@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_flipped_byte_is_never_an_exception(position: int, value: int) -> None:
    data = bytearray(_picture(RECORD, "webp"))
    data[position % len(data)] = value
    read_record(bytes(data))
