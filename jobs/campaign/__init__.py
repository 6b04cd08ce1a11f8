"""Campaigns: every combination of axes that the rules leave becomes a row of a manifest.

Begin with `variants`, then `campaign`, `axis` and `campaign_rules`.
"""
