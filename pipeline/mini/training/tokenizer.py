"""The shipped model's tokenizer: a byte-level BPE of its own, so that the embedding stays small.

It is trained on captions of every combination in every language, and on words that marketing prompts use; any other
text falls back to bytes, losing nothing.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import Qwen2Tokenizer

from pressrun.pipeline.mini.training.captions import TEMPLATES, Images, caption
from pressrun.pipeline.mini.training.languages import LANGUAGES
from pressrun.pipeline.mini.training.scenes import dressed
from pressrun.pipeline.mini.training.vocabulary import combinations

VOCABULARY_SIZE = 2048
END_OF_TEXT = "<|endoftext|>"

# The chat template of the large models, less the roles: the encoder sees the prompt and nothing else.
CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

MARKETING = """
winter spring summer autumn fall morning noon afternoon evening night dawn dusk golden hour sunrise daylight
in winter, in spring, in summer, in autumn, in the morning, in the evening, at noon, at night, at dawn, at dusk
sale season campaign collection catalogue catalog launch offer discount holiday christmas easter black friday gift
premium luxury minimal modern vintage rustic elegant cosy fresh bright dark moody cinematic dramatic pastel vibrant
banner poster billboard story post square landscape portrait header thumbnail advertisement commercial brand label
kitchen living room bedroom office garden street mountain lake river sky cloud rain sea sand wood stone grass flowers
cup bottle shirt dress shoe bag purse stool desk light clock speaker rucksack kettle parasol novel couch cap hat glove
large small tall wide close up front side view top down perspective depth of field bokeh shadow reflection texture
sharp focus high resolution photo photograph photography picture image reference replace keep make put place version
version same style colour color background foreground left right centre center without with and or of the a an
navy beige gold silver turquoise violet crimson cyan magenta cream olive maroon lime indigo light dark pale deep
lid handle strap logo made of leather cotton ceramic glass metal plastic people crowd watermark text blurry
"""


def corpus(seed: int = 0) -> list[str]:
    """The lines that the tokenizer is trained on: captions of every kind and language, then marketing's own words."""
    rng = random.Random(seed)
    lines = []
    spaced = [name for name, language in LANGUAGES.items() if not language.words]
    for number, what in enumerate(combinations(held=False)):
        scene = dressed(*what, number, rng)
        images = Images(rng.randint(1, 10), rng.randint(1, 10), rng.random() < 0.3)
        for kind in TEMPLATES:
            lines += [caption(scene, rng, kind=kind, images=images) for _ in range(2)]
            lines += [caption(scene, rng, kind=kind, images=images, language=name) for name in spaced]
    extra = MARKETING.strip().splitlines()
    words = [f" {word}" for line in extra for word in line.replace(",", "").split()]
    unspaced = [word for language in LANGUAGES.values() if language.words for word in language.words]
    between = [text for language in LANGUAGES.values() if language.words for text in language.fragments()]
    return lines + (extra + words) * 40 + (unspaced + between) * 200


def train_tokenizer(folder: Path, seed: int = 0) -> Qwen2Tokenizer:
    """Train the tokenizer, save it under `folder`, and return it as the class the pipeline loads."""
    # Qwen2's own normaliser and splitter, taken from an empty instance: saved and loaded rules cannot differ.
    rules = Qwen2Tokenizer().backend_tokenizer
    bpe = Tokenizer(BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = rules.pre_tokenizer
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus(seed), trainer)
    model = json.loads(bpe.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Qwen2Tokenizer(vocab=model["vocab"], merges=merges, model_max_length=512, padding_side="right")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return Qwen2Tokenizer.from_pretrained(folder)
