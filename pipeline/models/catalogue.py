"""Models: which ones Pressrun knows, where their files lie, what they can do, and the digest of what they are.

A model is a folder in Hugging Face layout (`model_index.json`, safetensors only). The catalogue says the rest: the
recipe that the folder does not hold (text length, layers, caps) and the defaults of rows that name none.
"""

import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.digests import INDEX, OVERRIDES_FILE, check_digests, file_digests
from pressrun.pipeline.models.locations import MODELS_VARIABLE, folder_of
from pressrun.pipeline.models.weights import check_weights

FAMILIES = {"Flux2Pipeline": "flux2", "Flux2KleinPipeline": "flux2-klein"}
"""Family by the `_class_name` in `model_index.json`."""
_TEXT_LAYERS = {"flux2": (10, 20, 30), "flux2-klein": (9, 18, 27)}
"""The text encoder's layers that a family's prompts are read from, unless a folder says otherwise."""


RECIPE = ("family", "reference_pixels", "text_length", "text_layers", "distilled")
"""Fields that decide pixels although no file of the model's folder holds them."""


@dataclass(frozen=True)
class Model:
    """A model that can be rendered with, or could be if it were on disk (`folder` is None where it is not).

    `family` is "flux2" ([dev]: Mistral 3 reads the prompt, guidance is an input) or "flux2-klein" (Qwen 3; guidance by
    two passes, or none where `distilled`). `steps`, `guidance`, `width` and `height` are the defaults of a row that
    names none. `max_side` is in pixels, None for no limit beside `max_pixels`; `reference_pixels` caps the area of one
    reference. `text_length` is in tokens; `text_layers` are the hidden states that make up a prompt's embedding.
    `blocks` tell the architecture: the transformer's double blocks, single blocks and heads. `licence_url` is where the
    licence can be read; one that is `non_commercial` has to be accepted by whoever renders.
    `precision` is what a job takes that names none. One picture of default size and steps takes `picture_seconds` on
    a `picture_device` (0.0: not known). `…_bytes` are of the weights in bfloat16, 0 where nobody has
    counted them; of the text encoder's, `text_encoder_held_bytes` are those that embeddings are made with.
    """

    name: str
    family: str
    repo: str = ""
    revision: str = ""
    licence: str = "unknown"
    licence_url: str = ""
    non_commercial: bool = False
    steps: int = 50
    guidance: float = 4.0
    width: int = 1024
    height: int = 1024
    max_pixels: int = 4 * 1024 * 1024
    max_side: int | None = None
    max_references: int = 10
    reference_pixels: int = 1024 * 1024
    text_length: int = 512
    text_layers: tuple[int, ...] = (9, 18, 27)
    distilled: bool = False
    blocks: tuple[int, ...] = ()
    precision: str = "bf16"
    picture_seconds: float = 0.0
    picture_device: str = ""
    transformer_bytes: int = 0
    text_encoder_bytes: int = 0
    text_encoder_held_bytes: int = 0
    autoencoder_bytes: int = 0
    folder: Path | None = None

    @property
    def bytes(self) -> int:
        """All weights in bfloat16."""
        return self.transformer_bytes + self.text_encoder_bytes + self.autoencoder_bytes

    @property
    def path(self) -> Path:
        """The folder of a model that `find_model` has found."""
        if self.folder is None:
            raise ValueError(f"{self.name} is not on disk; find_model() says so in a sentence")
        return self.folder


def catalogue() -> dict[str, Model]:
    """Every model that has a name, in the order of `models.toml`; `folder` is set for those that are on disk: in the
    package, under `PRESSRUN_MODELS`, or at the pinned revision in the Hugging Face hub's own cache."""
    package = Path(__file__).parents[1]
    models = {}
    for name, table in tomllib.loads(Path(__file__).with_name("models.toml").read_text(encoding="utf-8")).items():
        packaged = table.pop("folder", None)
        model = Model(name=name, **_typed(table, "models.toml"))
        folder = package / packaged if packaged else folder_of(name, model.repo, model.revision)
        models[name] = _with_overrides(replace(model, folder=folder)) if folder else model
    return models


def look_up(name_or_folder: str) -> Model:
    """The model of that name or in that folder, as far as it is known without looking at its files; `folder` is None
    for one that is not on this machine.

    Raises JobError: there is no such name or folder.
    """
    known = catalogue()
    folder = Path(os.path.expanduser(name_or_folder))  # noqa: PTH111
    model = known.get(name_or_folder)
    if model is None and folder.is_dir():
        places = {entry.folder.resolve(): entry for entry in known.values() if entry.folder}
        model = places.get(folder.resolve()) or _recognised(folder, known)
    if model is None:
        raise JobError(_unknown(name_or_folder, known), code="missing_model")
    return model


