"""What travels between the driver and the actors: units, outcomes, what an actor is told, tensors.

Begin with `unit`, then `spec`.
"""
