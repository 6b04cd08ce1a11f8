"""The shipped model's tokenizer: a byte-level BPE of its own, so that the embedding stays small.

It is trained on captions of every combination, on words that marketing prompts use, and on the vocabulary in
German, Japanese and Chinese, which later training may teach; any other text falls back to bytes, losing nothing.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import Qwen2Tokenizer

from pipeline.mini.captions import TEMPLATES, caption
from pipeline.mini.vocabulary import combinations

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

TRANSLATED = """
Tasse Flasche T-Shirt Turnschuh Handtasche Stuhl Lampe Uhr Kopfhörer Rucksack Teekanne Regenschirm Buch Sofa
rot rote roter rotes orange gelb gelbe grün grüne türkis blau blaue lila rosa braun braune schwarz schwarze
weiß weiße grau
im Studio, auf einem Holztisch, am Strand, im Schnee, im Wald, in der Stadt bei Nacht, auf Marmor, bei Sonnenuntergang
in der Wüste, auf einer Wiese, im Frühling, im Sommer, im Herbst, im Winter, am Morgen, am Mittag, am Abend, ein eine
das Produkt aus Bild 1 am Strand, anstelle von, Produktfoto, Werbung, Kampagne, weiches Licht, Hintergrund
マグカップ ボトル Tシャツ スニーカー ハンドバッグ 椅子 ランプ 腕時計 ヘッドホン リュック ティーポット
傘 本 ソファ
赤い オレンジ色の 黄色い 緑の 青緑の 青い 紫の ピンクの 茶色い 黒い 白い 灰色の
スタジオの 木のテーブルの上の 砂浜の 雪の中の 森の中の 夜の街の 大理石の上の 夕焼けの
砂漠の 草原の 春の 夏の 秋の 冬の 朝の 昼の 夜の 商品写真 画像1の商品
马克杯 瓶子 T恤 运动鞋 手提包 椅子 台灯 手表 耳机 背包 茶壶 雨伞 书 沙发
红色 橙色 黄色 绿色 青色 蓝色 紫色 粉色 棕色 黑色 白色 灰色
的 在 摄影棚里 木桌上 海滩上 雪地里 森林里 夜晚的城市 大理石上 日落时 沙漠里 草地上
春天 夏天 秋天 冬天 早晨 中午 晚上 产品照片 图1的产品
"""


def corpus(seed: int = 0) -> list[str]:
    """The lines that the tokenizer is trained on: captions of every kind, then the extra words many times over."""
    rng = random.Random(seed)
    lines = [
        caption(
            product, colour, scene, rng, kind=kind, product_image=rng.randint(1, 10), place_image=rng.randint(1, 10)
        )
        for product, colour, scene in combinations(held=False)
        for kind in TEMPLATES
    ]
    extra = [line for block in (MARKETING, TRANSLATED) for line in block.strip().splitlines()]
    words = [f" {word}" for line in extra for word in line.replace(",", "").split()]
    return lines + (extra + words) * 40


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
