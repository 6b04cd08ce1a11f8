"""Write the sample manifest, `campaign.parquet`, and the reference pictures that six of its rows ask for.

    python -m pressrun.jobs.examples.make_campaign

A made-up brand's year: eleven products, four seasons, three regions, and a channel that decides a picture's shape. The
same files come out every time, so that they can be compared with the ones that ship.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent

SIZES = {"shop": (256, 256), "banner": (336, 192), "story": (192, 336)}
"""Width and height in pixels by channel."""

# sku, product, colour, scene, season, region, channel, prompt
PLAIN = (
    ("MUG-01", "mug", "red", "wooden table", "autumn", "EU", "shop", "a red mug on a wooden table"),
    ("MUG-02", "mug", "blue", "studio", "spring", "US", "shop", "product photo of a blue mug, studio"),
    ("MUG-03", "mug", "white", "snow", "winter", "EU", "banner", "a white mug in the snow, winter sale"),
    ("BOT-01", "bottle", "green", "forest", "spring", "EU", "story", "a green bottle in a forest"),
    ("BOT-02", "bottle", "orange", "beach", "summer", "US", "shop", "an orange bottle on a beach, summer campaign"),
    ("BOT-03", "bottle", "teal", "marble", "autumn", "APAC", "shop", "product photo of a teal bottle on marble"),
    ("TEE-01", "t-shirt", "yellow", "studio", "summer", "EU", "shop", "a yellow t-shirt in a studio"),
    ("TEE-02", "t-shirt", "white", "night city", "autumn", "US", "story", "a white t-shirt in a night city"),
    ("TEE-03", "t-shirt", "pink", "beach", "summer", "APAC", "banner", "pink t-shirt, beach, new arrival"),
    ("SNK-01", "sneaker", "red", "night city", "autumn", "US", "banner", "a red sneaker in a night city"),
    ("SNK-02", "sneaker", "purple", "forest", "spring", "EU", "shop", "product photo of a purple sneaker in a forest"),
    ("SNK-03", "sneaker", "grey", "studio", "winter", "APAC", "shop", "grey sneaker, studio"),
    ("BAG-01", "handbag", "purple", "marble", "spring", "EU", "shop", "a purple handbag on marble"),
    ("BAG-02", "handbag", "brown", "sunset", "autumn", "US", "story", "a brown handbag at sunset"),
    ("BAG-03", "handbag", "black", "studio", "winter", "EU", "shop", "product photo of a black handbag, studio"),
    ("CHR-01", "chair", "teal", "studio", "spring", "EU", "shop", "a teal chair in a studio"),
    ("CHR-02", "chair", "yellow", "sunset", "summer", "US", "banner", "a yellow chair at sunset"),
    ("CHR-03", "chair", "red", "snow", "winter", "APAC", "story", "a red chair in the snow"),
    ("LMP-01", "lamp", "orange", "wooden table", "autumn", "EU", "shop", "an orange lamp on a wooden table"),
    ("LMP-02", "lamp", "blue", "night city", "winter", "US", "story", "a blue lamp in a night city"),
    ("LMP-03", "lamp", "green", "marble", "spring", "APAC", "shop", "product photo of a green lamp on marble"),
    ("WCH-01", "watch", "black", "marble", "winter", "EU", "shop", "a black watch on marble"),
    ("WCH-02", "watch", "red", "beach", "summer", "US", "story", "a red watch on a beach"),
    ("WCH-03", "watch", "blue", "wooden table", "autumn", "EU", "banner", "a blue watch on a wooden table"),
    ("HPH-01", "headphones", "pink", "studio", "spring", "US", "shop", "pink headphones in a studio"),
    ("HPH-02", "headphones", "black", "wooden table", "autumn", "EU", "shop", "black headphones on a wooden table"),
    ("HPH-03", "headphones", "yellow", "night city", "summer", "APAC", "banner", "yellow headphones in a night city"),
    ("BPK-01", "backpack", "green", "forest", "spring", "EU", "story", "a green backpack in a forest"),
    ("BPK-02", "backpack", "blue", "snow", "winter", "US", "shop", "product photo of a blue backpack in the snow"),
    ("BPK-03", "backpack", "orange", "sunset", "summer", "APAC", "banner", "an orange backpack at sunset"),
)

# As above, but the place is that of a reference picture, taken on last year's shoot.
WITH_REFERENCE = (
    ("MUG-01", "mug", "red", "beach", "summer", "EU", "shop", "a red mug in the place of image 1"),
    ("BPK-02", "backpack", "blue", "beach", "summer", "US", "shop", "a blue backpack in the place of image 1"),
    ("SNK-04", "sneaker", "yellow", "forest", "spring", "EU", "shop", "a yellow sneaker in the place of image 1"),
    ("SOF-01", "sofa", "teal", "sunset", "autumn", "APAC", "shop", "a teal sofa in the place of image 1"),
    ("BOT-04", "bottle", "green", "sunset", "autumn", "EU", "story", "a green bottle in the place of image 1"),
    ("LMP-04", "lamp", "orange", "forest", "spring", "US", "banner", "an orange lamp in the place of image 1"),
)


def campaign() -> pa.Table:
    """The manifest: 36 requests in three shapes, the customer's seven columns behind ours."""
    rows = []
    for place, (sku, product, colour, scene, season, region, channel, prompt) in enumerate((*PLAIN, *WITH_REFERENCE)):
        width, height = SIZES[channel]
        plain = place < len(PLAIN)
        if plain and season not in prompt:
            prompt += f", {season}" if "," in prompt else f" in {season}"
        rows.append(
            {
                "custom_id": f"{sku}-{scene.replace(' ', '-')}-{channel}".lower(),
                "prompt": prompt,
                "width": width,
                "height": height,
                "references": [] if plain else [f"references/{scene}.png"],
                "sku": sku,
                "product": product,
                "colour": colour,
                "scene": scene,
                "season": season,
                "region": region,
                "channel": channel,
            }
        )
    types = dict.fromkeys(rows[0], pa.string())
    types |= {"width": pa.int32(), "height": pa.int32(), "references": pa.list_(pa.string())}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))


def main() -> None:
    """Write the manifest and its reference pictures beside this script."""
    from pressrun.pipeline.mini.training.scenes import Scene, draw

    pq.write_table(campaign(), HERE / "campaign.parquet", compression="zstd")
    (HERE / "references").mkdir(exist_ok=True)
    for place in sorted({row[3] for row in WITH_REFERENCE}):
        picture = draw(Scene("umbrella", "grey", place), 128, 128)
        picture.save(HERE / "references" / f"{place}.png", optimize=True)


if __name__ == "__main__":
    main()
