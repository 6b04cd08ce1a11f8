"""What happens to one request: a prompt, a size, a seed and perhaps reference pictures become pixels.

This package knows nothing of machines, stores or customers: a notebook can use it alone
(`families.flux2.renderer.Renderer`). Read `families.flux2.sampling`. `request` says what is rendered, `models` which
models there are, `references` how strangers' pictures are read, `finishing`, `overlay` and `checks` what happens to
finished pixels.
`errors` says who acts on what.

`errors`, `request`, `models.precision`, `models.catalogue`, `families.flux2.shape` and `references` never import torch:
a process that only plans, or only decodes, stays light.
"""
