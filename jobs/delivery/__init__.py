"""What happens to finished jobs: published, bundled, pruned.

Begin with `publishing` and `publish_target`, then `retention`, which removes old nights.
"""
