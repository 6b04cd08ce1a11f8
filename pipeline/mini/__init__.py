"""The model that ships with Pressrun: a FLUX.2 architecture, small enough for a laptop CPU, trained on drawn scenes.

Reading order: `vocabulary` (what can be asked for), `captions` (how people ask for it), `products` and `backdrops`
(how it is drawn), `scenes` (the drawing), `architecture` and `latents` (the model and what it is trained on),
`train_autoencoder`, `train_flow` (the training), `judge` and `evaluate` (whether it worked).
The trained weights stand in `model/` in the Hugging Face layout; `README.md` is the model card.
"""
