"""FLUX.2 and FLUX.2 [klein]: a text encoder, a rectified-flow transformer and an autoencoder.

Begin with `renderer`, the four stages in one process; `sampling` is the loop at the heart of it, `transformer` one step
of it. `shape` says what requests must share to be one tensor, `footprint` what a model takes in memory; both import no
torch, because planners use them.
"""
