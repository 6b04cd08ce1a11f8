"""What the flow network is trained on: batches of every kind, and the arithmetic that the pipeline will use."""

import random
from collections import Counter
from pathlib import Path

import pytest
import torch

from pressrun.pipeline.mini.training import batches
from pressrun.pipeline.mini.training.architecture import TEXT_LAYERS, TEXT_LENGTH, build_pipeline
from pressrun.pipeline.mini.training.batches import KINDS, MOST, NOTHING, UNSAID, Planner, assemble, shares, tokenise
from pressrun.pipeline.mini.training.dataset import SHAPES, SMALL
from pressrun.pipeline.mini.training.export import MODEL_FOLDER, export, load
from pressrun.pipeline.mini.training.latents import Latents
from pressrun.pipeline.mini.training.optimiser import orthogonalise
from pressrun.pipeline.mini.training.scenes import training_scenes
from pressrun.pipeline.mini.training.tokenizer import train_tokenizer
from pressrun.pipeline.mini.training.train_autoencoder import load_autoencoder
from pressrun.pipeline.mini.training.train_flow import FlowModel, loss_of, start_from
from pressrun.pipeline.mini.training.vocabulary import ATTRIBUTES


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def shelves() -> list[Latents]:
    """Drawings of all small shapes and of one middle one, with noise for latents."""
    return [
        Latents(w, h, training_scenes(3000, seed=i), torch.randn(3000, w * h // 256, 128).bfloat16())
        for i, (w, h) in enumerate(SHAPES[:4])
    ]


@pytest.fixture
def planner(shelves, tokenizer) -> Planner:
    return Planner(shelves, tokenizer, 2048)


def test_pictures_are_small_first_and_of_every_shape_later() -> None:
    early, late = shares(0.1), shares(0.9)
    assert sum(early[shape] for shape in SMALL) > 0.8 and sum(late[shape] for shape in SMALL) < 0.5
    assert set(late) == set(SHAPES)
    assert sum(early.values()) == pytest.approx(1) and sum(late.values()) == pytest.approx(1)


def test_a_good_part_of_the_batches_has_references_and_some_numbers_have_gaps(planner) -> None:
    rng = random.Random(0)
    plans = [planner.plan(rng, 0.1) for _ in range(60)]
    counts = Counter(len(plan.shown) for plan in plans)
    assert sum(counts[k] for k in (1, 2, 3, 4)) >= 0.3 * len(plans) and max(counts) <= 4
    numbers = {shown.number for plan in plans for shown in plan.shown}
    assert max(numbers) > 4 and max(numbers) <= MOST


def test_a_batch_stays_within_its_tokens(planner, shelves) -> None:
    rng = random.Random(1)
    for _ in range(20):
        plan = planner.plan(rng, 0.9)
        batch = assemble(plan, shelves)
        length = batch.target.shape[1] + batch.references.shape[1]
        assert len(plan.rows) * (length + TEXT_LENGTH) <= 2048
        assert batch.positions.shape == (length, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_references_show_what_the_words_leave_out(kind: str, shelves, tokenizer, monkeypatch) -> None:
    monkeypatch.setattr(batches, "KINDS", {kind: 1.0})
    monkeypatch.setattr(batches, "NUMBERS", (2,))
    plan = Planner(shelves, tokenizer, 2048, referred=1.0).plan(random.Random(2), 0.1)
    names = list(ATTRIBUTES.items())
    for row, target in enumerate(plan.rows.tolist()):
        wanted = shelves[plan.shelf].scenes[target]
        references = [shelves[shown.shelf].scenes[int(shown.rows[row])] for shown in plan.shown]
        for (what, values), label in zip(names, plan.labels[row].tolist(), strict=True):
            if label != UNSAID:
                assert values[label] == getattr(wanted, what)
            else:
                assert getattr(wanted, what) in {getattr(reference, what) for reference in references}


def test_some_captions_ask_for_nothing(shelves, tokenizer, monkeypatch) -> None:
    monkeypatch.setattr(batches, "NOTHING_SHARE", 1.0)
    plan = Planner(shelves, tokenizer, 2048, referred=0.0).plan(random.Random(3), 0.1)
    assert set(plan.captions) == {NOTHING} and bool((plan.labels == UNSAID).all())


@pytest.mark.parametrize("guidance", [0.0, 0.4])
def test_every_kind_of_batch_can_be_trained_on(guidance: float, planner, shelves, tokenizer) -> None:
    model = FlowModel(tokenizer)
    rng = random.Random(4)
    for _ in range(4):
        model.zero_grad()
        loss = loss_of(model, assemble(planner.plan(rng, 0.5), shelves), guidance)
        loss.backward()
        assert torch.isfinite(loss)
        assert model.transformer.proj_out.weight.grad.abs().sum() > 0


def test_the_training_forward_is_the_pipelines(shelves, tokenizer, monkeypatch) -> None:
    """Given the same weights, noise and prompt, training predicts the flow that the pipeline integrates."""
    pipeline = build_pipeline(tokenizer)
    pipeline.set_progress_bar_config(disable=True)
    model = FlowModel(tokenizer).eval()
    model.transformer.load_state_dict(pipeline.transformer.state_dict())
    model.text_encoder.load_state_dict(pipeline.text_encoder.state_dict())
    monkeypatch.setattr(batches, "shares", lambda *_progress: {(128, 128): 1.0})
    batch = assemble(Planner(shelves, tokenizer, 224, referred=0.0).plan(random.Random(0), 0.0), shelves)
    noise = torch.randn(len(batch.captions), 128, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        flow, *_ = model(batch, noise.flatten(2).transpose(1, 2), torch.ones(len(noise)))
    seen = {}
    pipeline(
        prompt=batch.captions,
        latents=noise,
        num_inference_steps=1,
        width=128,
        height=128,
        guidance_scale=1.0,
        max_sequence_length=TEXT_LENGTH,
        text_encoder_out_layers=TEXT_LAYERS,
        output_type="latent",
        callback_on_step_end=lambda pipe, step, time, state: seen.update(latents=state["latents"]) or {},
    )
    torch.testing.assert_close(seen["latents"], noise.flatten(2).transpose(1, 2) - flow, atol=2e-4, rtol=1e-3)


def test_training_can_start_from_an_earlier_model(tokenizer, tmp_path: Path) -> None:
    earlier = build_pipeline(tokenizer, seed=5)
    export(earlier, tmp_path / "model")
    model = FlowModel(tokenizer)
    start_from(model, tokenizer, tmp_path / "model")
    again = load(tmp_path / "model", torch.float32)
    for name in ("transformer", "text_encoder"):
        mine = model.get_submodule(name).state_dict()
        for key, value in getattr(again, name).state_dict().items():
            torch.testing.assert_close(mine[key], value, msg=key)


def test_the_autoencoder_is_that_of_a_run_or_of_a_model(tmp_path: Path) -> None:
    shipped = load_autoencoder(MODEL_FOLDER)
    torch.save({"average": shipped.state_dict()}, tmp_path / "autoencoder.pt")
    for found in (load_autoencoder(tmp_path), load(dtype=torch.float32).vae):
        for name, value in found.state_dict().items():
            torch.testing.assert_close(value, shipped.state_dict()[name], msg=name)


def test_a_caption_is_padded_to_the_models_length(tokenizer) -> None:
    ids, mask = tokenise(tokenizer, ["a red mug", "砂浜の赤いマグカップ、冬"])
    assert ids.shape == mask.shape == (2, TEXT_LENGTH)


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    for shape in ((3, 40, 24), (3, 24, 40)):
        values = torch.linalg.svdvals(
            orthogonalise(torch.randn(*shape, generator=torch.Generator().manual_seed(0))).float()
        )
        assert values.min() > 0.4 and values.max() < 1.4
