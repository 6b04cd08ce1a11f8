"""A model actor by itself, in this process: what it does while it computes."""

import threading
from typing import Any

import pytest

import pressrun.pipeline.families.flux2.sampling
from pressrun.cluster.actors.actors import ModelActor
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.protocol.unit import Item, Unit
from pressrun.pipeline.families.flux2.renderer import STAGES
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import find_model, model_digest
from pressrun.pipeline.request import RenderRequest


def test_a_unit_is_prepared_while_another_one_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.freeze", lambda: None)  # an actor's process is its own, this one is not
    actor = ModelActor(ModelSpec("mini", model_digest(find_model("mini")), "fp32", STAGES))
    request = RenderRequest("mug", "a red mug", 64, 64, 1, 1.0, 7)
    embedding, _ = actor.encode_prompts([request.prompt])
    unit = Unit(0, Shape(64, 64, 1, 1.0, 0, 8, False), (Item(0, request, "images/mug.png", "k", "f"),), 1)
    drawn, really = threading.Event(), pressrun.pipeline.families.flux2.sampling.noise

    def noise(*arguments: Any) -> Any:
        drawn.set()
        return really(*arguments)

    monkeypatch.setattr("pressrun.pipeline.families.flux2.sampling.noise", noise)
    answers = []
    call = threading.Thread(target=lambda: answers.append(actor.denoise(unit, embedding)))
    with actor._compute:  # another unit is being computed
        call.start()
        assert drawn.wait(20)
        assert not answers
    call.join()
    [(latents, report)] = answers
    assert latents.shape[0] == 1 and report.batch == 1
