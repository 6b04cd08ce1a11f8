"""How `mini` was made: drawings, captions, training and evaluation. It is in no wheel and on no cluster's node.

Read `vocabulary` (what can be asked for), `captions` (how people ask for it), `products` and `backdrops` (how it is
drawn), `scenes` (the drawing), `architecture` and `latents` (the model and what it is trained on), `train_autoencoder`,
`train_flow` (the training), `judge` and `evaluate` (whether it worked).
"""
