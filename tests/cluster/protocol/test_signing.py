"""Signing: C2PA's own reader confirms it in every format and rendition, and finds whatever was changed afterwards."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pressrun.cluster.actors.finisher import Finisher
from pressrun.cluster.protocol import signing
from pressrun.cluster.protocol.signing import Signing, signing_of
from pressrun.cluster.protocol.spec import Finishing
from pressrun.cluster.protocol.unit import Item, Reference
from pressrun.cluster.store.opening import Place
from pressrun.jobs.finish.finish_file import refuse_signing
from pressrun.jobs.reports.inspection import inspect
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.pipeline.errors import JobError, SigningError
from pressrun.pipeline.finishing.codec import FORMATS, content_type, extension
from pressrun.pipeline.finishing.development_certificate import NAME, make_development_chain
from pressrun.pipeline.finishing.metadata import read_record
from pressrun.pipeline.finishing.provenance import Provenance
from pressrun.pipeline.finishing.renditions import Rendition
from pressrun.pipeline.finishing.spec import FinishingSpec
from pressrun.pipeline.request import RenderRequest
from tests.opening import stores

c2pa = pytest.importorskip("c2pa", reason="the extra “sign” is not installed")

PIXELS = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
RENDITIONS = tuple(Rendition(format, 64, 48, format=format) for format in FORMATS)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    made = make_development_chain()
    (folder / "chain.pem").write_bytes(made.chain)
    (folder / "key.pem").write_bytes(made.key)
    return folder


@pytest.fixture
def signer(chain: Path, monkeypatch: pytest.MonkeyPatch) -> Signing:
    monkeypatch.setenv(signing.CERTIFICATE, str(chain / "chain.pem"))
    monkeypatch.setenv(signing.KEY, str(chain / "key.pem"))
    monkeypatch.delenv(signing.COMMAND, raising=False)
    monkeypatch.setattr(signing, "_WAITS_SEC", ())
    return signing_of(os.environ)


def finisher(folder: Path, signer: Signing | None, format: str = "png") -> Finisher:
    place = Place(str(folder))
    place.open().prepare()
    spec = FinishingSpec(format, renditions=RENDITIONS, sign=True)
    return Finisher(Finishing(place, spec, "mini", "f00d" * 16, "fp32", "Pressrun 0.1.0", signer))


def item(format: str = "png", references: tuple[Reference, ...] = ()) -> Item:
    request = RenderRequest("mug 1", "a red mug", 128, 96, 4, 1.0, 7)
    return Item(0, request, f"images/mug.{extension(format)}", "render key", "finish key", references)


def as_c2pa_reads(path: Path, format: str) -> tuple[str, list[str], dict[str, Any]]:
    """State, what is wrong, and the active manifest, by C2PA's reader with its own settings."""
    reader = c2pa.Reader(content_type(format), io.BytesIO(path.read_bytes()))
    report = json.loads(reader.json())
    codes = [each["code"] for each in report.get("validation_status", [])]
    return reader.get_validation_state(), codes, report["manifests"][report["active_manifest"]]


