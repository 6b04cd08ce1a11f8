"""What setting a row's words costs: CPU milliseconds a picture, at three sizes and in two languages.

    python -m tests.bench.typesetting [--repeats N]

The example's style (three texts, a plate, a logo) on a smooth ground, where no scrim is needed, and on a busy one,
where each text but the plate's needs one. Median of the repeats, after one that loads fonts. Nothing is enlarged.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from pressrun.jobs import examples
from pressrun.pipeline.finishing.spec import read_finishing_spec
from pressrun.pipeline.overlay.copy_assets import with_assets
from pressrun.pipeline.overlay.typesetting import Typesetter

EXAMPLE = Path(examples.__file__).parent / "four_seasons"
SIDES = (768, 1024, 2048)
WORDS = {
    "en": ("Out into the green.", "£79", "Trail Pack 22 L. Offer ends 31 May. VAT included, while stocks last."),
    "ja": (
        "緑の中へ、出かけよう。",
        "12,800円",
        "トレイルパック22L。5月31日まで。税込。在庫がなくなり次第終了します。",
    ),
}


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--repeats", type=int, default=7)
    repeats = options.parse_args().repeats
    copy = read_finishing_spec((EXAMPLE / "style.toml").read_text(), "png", "style.toml").copy
    assert copy
    setter = Typesetter(with_assets(copy, lambda name: (EXAMPLE / name).read_bytes()))
    print(f"{'pixels':>12}{'MP':>6}  {'language':<10}{'smooth ms':>10}{'busy ms':>10}")
    for side in SIDES:
        smooth = np.full((side, side, 3), 232, np.uint8)
        busy = np.random.default_rng(1).integers(60, 200, (side, side, 3)).astype(np.uint8)
        for language, texts in WORDS.items():
            words = dict(zip(("headline", "price", "legal"), texts, strict=True)) | {"language": language}
            figures = []
            for ground in (smooth, busy):
                taken = []
                for _ in range(repeats + 1):
                    started = time.process_time()
                    setter.set(ground, words)
                    taken.append(1000 * (time.process_time() - started))
                figures.append(statistics.median(taken[1:]))
            print(
                f"{side:>6} × {side:<4}{side * side / 1e6:>5.1f}  {language:<10}{figures[0]:>10.0f}{figures[1]:>10.0f}"
            )


if __name__ == "__main__":
    main()
