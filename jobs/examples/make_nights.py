"""Write two nights of one catalog, `night-1.parquet` and `night-2.parquet`, of which 5 % differ.

    python -m pressrun.jobs.examples.make_nights

The first night is the sample campaign, in small sizes, and four more pictures; in the second one prompt is another, one
product has gone and one has come. Two of its forty pictures have to be rendered:

    pressrun render jobs/examples/night-1.parquet --out out/nights/2026-11-20
    pressrun render jobs/examples/night-2.parquet --out out/nights/2026-11-21 --since latest
"""

import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.jobs.examples.make_campaign import HERE, campaign

SIZES = {"shop": (128, 128), "banner": (160, 96), "story": (96, 160)}
"""Width and height in pixels by channel."""

# sku, product, colour, scene, season, region, channel, prompt
MORE = (
    ("UMB-01", "umbrella", "red", "snow", "winter", "EU", "shop", "a red umbrella in the snow"),
    ("UMB-02", "umbrella", "blue", "beach", "summer", "US", "banner", "a blue umbrella on a beach"),
    ("SOF-02", "sofa", "green", "studio", "spring", "EU", "shop", "a green sofa in a studio"),
    ("HPH-04", "headphones", "orange", "sunset", "autumn", "US", "story", "orange headphones at sunset"),
)
COMES = ("HPH-05", "headphones", "white", "studio", "winter", "EU", "shop", "white headphones in a studio")
GOES = "hph-04-sunset-story"
REWORDED = {"mug-01-wooden-table-shop": "a red mug on a wooden table, autumn sale"}


def nights() -> tuple[pa.Table, pa.Table]:
    """Both manifests."""
    known = [{**row, **_size(row["channel"])} for row in campaign().to_pylist()]
    first = pa.concat_tables([pa.Table.from_pylist(known, schema=campaign().schema), _rows(MORE)])
    second = first.to_pylist()
    second = [row | {"prompt": REWORDED.get(row["custom_id"], row["prompt"])} for row in second]
    second = [row for row in second if row["custom_id"] != GOES] + _rows((COMES,)).to_pylist()
    return first, pa.Table.from_pylist(second, schema=first.schema)


def _rows(products: tuple[tuple[str, ...], ...]) -> pa.Table:
    columns = ("sku", "product", "colour", "scene", "season", "region", "channel")
    rows = []
    for *values, prompt in products:
        row = dict(zip(columns, values, strict=True))
        custom_id = f"{row['sku']}-{row['scene'].replace(' ', '-')}-{row['channel']}".lower()
        rows.append({"custom_id": custom_id, "prompt": prompt, "references": [], **row, **_size(row["channel"])})
    return pa.Table.from_pylist(rows, schema=campaign().schema)


def _size(channel: str) -> dict[str, int]:
    return dict(zip(("width", "height"), SIZES[channel], strict=True))


def main() -> None:
    """Write the manifests beside this script."""
    for number, night in enumerate(nights(), 1):
        pq.write_table(night, HERE / f"night-{number}.parquet", compression="zstd")


if __name__ == "__main__":
    main()