@pytest.mark.parametrize("format", FORMATS)
def test_every_picture_is_signed_in_every_format_and_keeps_its_record(
    format: str, signer: Signing, tmp_path: Path
) -> None:
    outcome = finisher(tmp_path, signer, format).finish(item(format), PIXELS, "cpu")
    files = [(outcome.image, format, "")] + [(each.image, each.format, each.name) for each in outcome.renditions]
    for image, of_format, rendition in files:
        state, codes, manifest = as_c2pa_reads(tmp_path / image, of_format)
        assert (state, codes) == ("Valid", ["signingCredential.untrusted"])
        assert NAME in manifest["signature_info"]["common_name"]
        [actions] = [each["data"]["actions"] for each in manifest["assertions"] if "actions" in each["label"]]
        assert actions[0]["action"] == "c2pa.created"
        assert actions[0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
        record = read_record((tmp_path / image).read_bytes())
        assert record and record.is_of("mug 1", "render key", "finish key", rendition)


@pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not installed (Debian: libimage-exiftool-perl)"
)
def test_exiftool_reads_the_metadata_of_every_signed_picture_and_rendition(signer: Signing, tmp_path: Path) -> None:
    said = Provenance(creator="Ada Lovelace", copyright="© 2026 Example", alt_text="A mug", keywords=("mug", "red"))
    paths = []
    for format in FORMATS:
        outcome = finisher(tmp_path / format, signer, format).finish(
            replace(item(format), provenance=said), PIXELS, "cpu"
        )
        paths += [
            str(tmp_path / format / image) for image in (outcome.image, *(each.image for each in outcome.renditions))
        ]
    done = subprocess.run(["exiftool", "-json", "-G1", *paths], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert len(found) == len(FORMATS) * (1 + len(RENDITIONS))
    for each in found:
        assert (each["XMP-dc:Creator"], each["XMP-dc:Rights"]) == ("Ada Lovelace", "© 2026 Example"), each["SourceFile"]
        assert (each["XMP-dc:Subject"], each["XMP-iptcCore:AltTextAccessibility"]) == (["mug", "red"], "A mug")
        assert each["XMP-dc:Identifier"] == "mug 1"


def test_a_reference_photo_is_an_ingredient_and_makes_a_composite(signer: Signing, tmp_path: Path) -> None:
    reference = Reference("https://dam.example/a/shelf.jpg?token=secret", "ab" * 32, (8, 8))
    outcome = finisher(tmp_path, signer).finish(item(references=(reference,)), PIXELS, "cpu")
    _, _, manifest = as_c2pa_reads(tmp_path / outcome.image, "png")
    [ingredient] = manifest["ingredients"]
    assert (ingredient["title"], ingredient["relationship"]) == ("shelf.jpg", "inputTo")
    assert ingredient["instance_id"] == f"urn:sha256:{'ab' * 32}"
    assert "/compositeWithTrainedAlgorithmicMedia" in json.dumps(manifest)
    assert b"secret" not in (tmp_path / outcome.image).read_bytes()


def change_a_pixel(path: Path, format: str) -> None:
    """Flip a bit where a picture file holds its pixels."""
    data = bytearray(path.read_bytes())
    of_pixels = {"png": b"IDAT", "jpeg": b"\xff\xda", "webp": b"VP8 ", "avif": b"mdat"}[format]
    data[data.rindex(of_pixels) + 100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("format", FORMATS)
def test_a_pixel_that_is_changed_after_signing_is_found(format: str, signer: Signing, tmp_path: Path) -> None:
    outcome = finisher(tmp_path, signer, format).finish(item(format), PIXELS, "cpu")
    path = tmp_path / outcome.image
    assert inspect(stores(), str(path)).signature.state == "valid"
    change_a_pixel(path, format)
    state, codes, _ = as_c2pa_reads(path, format)
    assert state == "Invalid" and any("Hash.mismatch" in code for code in codes)
    assert inspect(stores(), str(path)).signature.state == "invalid"


def test_a_pixel_that_is_changed_in_a_signed_rendition_is_found(signer: Signing, tmp_path: Path) -> None:
    outcome = finisher(tmp_path, signer).finish(item(), PIXELS, "cpu")
    for rendition in outcome.renditions:
        path = tmp_path / rendition.image
        assert as_c2pa_reads(path, rendition.format)[0] == "Valid"
        change_a_pixel(path, rendition.format)
        state, codes, _ = as_c2pa_reads(path, rendition.format)
        assert state == "Invalid" and any("Hash.mismatch" in code for code in codes), rendition.name
    assert as_c2pa_reads(tmp_path / outcome.image, "png")[0] == "Valid"  # each is signed by itself


def pieces(data: bytes, format: str) -> list[bytes]:
    """A file's parts without the one that holds the signature, and without the places and sizes that depend on it."""
    found, at = [], {"png": 8, "jpeg": 2, "webp": 12, "avif": 0}[format]
    while at < len(data):
        if format == "jpeg":
            if data[at + 1] == 0xDA:
                return [*found, data[at:]]
            size, name = 2 + struct.unpack(">H", data[at + 2 : at + 4])[0], data[at : at + 2]
            signature = name == b"\xff\xeb"
        elif format == "png":
            size, name = 12 + struct.unpack(">I", data[at : at + 4])[0], data[at + 4 : at + 8]
            signature = name == b"caBX"
        elif format == "webp":
            length = struct.unpack("<I", data[at + 4 : at + 8])[0]
            size, name = 8 + length + length % 2, data[at : at + 4]
            signature = name == b"C2PA"
        else:
            size, name = struct.unpack(">I", data[at : at + 4])[0], data[at + 4 : at + 8]
            signature = name in (b"uuid", b"free")
        if not signature:
            found.append(data[at : at + size])
        at += size
    return found


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_row_has_the_same_bytes_but_for_the_one_part_that_holds_the_signature(
    format: str, signer: Signing, tmp_path: Path
) -> None:
    """PNG: every chunk but caBX. JPEG: every segment but APP11, and the scan. WebP: every chunk but C2PA. AVIF: every
    box but uuid and free. Of the picture and of its rendition in that format."""
    one, two = (finisher(tmp_path / name, signer, format).finish(item(format), PIXELS, "cpu") for name in "ab")
    renditions = [each.image for each in one.renditions if each.format == format]
    for image in (one.image, *renditions):
        first, second = ((tmp_path / name / image).read_bytes() for name in "ab")
        assert first != second
        assert pieces(first, format) == pieces(second, format)
        assert sum(map(len, pieces(first, format))) > 0.5 * (len(first) - 20_000)
    assert (len(renditions), two.image) == (1, one.image)


def test_a_picture_that_was_signed_before_is_left_as_it_is(signer: Signing, tmp_path: Path) -> None:
    first, again = (finisher(tmp_path, signer).finish(item(), PIXELS, "cpu") for _ in range(2))
    assert (again.status, again.sha256, again.renditions) == ("succeeded", first.sha256, first.renditions)


def command(tmp_path: Path, chain: Path, code: str) -> str:
    """A signing command in Python; `key` and `data` are there, as are `hashes` and `ec`."""
    script = tmp_path / "sign.py"
    script.write_text(
        "import sys\n"
        "from cryptography.hazmat.primitives import hashes, serialization\n"
        "from cryptography.hazmat.primitives.asymmetric import ec\n"
        f"key = serialization.load_pem_private_key(open({str(chain / 'key.pem')!r}, 'rb').read(), None)\n"
        f"data = sys.stdin.buffer.read()\n{code}\n"
    )
    return f"{sys.executable} {script}"


DER = "sys.stdout.buffer.write(key.sign(data, ec.ECDSA(hashes.SHA256())))"


def test_a_command_signs_in_place_of_a_key(
    signer: Signing, chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(signing.KEY)
    monkeypatch.setenv(signing.COMMAND, command(tmp_path, chain, DER))
    outcome = finisher(tmp_path, signing_of(os.environ)).finish(item(), PIXELS, "cpu")
    assert as_c2pa_reads(tmp_path / outcome.image, "png")[0] == "Valid"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("sys.exit('the safe is locked')", "ended with 1: the safe is locked", id="fails"),
        pytest.param("print('hello')", "is no signature", id="says something else"),
        pytest.param("sys.stdout.buffer.write(bytes(64))", "cannot be signed", id="a signature of nothing"),
    ],
)
def test_a_signer_that_fails_lets_nothing_out(
    code: str, said: str, signer: Signing, chain: Path, tmp_path: Path
) -> None:
    failing = replace(signer, key=b"", command=command(tmp_path, chain, code))
    with pytest.raises(SigningError, match=said):
        finisher(tmp_path, failing).finish(item(), PIXELS, "cpu")
    assert not (tmp_path / "images").exists()


def test_whatever_is_missing_is_said_before_anything_starts(
    signer: Signing, chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(signing.CERTIFICATE)
    monkeypatch.setenv(signing.KEY, "/nowhere.pem")
    with pytest.raises(JobError) as refused:
        signing_of(os.environ)
    assert len(refused.value.problems) == 2
    monkeypatch.setenv(signing.CERTIFICATE, str(chain / "chain.pem"))
    (tmp_path / "other.pem").write_bytes(make_development_chain().key)
    monkeypatch.setenv(signing.KEY, str(tmp_path / "other.pem"))
    with pytest.raises(JobError, match="cannot be signed"):
        signing_of(os.environ)


def test_a_store_that_may_replace_pictures_is_refused() -> None:
    class Careless:
        uri, conditional = "s3://old/ceph", False

    with pytest.raises(JobError, match="ignores If-None-Match"):
        refuse_signing(JobSpec("m", "o", sign=True), Careless())  # type: ignore[arg-type]
    refuse_signing(JobSpec("m", "o"), Careless())  # type: ignore[arg-type]


def test_no_secret_is_shown(signer: Signing) -> None:
    assert "PRIVATE" not in repr(signer)
