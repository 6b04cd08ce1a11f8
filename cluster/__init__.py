"""Where rendering happens: Ray actors that hold models, and the store that holds bytes.

Rooms from the ground up: `net`, `store`, `protocol`, `placement`, `runtime`, `references`, `actors`, `scheduling`.
Read `scheduling.dispatcher`, `actors.actors`, then what `pipeline` says to read.
"""
