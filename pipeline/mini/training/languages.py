"""The vocabulary in Japanese, German and Chinese, and short ways to ask in them.

The tables give each language's own words; what grammar adds (German endings, Japanese particles) is done by the
functions, one a language, which turn a wanted picture into its pieces. A template then puts the pieces in order.
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Words = dict[str, str]

# German: gender decides article and ending; the scene's phrase, and its bare name.
_GERMAN_PRODUCTS: dict[str, tuple[str, str]] = {
    "mug": ("Tasse", "f"),
    "bottle": ("Flasche", "f"),
    "t-shirt": ("T-Shirt", "n"),
    "sneaker": ("Turnschuh", "m"),
    "handbag": ("Handtasche", "f"),
    "chair": ("Stuhl", "m"),
    "lamp": ("Lampe", "f"),
    "watch": ("Armbanduhr", "f"),
    "headphones": ("Kopfhörer", "m"),
    "backpack": ("Rucksack", "m"),
    "teapot": ("Teekanne", "f"),
    "umbrella": ("Regenschirm", "m"),
    "book": ("Buch", "n"),
    "sofa": ("Sofa", "n"),
}
_GERMAN_COLOURS: dict[str, tuple[str, str]] = {  # what takes an ending, and the bare word
    "red": ("rot", "Rot"),
    "orange": ("orangefarben", "Orange"),
    "yellow": ("gelb", "Gelb"),
    "green": ("grün", "Grün"),
    "teal": ("petrolfarben", "Petrol"),
    "blue": ("blau", "Blau"),
    "purple": ("lilafarben", "Lila"),
    "pink": ("rosafarben", "Rosa"),
    "brown": ("braun", "Braun"),
    "black": ("schwarz", "Schwarz"),
    "white": ("weiß", "Weiß"),
    "grey": ("grau", "Grau"),
}
_GERMAN_SCENES: dict[str, tuple[str, str]] = {
    "studio": ("im Studio", "Studio"),
    "wooden table": ("auf einem Holztisch", "Holztisch"),
    "beach": ("am Strand", "Strand"),
    "snow": ("im Schnee", "Schnee"),
    "forest": ("im Wald", "Wald"),
    "night city": ("vor einer Stadt bei Nacht", "Stadt bei Nacht"),
    "marble": ("auf Marmor", "Marmor"),
    "sunset": ("bei Sonnenuntergang", "Sonnenuntergang"),
    "desert": ("in der Wüste", "Wüste"),
    "meadow": ("auf einer Wiese", "Wiese"),
}
_GERMAN_WHEN: Words = {
    "spring": "im Frühling",
    "summer": "im Sommer",
    "autumn": "im Herbst",
    "winter": "im Winter",
    "morning": "am Morgen",
    "noon": "am Mittag",
    "evening": "am Abend",
}

_JAPANESE: Words = {
    "mug": "マグカップ",
    "bottle": "ボトル",
    "t-shirt": "Tシャツ",
    "sneaker": "スニーカー",
    "handbag": "ハンドバッグ",
    "chair": "椅子",
    "lamp": "ランプ",
    "watch": "腕時計",
    "headphones": "ヘッドホン",
    "backpack": "リュック",
    "teapot": "ティーポット",
    "umbrella": "傘",
    "book": "本",
    "sofa": "ソファ",
    "red": "赤い",
    "orange": "オレンジ色の",
    "yellow": "黄色い",
    "green": "緑の",
    "teal": "青緑の",
    "blue": "青い",
    "purple": "紫の",
    "pink": "ピンクの",
    "brown": "茶色い",
    "black": "黒い",
    "white": "白い",
    "grey": "灰色の",
    "studio": "スタジオ",
    "wooden table": "木のテーブルの上",
    "beach": "砂浜",
    "snow": "雪の中",
    "forest": "森の中",
    "night city": "夜の街",
    "marble": "大理石の上",
    "sunset": "夕焼け",
    "desert": "砂漠",
    "meadow": "草原",
    "spring": "春",
    "summer": "夏",
    "autumn": "秋",
    "winter": "冬",
    "morning": "朝",
    "noon": "昼",
    "evening": "夕方",
}

_CHINESE: Words = {
    "mug": "马克杯",
    "bottle": "瓶子",
    "t-shirt": "T恤",
    "sneaker": "运动鞋",
    "handbag": "手提包",
    "chair": "椅子",
    "lamp": "台灯",
    "watch": "手表",
    "headphones": "耳机",
    "backpack": "背包",
    "teapot": "茶壶",
    "umbrella": "雨伞",
    "book": "书",
    "sofa": "沙发",
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "teal": "青色",
    "blue": "蓝色",
    "purple": "紫色",
    "pink": "粉色",
    "brown": "棕色",
    "black": "黑色",
    "white": "白色",
    "grey": "灰色",
    "studio": "摄影棚里",
    "wooden table": "木桌上",
    "beach": "海滩上",
    "snow": "雪地里",
    "forest": "森林里",
    "night city": "夜晚的城市里",
    "marble": "大理石上",
    "sunset": "日落时",
    "desert": "沙漠里",
    "meadow": "草地上",
    "spring": "春天",
    "summer": "夏天",
    "autumn": "秋天",
    "winter": "冬天",
    "morning": "早晨",
    "noon": "中午",
    "evening": "傍晚",
}


@dataclass(frozen=True)
class Language:
    """One language: templates by kind of caption (the kinds of `captions.TEMPLATES`), and who makes their pieces.

    `words` lists the vocabulary of a language that writes without spaces: its tokens must not grow across words.
    """

    templates: Mapping[str, tuple[str, ...]]
    pieces: Callable[[Mapping[str, str], random.Random], Words]
    words: tuple[str, ...] = ()

    def fragments(self) -> list[str]:
        """What stands between the pieces in the templates."""
        return [
            part for kind in self.templates.values() for text in kind for part in re.split(r"\{\w+\}", text) if part
        ]


def _german(wanted: Mapping[str, str], rng: random.Random) -> Words:
    noun, gender = _GERMAN_PRODUCTS[wanted["product"]]
    stem, bare = _GERMAN_COLOURS[wanted["colour"]]
    article, ending = {"f": ("eine", "e"), "m": ("ein", "er"), "n": ("ein", "es")}[gender]
    place, name = _GERMAN_SCENES[wanted["scene"]]
    when = [_GERMAN_WHEN[wanted[what]] for what in ("season", "time") if wanted[what] in _GERMAN_WHEN]
    rng.shuffle(when)
    return {
        "a": article,
        "thing": f"{stem}{ending} {noun}",
        "product": noun,
        "colour": bare,
        "in": place,
        "scene": name,
        "when": "".join(f" {word}" for word in when),
        "list": "".join(f", {word.split(' ', 1)[1]}" for word in when),
    }


def _japanese(wanted: Mapping[str, str], rng: random.Random) -> Words:
    when = [_JAPANESE[wanted[what]] for what in ("season", "time") if wanted[what] in _JAPANESE]
    return {
        "thing": _JAPANESE[wanted["colour"]] + _JAPANESE[wanted["product"]],
        "product": _JAPANESE[wanted["product"]],
        "colour": _JAPANESE[wanted["colour"]].removesuffix("の").removesuffix("い"),
        "scene": _JAPANESE[wanted["scene"]],
        "when": "".join(f"{word}の" for word in when),
        "list": "".join(f"、{word}" for word in when),
    }


def _chinese(wanted: Mapping[str, str], rng: random.Random) -> Words:
    when = [_CHINESE[wanted[what]] for what in ("season", "time") if wanted[what] in _CHINESE]
    return {
        "thing": _CHINESE[wanted["colour"]] + _CHINESE[wanted["product"]],
        "product": _CHINESE[wanted["product"]],
        "colour": _CHINESE[wanted["colour"]],
        "scene": _CHINESE[wanted["scene"]],
        "when": "".join(when),
        "list": "".join(f",{word}" for word in when),
    }


LANGUAGES: dict[str, Language] = {
    "German": Language(
        {
            "plain": (
                "{a} {thing} {in}{when}",
                "{thing} {in}{when}",
                "{thing}, {scene}{list}",
                "{product} in {colour}, {scene}{list}",
                "Produktfoto: {thing} {in}{when}",
                "{a} {thing}{when} {in}",
            ),
            "product": ("das Produkt aus Bild {n} {in}{when}", "Produkt von Bild {n}, {scene}{list}"),
            "recoloured": ("das Produkt aus Bild {n} in {colour} {in}{when}",),
            "place": ("{a} {thing} am Ort von Bild {m}{when}", "{thing} vor dem Hintergrund von Bild {m}{when}"),
            "both": ("das Produkt aus Bild {n} am Ort von Bild {m}{when}",),
            "edited colour": ("Bild {n}, aber in {colour}",),
            "edited season": ("Bild {n}{when}",),
            "edited time": ("Bild {n}{when}",),
        },
        _german,
    ),
    "Japanese": Language(
        {
            "plain": (
                "{when}{scene}の{thing}",
                "{thing}、{scene}{list}",
                "{scene}の{thing}{list}",
                "商品写真:{when}{scene}の{thing}",
                "{scene}にある{thing}{list}",
            ),
            "product": ("画像{n}の商品、{scene}{list}", "{when}{scene}の画像{n}の商品"),
            "recoloured": ("画像{n}の商品を{colour}で、{scene}{list}",),
            "place": ("画像{m}の場所の{thing}{list}",),
            "both": ("画像{m}の場所の画像{n}の商品{list}",),
            "edited colour": ("画像{n}を{colour}に",),
            "edited season": ("画像{n}{list}",),
            "edited time": ("画像{n}{list}",),
        },
        _japanese,
        tuple(_JAPANESE.values()),
    ),
    "Chinese": Language(
        {
            "plain": (
                "{when}{scene}的{thing}",
                "{thing},{scene}{list}",
                "{scene}的{thing}{list}",
                "产品照片:{when}{scene}的{thing}",
                "一个{thing}在{scene}{list}",
            ),
            "product": ("图{n}的产品,{scene}{list}", "{when}{scene}的图{n}的产品"),
            "recoloured": ("图{n}的产品,{colour},{scene}{list}",),
            "place": ("图{m}的地方的{thing}{list}",),
            "both": ("图{n}的产品在图{m}的地方{list}",),
            "edited colour": ("图{n},改成{colour}",),
            "edited season": ("图{n}{list}",),
            "edited time": ("图{n}{list}",),
        },
        _chinese,
        tuple(_CHINESE.values()),
    ),
}
