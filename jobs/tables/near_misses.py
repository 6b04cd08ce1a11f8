"""Columns that nearly are ours: in another case, with blanks around them, or under another tool's name.

A column that means the same as one of ours is read as it, and that is said; of any other one it is said that it is only
carried along. Nothing is ever left out in silence: a default in the place of what a customer asked for is a picture
that nobody wants.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.text.column_types import is_list, is_text
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.request import FIELDS

OURS = tuple(FIELDS)

SAME: Mapping[str, tuple[str, ...]] = {
    "steps": ("num_inference_steps", "inference_steps", "num_steps", "sampling_steps", "sample_steps"),
    "guidance": ("guidance_scale",),
    "seed": ("noise_seed", "random_seed", "rng_seed"),
}
"""Names of diffusers, ComfyUI and web interfaces that mean exactly what ours do."""

_SIZE = "Pressrun's columns for the size are width and height, in pixels"
_REFERENCES = "Pressrun's column for reference pictures is references"
_CFG = "it is not always the same as guidance_scale: Pressrun's column is guidance"
_ONE = "Pressrun renders one picture a row: write a row for each, with its own custom_id and seed"

OTHERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    _SIZE: (
        ("width", "height"),
        (
            *("size", "image_size", "resolution", "dimensions", "dimension", "dims", "aspect_ratio", "aspect"),
            *("image_width", "image_height", "img_width", "img_height", "output_width", "output_height", "w", "h"),
            *("target_width", "target_height", "megapixels"),
        ),
    ),
    _REFERENCES: (
        ("references",),
        (
            *("reference", "ref", "refs", "reference_image", "reference_images", "ref_image", "ref_images"),
            *("reference_url", "reference_urls", "reference_image_url", "reference_image_urls", "reference_picture"),
            *("reference_pictures", "image_prompt", "input_image", "input_images", "init_image", "init_images"),
            *("input_reference", "source_image", "control_image", "conditioning_image", "image", "images"),
            *("image_url", "image_urls", "image_uri", "image_uris", "image_path", "image_paths", "image_link"),
            *("image_links", "image_src", "img", "img_url", "picture", "pictures", "photo", "photos"),
        ),
    ),
    _CFG: (("guidance",), ("cfg", "cfg_scale", "true_cfg", "true_cfg_scale", "classifier_free_guidance")),
    "Pressrun's column for the number of denoising steps is steps": (("steps",), ("iterations", "n_steps")),
    "Pressrun's column for the seed is seed": (("seed",), ("seeds", "manual_seed", "generator", "subseed")),
    "Pressrun renders without one: say in the prompt what is to be seen": (
        (),
        ("negative_prompt", "negative", "neg_prompt", "negative_prompts", "prompt_negative"),
    ),
    _ONE: ((), ("n", "num_images", "num_outputs", "num_images_per_prompt", "batch_size", "n_samples", "n_iter")),
    "Pressrun has no such choice: a model brings its own": (
        (),
        ("sampler", "sampler_name", "scheduler", "sampling_method", "denoise", "denoising_strength", "strength"),
    ),
}
"""Names that ask for something in another way than ours do: what is to be said of them, unless our columns, which stand
before the names, are there as well."""

IDS = ("id", "sku", "key", "uid", "uuid", "handle", "item", "article", "product_id", "variant_sku", "gtin", "ean")
PROMPTS = ("text", "description", "caption", "positive_prompt", "positive", "prompt_text", "instruction", "input")
"""What may hold what we need, where there is no column of that name: only a person can know."""

_PICTURE = r"(?i)^\s*(\[\s*\")?((https?|s3|gs)://|//|data:image/)|\.(png|jpe?g|webp|avif|gif|tiff?|heic)\s*(\?.*)?$"
_NEAR = 0.85
"""How like one of ours a name has to be to be a slip of the pen; “weight” is none of “height”."""


@dataclass(frozen=True)
class Settled:
    """A table whose columns are called as ours where they mean the same. `notes` say so, and which columns are only
    carried along; `problems` refuse the job."""

    table: pa.Table
    notes: tuple[str, ...]
    problems: tuple[str, ...]


@lru_cache(4_096)
def meaning(name: str) -> str:
    """The column of ours that a name means, or the name itself."""
    return _MEANINGS.get(_plain(name), name)


def settled(table: pa.Table) -> Settled:
    """Every column that means the same as one of ours under its name, and what is to be said of all that nearly do."""
    names = table.column_names
    notes, problems, renamed = [], [], dict(zip(names, names, strict=True))
    for ours in OURS:
        same = list(dict.fromkeys(name for name in names if name != ours and meaning(name) == ours))
        if ours in names:
            clear = [name for name in same if name.lower() != ours]  # others are refused: they differ in case only
            notes += [f"Column “{_shown(name)}” is only carried along; {ours} is read from “{ours}”." for name in clear]
        elif len(same) > 1:
            several = " and ".join(f"“{_shown(name)}”" for name in same)
            problems.append(f"Columns {several} mean the same; keep one of them, and call it {ours}.")
        elif same:
            renamed[same[0]] = ours
            notes.append(f"Column “{_shown(same[0])}” is read as {ours}.")
    table = table.rename_columns([renamed[name] for name in names]).replace_schema_metadata(table.schema.metadata)
    problems += _asking_for_references(table)
    notes += [words for name in table.column_names if (words := _told(name, table.column_names))]
    return Settled(table, tuple(dict.fromkeys(notes)), tuple(problems + _alike(table.column_names)))


def hint(required: str, names: list[str]) -> str:
    """Which of the columns may be the one that is missing: there is none that means it."""
    wanted = IDS if required == "custom_id" else PROMPTS
    found = [name for name in names if _plain(name) in map(_plain, wanted)]
    near = difflib.get_close_matches(required, {name.strip().lower(): name for name in names}, 1, 0.75)
    found = [name for name in names if near and name.strip().lower() == near[0]][:1] or found
    if found:
        return (
            f"rename “{_shown(found[0])}”" if near else f"rename the column that holds it, such as “{_shown(found[0])}”"
        )
    return f"there are {first_of(names) or 'no columns'}"


def _plain(name: str) -> str:
    """A name without what people do not see as a difference."""
    return re.sub(r"[\s_\-.\u200b-\u200d\u2060\ufeff]+", "", unicodedata.normalize("NFKC", name)).lower()


_MEANINGS = {_plain(name): ours for ours in OURS for name in (ours, *SAME.get(ours, ()))}
_OTHERS = {_plain(name): (words, ours) for words, (ours, names) in OTHERS.items() for name in names}


def _told(name: str, names: list[str]) -> str:
    """What is to be said of a column that is carried along, if anything is."""
    if meaning(name) in OURS:
        return ""
    words, ours = _OTHERS.get(_plain(name), ("", ()))
    if not words:
        ours = tuple(one for one in OURS if _is_slip(_plain(name), _plain(one)))
        words = f"if it is meant for {ours[0]}, rename it" if ours else ""
    return "" if not words or set(ours) & set(names) else f"Column “{_shown(name)}” is only carried along; {words}."


def _is_slip(name: str, ours: str) -> bool:
    return sorted(name) == sorted(ours) or difflib.SequenceMatcher(None, name, ours).ratio() >= _NEAR


def _asking_for_references(table: pa.Table) -> list[str]:
    """`reference` is a shop's word for an article's number as well; where its cells are pictures it is ours."""
    if "references" in table.column_names:
        return []
    return [
        f"Column “{_shown(name)}” names pictures, but Pressrun's column for reference pictures is references; "
        "rename it, to references if the pictures are to be used."
        for name in table.column_names
        if _plain(name).startswith("ref") and _OTHERS.get(_plain(name), ("",))[0] == _REFERENCES
        if table.column_names.count(name) == 1 and _holds_pictures(table[name])
    ]


def _holds_pictures(column: pa.ChunkedArray) -> bool:
    try:
        texts = pc.list_flatten(column) if is_list(column.type) else column
        return is_text(texts.type) and bool(pc.any(pc.match_substring_regex(texts, _PICTURE)).as_py())
    except pa.ArrowInvalid:  # text that is no UTF-8, of which more is said elsewhere
        return False


def _alike(names: list[str]) -> list[str]:
    """Columns that differ in case only: DuckDB, Spark, Athena and BigQuery could not open the results."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(name.lower(), []).append(name)
    return [
        f"Columns {first_of([f'“{_shown(name)}”' for name in group])} differ in case only, and many programs that read "
        "the results cannot tell them apart; rename all but one."
        for group in groups.values()
        if len(group) > 1
    ]


def _shown(name: str) -> str:
    return shortened(re.sub(r"[\u00a0\u2000-\u200a\u202f]", " ", name))
