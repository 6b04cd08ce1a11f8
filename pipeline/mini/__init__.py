"""The model that ships with Pressrun: a FLUX.2 architecture, small enough for a laptop CPU, trained on drawn scenes.

The trained weights stand in `model/` in the Hugging Face layout; `README.md` is the model card, `training` how it was
made.
"""
