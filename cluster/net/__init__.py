"""The web as we use it: addresses taken apart strictly, and fetches that no stranger's address can turn against us.

Begin with `url`, then `safe_fetch`; `fetch_rules` says what a fetch may do, `deadline` and `patience` when it gives up.
"""
