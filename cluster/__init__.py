"""Where rendering happens: Ray actors that hold models, and the store that holds bytes.

Read `dispatch`, then `crew`, `actors`, `finishing`, `store`; `runtime` starts or joins Ray. A reference's way is
`reference_bytes` (and `web`), `decoder`, `reference_cache`, and in an actor `reference_source`.
"""
