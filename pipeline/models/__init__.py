"""Models before anything of them is loaded: which there are, where their files lie, what they are and how fast.

Begin with `catalogue`; `locations` and `hub` find and fetch the files, `digests` and `weights` judge them, `checkpoint`
reads them, in the `precision` that was asked for (`quantisation`). `throughput` holds measured rates.
"""
