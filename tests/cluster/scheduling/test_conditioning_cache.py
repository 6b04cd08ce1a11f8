"""The cache of inputs: bounded by bytes, and nobody who waits is forgotten with what was lost."""

from pressrun.cluster.scheduling.conditioning_cache import Inputs


def ready(inputs: Inputs, key: str, user: int, size: int = 10) -> None:
    inputs.take(key, user).asked = True
    inputs.arrived(key, size)


def test_what_nobody_uses_is_forgotten_first_in_first_out_when_bytes_run_short() -> None:
    inputs = Inputs(limit_bytes=25)
    for number, key in enumerate(("a", "b", "c")):
        ready(inputs, key, number)
    assert all(key in inputs for key in ("a", "b", "c")), "all of them are in use"
    inputs.release({"a", "b"}, 0)
    inputs.release({"b"}, 1)
    assert "a" not in inputs
    assert "b" in inputs and "c" in inputs


def test_what_was_lost_is_asked_for_again_and_keeps_its_users() -> None:
    inputs = Inputs()
    ready(inputs, "a", 1)
    inputs.take("a", 2)
    inputs.forget({"a"})
    entry = inputs["a"]
    assert (entry.ready, entry.asked, entry.users) == (False, False, {1, 2})


def test_an_input_that_arrives_twice_counts_once() -> None:
    inputs = Inputs(limit_bytes=25)
    ready(inputs, "a", 1)
    inputs.arrived("a", 10)
    ready(inputs, "b", 1)
    inputs.release({"a", "b"}, 1)
    assert "a" in inputs and "b" in inputs
