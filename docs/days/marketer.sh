#!/bin/sh
# A marketer's day: from a spreadsheet to the agencies' zips. Run it in an empty folder, with pressrun on the PATH.
set -eu

# 1. What varies stands in a spreadsheet and one file. Nothing is rendered yet: look at texts, sizes and layout first.
pressrun new campaign spring
cd spring
pressrun variants campaign.toml --finish style.toml --preview preview.html
pressrun variants campaign.toml --out manifest.parquet

# 2. The pictures, with their words set, and a page to look at them by product and region.
pressrun render manifest.parquet --finish style.toml --out job
pressrun sheet job --rows sku,season --columns region

# 3. Decide. In the pages that is a, r, g and c, and a file to download; the same by name:
pressrun decide job --approve bag-02_spring_UK_shop,bag-02_spring_UK_story,bag-02_spring_DE_shop --by Ada
pressrun decide job --again mug-01_spring_UK_shop --comment "The mug should be green." \
    --words "a green mug in the place of image 1" --by Ada
pressrun decide job --reject mug-01_spring_DE_shop --comment "Not for this shop." --by Ada

# 4. The same command makes again what is to be made again, and nothing else. What is new is undecided.
pressrun render manifest.parquet --finish style.toml --out job
pressrun status job
pressrun sheet job --rows sku,season --columns region --undecided --out open.html
pressrun decide job --approve mug-01_spring_UK_shop --by Ada

# 5. One zip for each region, of what is approved alone.
pressrun bundle job --by region --name "{sku} {season}/{size}" --approved
pressrun verify job
