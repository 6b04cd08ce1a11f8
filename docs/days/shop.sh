#!/bin/sh
# A shop's day: two nights, what changed between them published, told and taken back. Run it in an empty folder, with
# pressrun on the PATH.
set -eu

# 1. What this machine and the place have, then a night to begin with: night.toml says all of it.
pressrun new night shop
cd shop
pressrun doctor --out nights --no-ray
pressrun night night.toml --dry-run
pressrun night night.toml --night 2026-01-01

# 2. The next night: the catalog has changed, a mug has other words and a chair is gone. What did not change is kept.
python3 - <<'CATALOG'
import pyarrow as pa, pyarrow.parquet as pq
rows = pq.read_table("tonight.parquet").to_pylist()
rows[0]["prompt"] = "a red mug in the snow"
pq.write_table(pa.Table.from_pylist(rows[:-1]), "tonight.parquet")
CATALOG
pressrun night night.toml

# 3. Every night with its figures; pages and addresses as plain files lie in status/, what can be mailed in reports/.
pressrun status nights
cat reports/*.txt
ls status nights

# 4. A picture is not as it should be: the shop is as it was the night before.
pressrun publish --undo latest --to images
pressrun verify nights/2026-01-01
