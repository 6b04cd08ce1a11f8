"""Where rendering happens: Ray actors that hold models, and the store that holds bytes.

Read `dispatch`, then `flights`, `crew`, `actors`, `finishing`, `store`; `runtime` starts or joins Ray, and `recovery`
says what a lost worker costs. A reference's way is `reference_bytes` (and `web`), `decoder`, `reference_cache`, and in
an actor `reference_source`.
"""
