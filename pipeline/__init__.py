"""What happens to one request: a prompt, a size, a seed and perhaps reference pictures become pixels.

This package knows nothing of machines, stores or customers: a notebook can use it alone (`Renderer`). A newcomer reads

1. `request`       what is asked for, and the digest of everything that decides the answer
2. `renderer`      the four stages in one process: encode, denoise, decode, and what each hands to the next
3. `sampling`      the loop that turns noise into latents, the heart of it; `transfer` is how tensors get to the device
4. `transformer`   one velocity of one step; where shards will cut
5. `text_encoder`, `reference`, `autoencoder`   how words and pictures enter, and how pictures leave; `colour` is for
   references with a profile, `decoding` the process in which strangers' pictures are decoded
6. `shape`         what requests must share to be one tensor
7. `catalogue`     which models there are, where their files lie, and their digest; `checkpoint` reads them, in eight
   bits where the `precision` says so (`quantisation`)
8. `errors`        who acts on what

`errors`, `request`, `shape`, `precision`, `catalogue`, `reference`, `colour` and `decoding` never import torch: a
process that only plans, or only decodes, stays light.
"""
