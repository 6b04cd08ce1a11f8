"""A reference's way from its place to an actor: bytes, pixels, cache.

Begin with `reader`, then `decoder_pool`, `pixel_cache` and, in an actor, `source`.
"""