def find_model(name_or_folder: str) -> Model:
    """The model of that name or in that folder, complete and ready to load.

    Raises JobError: unknown name, not on disk, not a model's folder, pickled weights, damaged files.
    """
    model = look_up(name_or_folder)
    if model.folder is None:
        raise JobError(
            f"The model {model.name}{_source(model)} is not on this machine: {where_to_put(model)}",
            code="missing_model",
        )
    model = _with_overrides(_with_index(model))
    check_weights(model.path)
    check_digests(model.path)
    return model


def where_to_put(model: Model) -> str:
    """What to do about a model that cannot be fetched, as the end of a sentence."""
    return (
        f"put its folder at <models>/{model.name} and set {MODELS_VARIABLE}=<models>, or give the folder itself as "
        "the model."
    )


def model_digest(model: Model) -> str:
    """Digest (64 hex digits) of what `model` is: its files that matter, and the recipe that no file holds.

    A file is hashed once and remembered with its size and time stamp; nothing is read again until it changes.
    """
    recipe = {name: getattr(model, name) for name in RECIPE}
    what = {"files": file_digests(model.path), "recipe": recipe}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _unknown(name: str, known: Mapping[str, Model]) -> str:
    if os.sep in name or name.startswith((".", "~")):
        return f"There is no folder {name}; a model is a folder with a model_index.json, or one of {', '.join(known)}."
    near = difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.6)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"There is no model called {name!r}.{hint} Known are {', '.join(known)}; a folder with a model will do too."


def _source(model: Model) -> str:
    return f" ({model.repo} on the Hugging Face hub, licence {model.licence})" if model.repo else ""


def _recognised(folder: Path, known: Mapping[str, Model]) -> Model:
    """A folder beside the catalogue: one of the catalogue's architecture is such a model or made from it, and has its
    licence and its defaults; of any other, its index says what it is."""
    nameless = Model(name=folder.resolve().name, family="", folder=folder)
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        config = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
        kind = FAMILIES[index["_class_name"]], bool(index.get("is_distilled", False))
        blocks = tuple(config[name] for name in ("num_layers", "num_single_layers", "num_attention_heads"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return nameless
    for entry in known.values():
        if (entry.family, entry.distilled, entry.blocks) == (*kind, blocks):
            return replace(entry, name=nameless.name, folder=folder, repo="", revision="")
    return nameless


def _with_index(model: Model) -> Model:
    """`model` with what its `model_index.json` says; a folder beside the catalogue gets its family's defaults."""
    path = model.path / INDEX
    try:
        index = dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise JobError(
            f"{model.path} is not a model's folder: it has no model_index.json.", code="damaged_model"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise JobError(f"{path} cannot be read: {error}.", code="damaged_model") from error
    family = FAMILIES.get(str(index.get("_class_name")))
    if family is None:
        raise JobError(
            f"{path} names a {index.get('_class_name')}; Pressrun renders with {' and '.join(FAMILIES)}.",
            code="unsupported_model",
        )
    distilled = bool(index.get("is_distilled", False))
    if not model.family:
        model = replace(model, family=family, distilled=distilled, text_layers=_TEXT_LAYERS[family])
        return replace(model, steps=4, guidance=1.0) if distilled else model
    if (model.family, model.distilled) != (family, distilled):
        what = f"{family}{', distilled' if distilled else ''}"
        raise JobError(
            f"{model.path} holds another model than {model.name}: its model_index.json says {what}.",
            code="damaged_model",
        )
    return model


def _with_overrides(model: Model) -> Model:
    path = model.path / OVERRIDES_FILE
    if not path.is_file():
        return model
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read: {error}.", code="damaged_model") from error
    values = _typed(table, str(path))
    if "licence" in values:  # a licence of its own, not the catalogue's under another name
        values = {"licence_url": "", "non_commercial": False, **values}
    return replace(model, **values)


def _typed(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A table's values as a Model's fields. Raises JobError with every field that is unknown or of the wrong type."""
    allowed = {field.name: field.type for field in fields(Model) if field.name not in ("name", "folder")}
    problems, values = [], {}
    for key, value in table.items():
        if key not in allowed:
            problems.append(f"{where}: {key} is not a field of a model; known are {', '.join(allowed)}.")
            continue
        if isinstance(value, list):
            value = tuple(value)
        if allowed[key] is float and type(value) is int:
            value = float(value)
        expected: Any = {"text_layers": tuple, "blocks": tuple, "max_side": int}.get(key, allowed[key])
        if type(value) is not expected:
            problems.append(f"{where}: {key} = {value!r} should be a {expected.__name__}.")
        values[key] = value
    if problems:
        raise JobError(*problems, code="unsupported_model")
    return values
