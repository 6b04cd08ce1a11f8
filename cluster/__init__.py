"""Where rendering happens: Ray actors that hold models, and the store that holds bytes.

Read `dispatch`, then `crew`, `actors`, `finishing`, `store`; `runtime` starts or joins Ray.
"""
