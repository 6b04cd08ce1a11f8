"""The seam for families of models: everybody outside a family's folder asks through it."""

import ast
from pathlib import Path

import pytest

from pressrun.pipeline.families.family import family_of
from pressrun.pipeline.models.catalogue import catalogue

ROOT = Path(__file__).resolve().parents[3]
FAMILIES = [path.name for path in (ROOT / "pipeline/families").iterdir() if (path / "family.py").exists()]
OUTSIDE = [
    path
    for package in ("pipeline", "cluster", "jobs")
    for path in sorted((ROOT / package).rglob("*.py"))
    if not path.is_relative_to(ROOT / "pipeline/families") and "training" not in path.parts
]


@pytest.mark.parametrize("name", catalogue())
def test_every_model_of_the_catalogue_has_a_family_that_answers_for_it(name: str) -> None:
    model = catalogue()[name]
    shape = family_of(model).shape(model, 1024, 768, model.steps, model.guidance, 0)
    footprint = family_of(model).footprint(model)
    assert (shape.width, shape.height) == (1024, 768) and footprint is not None
    assert footprint.weights(("denoise",), model.precision) > 0
    halves = footprint.cut(2)
    assert [halves[0].start, halves[1].stop] == [0, len(footprint.blocks)] and halves[0].stop == halves[1].start


def test_nobody_outside_imports_a_family_or_asks_which_one_a_model_is_of() -> None:
    for path in OUTSIDE:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pressrun.pipeline.families."):
                assert node.module.split(".")[3] not in FAMILIES, f"{path} imports {node.module}"
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                names = [side.value for side in sides if isinstance(side, ast.Constant)]
                asks = any(isinstance(side, ast.Attribute) and side.attr == "family" for side in sides)
                assert not (asks and names), f"{path}:{node.lineno} asks for a family by name"
