"""What others call our columns, and what else in their tables asks for something that we do in another way."""

from collections.abc import Mapping

SAME: Mapping[str, tuple[str, ...]] = {
    "steps": (
        *("num_inference_steps", "inference_steps", "num_steps", "sampling_steps", "sample_steps"),
        *("number_of_steps", "number_of_inference_steps", "step_count", "steps_count"),
    ),
    "guidance": ("guidance_scale",),
    "seed": ("noise_seed", "random_seed", "rng_seed", "seed_value"),
}
"""Names of diffusers, ComfyUI, web interfaces and people that mean exactly what ours do."""

_SIZE = "Pressrun's columns for the size are width and height, in pixels"
REFERENCES = "Pressrun's column for reference pictures is references"
_CFG = "it is not always the same as guidance_scale: Pressrun's column is guidance"
_ONE = "Pressrun renders one picture a row: write a row for each, with its own custom_id and seed"

_PLACES = ("url", "urls", "uri", "link", "links", "path", "paths", "file", "src")

OTHERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    _SIZE: (
        ("width", "height"),
        (
            *("size", "image_size", "resolution", "dimensions", "dimension", "dims", "aspect_ratio", "aspect"),
            *("image_width", "image_height", "img_width", "img_height", "output_width", "output_height", "w", "h"),
            *("target_width", "target_height", "megapixels", "size_w", "size_h", "resolution_x", "resolution_y"),
            *("breite", "höhe", "hoehe", "bildbreite", "bildhöhe", "größe", "auflösung", "largeur", "hauteur"),
            *("ancho", "alto", "anchura", "altura", "largura", "larghezza", "altezza", "breedte", "hoogte"),
        ),
    ),
    REFERENCES: (
        ("references",),
        (
            *("reference", "ref", "refs", "reference_image", "reference_images", "ref_image", "ref_images"),
            *("reference_url", "reference_urls", "reference_image_url", "reference_image_urls", "reference_picture"),
            *("reference_pictures", "image_prompt", "input_image", "input_images", "init_image", "init_images"),
            *("input_reference", "source_image", "control_image", "conditioning_image", "image", "images"),
            *("image_url", "image_urls", "image_uri", "image_uris", "image_path", "image_paths", "image_link"),
            *("image_links", "image_src", "img", "picture", "pictures", "photo", "photos", "pic", "pics"),
            *(f"{noun}_{place}" for noun in ("img", "pic", "picture", "photo") for place in _PLACES),
            *("src", "bild", "bilder", "referenz", "referenzen", "referenzbild", "referenzbilder", "foto", "fotos"),
        ),
    ),
    _CFG: (("guidance",), ("cfg", "cfg_scale", "true_cfg", "true_cfg_scale", "classifier_free_guidance")),
    "Pressrun's column for the number of denoising steps is steps": (
        ("steps",),
        ("iterations", "n_steps", "schritte", "anzahl_schritte", "étapes", "pasos", "passi"),
    ),
    "Pressrun's column for the seed is seed": (
        ("seed",),
        ("seeds", "manual_seed", "generator", "subseed", "startwert"),
    ),
    "Pressrun renders without one: say in the prompt what is to be seen": (
        (),
        ("negative_prompt", "negative", "neg_prompt", "negative_prompts", "prompt_negative"),
    ),
    "Pressrun renders one prompt a row: put into it all that is to be seen": ((), ("prompt_2", "second_prompt")),
    _ONE: ((), ("n", "num_images", "num_outputs", "num_images_per_prompt", "batch_size", "n_samples", "n_iter")),
    "Pressrun has no such choice: a model brings its own": (
        (),
        (
            *("sampler", "sampler_name", "scheduler", "sampling_method", "denoise", "denoising_strength", "strength"),
            *("prompt_strength", "lora", "loras", "lora_weight", "lora_scale"),
        ),
    ),
}
"""Names that ask for something in another way than ours do: what is to be said of them, unless our columns, which stand
before the names, are there as well."""

IDS = ("id", "sku", "key", "uid", "uuid", "handle", "item", "article", "product_id", "variant_sku", "gtin", "ean")
PROMPTS = ("text", "description", "caption", "positive_prompt", "positive", "prompt_text", "instruction", "input")
"""What may hold what we need, where there is no column of that name: only a person can know."""
