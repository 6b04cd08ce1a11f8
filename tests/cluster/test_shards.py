"""What a shard says of itself when it cannot work."""

from pathlib import Path

from cluster.shards import ShardActor
from cluster.spec import ModelSpec


def test_a_shard_without_its_model_says_so_and_names_no_folder_of_its_host(tmp_path: Path) -> None:
    folder = tmp_path / "secret-project"
    (folder / "transformer").mkdir(parents=True)
    _, problem, _ = ShardActor(ModelSpec(str(folder), "", "fp32"), 0, 2).ready()
    assert "model_index.json" in problem and str(tmp_path) not in problem
