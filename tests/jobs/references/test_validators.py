"""What a job notes of its references: enough to tell tonight's apart, nothing that is secret."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.jobs.folder.job_file import REFERENCES
from pressrun.jobs.references.validators import Stamped, noted_as, read_stamped, write_stamped
from pressrun.jobs.reuse.comparison import noted_digests
from tests.opening import open_store

SIGNED = [f"https://dam.example/mug.png?id={number}&X-Amz-Signature=CANARY" for number in range(2)]


def test_a_presigned_reference_is_known_again_and_its_signature_is_not_noted(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    uris = [*SIGNED, "https://dam.example/cup.png", f"{tmp_path}/mug?.png"]
    write_stamped(store, {noted_as(uri): Stamped(f"digest {place}") for place, uri in enumerate(uris)})
    table = pa.table({"references": [[uri] for uri in uris]})
    assert list(noted_digests(table, read_stamped(store))) == [[f"digest {place}"] for place in range(4)]
    assert "CANARY" not in str(pq.read_table(tmp_path / REFERENCES).to_pylist())
    assert noted_as(uris[2]) == uris[2] and noted_as(uris[3]) == uris[3]
