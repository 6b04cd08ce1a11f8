"""An ML engineer's day, as cells of a notebook: from rows to pictures, looked at, some of them again.

Run it in an empty folder with the Python that has Pressrun; a notebook shows the last line of each cell.
"""

import pyarrow as pa

from pressrun import JobError, JobSpec, forecast, render

# %% 1. What this machine and the place for pictures have: `pressrun doctor --out out` says it in a shell.
rows = [
    {"custom_id": f"{colour}-{thing}", "prompt": f"a {colour} {thing} on the beach", "colour": colour, "seed": 7}
    for colour in ("red", "blue")
    for thing in ("mug", "chair", "lamp")
]

# %% 2. What it would come to, before anything is rendered. Everything that is wrong is said at once.
plan = forecast(JobSpec(rows, "out/try"))
print(f"{plan.pending} to render in {plan.units} units")
try:
    render(rows, "out/try", format="bmp", max_images="three", layout="round")
except JobError as error:
    print(*error.problems, sep="\n")

# %% 3. The pictures; progress shows below the cell. The same call goes on where a run was stopped.
job = render(rows, "out/try", format="webp")
print(job)  # a notebook shows a grid for `job` alone

# %% 4. What came of it: a table with your own columns, a picture, what failed and why.
table = job.table()
print(table.select(["custom_id", "status", "seed", "colour"]).to_pylist()[0])
print(job.picture("red-mug").size, job.failures().num_rows, "failed")

# %% 5. A variant of the same rows in another folder keeps what did not change.
words = [row["prompt"].replace("beach", "snow") if row["colour"] == "blue" else row["prompt"] for row in rows]
changed = pa.Table.from_pylist([{**row, "prompt": prompt} for row, prompt in zip(rows, words, strict=True)])
again = render(changed, "out/snow", format="webp", since="out/try")
print(again.cached, "kept,", again.rendered, "rendered")
