"""Who asks for pictures: manifests, plans, results and the command line.

Rooms from the ground up: `text`, `starters`, `folder`, `decisions`, `spec`, `tables`, `manifest`, `references`,
`finish`, `resolve`, `dedup`, `planning`, `results`, `reuse`, `reports`, `audit`, `campaign`, `delivery`, `purge`,
`run`, `night`, `doctor`, `python`, `cli`. To understand how a manifest becomes pictures read `run.driver`,
`run.settling`, then what `cluster` says to read.
"""
