"""A model: whether it is here, may be used, and fits."""

from collections.abc import Iterator

from pressrun.cluster.placement.devices import devices_here
from pressrun.jobs.doctor.finding import BAD, DOUBTFUL, GOOD, Finding
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import find_model, look_up


def model_findings(name: str) -> Iterator[Finding]:
    """Look at a model by its name, or its folder."""
    try:
        model = look_up(name)
        if not model.folder:
            said = f"{model.name} is not here; the first job fetches about {model.bytes / 1e9:.1f} GB from {model.repo}"
            yield Finding("model", DOUBTFUL, said, "or set PRESSRUN_MODELS to the folder that holds it")
            return
        model = find_model(name)
    except JobError as error:
        yield Finding("model", BAD, str(error).rstrip("."))
        return
    yield Finding("model", GOOD, f"{model.name} at {model.folder}")
    if model.non_commercial:
        yield Finding("licence", DOUBTFUL, f"{model.licence}, not for commercial use", "give `accept_license`")
    if model.name != "mini" and devices_here().kind == "cpu":
        yield Finding("model", DOUBTFUL, f"{model.name} without a GPU here takes minutes a picture", "join a cluster")
