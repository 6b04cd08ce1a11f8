"""The schedules: what can be known of a crontab's line and of a CronJob without a cron or a Kubernetes."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from pressrun.jobs.cli.command import parser

ROOT = Path(__file__).parents[2]
CRON = (ROOT / "infra/nightly.cron").read_text()
[LINE] = [line for line in CRON.splitlines() if line and not line.startswith("#")]
SCHEDULE, COMMAND = re.fullmatch(r"((?:\S+ ){5})(.*)", LINE).groups()  # type: ignore[union-attr]
OBJECTS = {each["kind"]: each for each in yaml.safe_load_all((ROOT / "infra/nightly-cronjob.yaml").read_text())}
CRONJOB = OBJECTS["CronJob"]
RAYJOB = yaml.safe_load(OBJECTS["ConfigMap"]["data"]["rayjob.yaml"])
CLUSTER = next(iter(yaml.safe_load_all((ROOT / "infra/kuberay-cluster.yaml").read_text())))

# batch/v1 CronJobSpec, JobSpec and core/v1 PodSpec and Container as far as they are used:
# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/cron-job-v1/
CRONJOB_SPEC = {
    "concurrencyPolicy", "failedJobsHistoryLimit", "jobTemplate", "schedule", "startingDeadlineSeconds",
    "successfulJobsHistoryLimit", "suspend", "timeZone",
}  # fmt: skip
JOB_SPEC = {
    "activeDeadlineSeconds", "backoffLimit", "backoffLimitPerIndex", "completionMode", "completions", "managedBy",
    "manualSelector", "maxFailedIndexes", "parallelism", "podFailurePolicy", "podReplacementPolicy", "selector",
    "successPolicy", "suspend", "template", "ttlSecondsAfterFinished",
}  # fmt: skip
POD = {"containers", "restartPolicy", "securityContext", "serviceAccountName", "volumes"}
CONTAINER = {"command", "image", "name", "resources", "securityContext", "volumeMounts"}
# The fields of KubeRay's ray.io/v1 RayJob, https://docs.ray.io/en/latest/cluster/kubernetes/references/api.html
RAYJOB_SPEC = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint", "entrypointNumCpus",
    "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata", "rayClusterSpec", "runtimeEnvYAML",
    "shutdownAfterJobFinishes", "submissionMode", "submitterConfig", "submitterPodTemplate", "suspend",
    "ttlSecondsAfterFinished",
}  # fmt: skip


def pod() -> dict:
    return CRONJOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def container() -> dict:
    [only] = pod()["containers"]
    return only


def commands(script: str) -> list[list[str]]:
    """Every call of pressrun in a shell script."""
    calls = re.findall(r"pressrun ([^;&|}']*)", script.replace("\\%", "%"))
    return [shlex.split(call) for call in calls]


@pytest.mark.parametrize("script", [COMMAND, RAYJOB["spec"]["entrypoint"]], ids=["cron", "rayjob"])
def test_a_night_renders_publishes_and_prunes_with_options_that_there_are(script: str) -> None:
    parsed = [parser().parse_args(call) for call in commands(script)]
    assert [options.run.__name__ for options in parsed] == ["_render", "_publish", "_prune"]
    night, published, pruned = parsed
    assert (night.since, night.wait, night.max_minutes) == ("latest", True, 300)
    assert night.out == published.uri and night.out.startswith(f"{pruned.uri}/")
    assert published.remove is False


def test_both_schedules_do_the_same() -> None:
    assert commands(COMMAND) == commands(RAYJOB["spec"]["entrypoint"])


@pytest.mark.parametrize("code", [0, 1, 3])
def test_what_is_ready_is_published_unless_the_night_was_stopped(code: int, tmp_path: Path) -> None:
    """The line is run by a shell with a pressrun that only writes down how it was called."""
    (tmp_path / "pressrun").write_text(
        f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\n[ "$1" != render ] || exit {code}\n'
    )
    (tmp_path / "pressrun").chmod(0o755)
    (tmp_path / "store.env").write_text("")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    for script in (COMMAND.replace("\\%", "%"), RAYJOB["spec"]["entrypoint"]):
        (tmp_path / "calls").unlink(missing_ok=True)
        subprocess.run(["/bin/sh", "-c", script], env=environment, check=False)
        said = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]
        assert said == (["render"] if code == 3 else ["render", "publish", "prune"])
        assert re.search(r"nights/\d{4}-\d\d-\d\d ", (tmp_path / "calls").read_text())


def test_the_crontab_has_five_fields_and_no_bare_percent_sign() -> None:
    assert SCHEDULE.strip() == CRONJOB["spec"]["schedule"]
    assert re.fullmatch(r"[\d*/,-]+( [\d*/,-]+){4}", SCHEDULE.strip())
    assert not re.search(r"(?<!\\)%", COMMAND)


def test_no_object_has_an_unknown_field() -> None:
    assert (CRONJOB["apiVersion"], RAYJOB["apiVersion"], RAYJOB["kind"]) == ("batch/v1", "ray.io/v1", "RayJob")
    assert set(CRONJOB["spec"]) <= CRONJOB_SPEC
    assert {"schedule", "jobTemplate"} <= set(CRONJOB["spec"])
    assert set(CRONJOB["spec"]["jobTemplate"]["spec"]) <= JOB_SPEC
    assert set(pod()) <= POD and set(container()) <= CONTAINER
    assert set(RAYJOB["spec"]) <= RAYJOB_SPEC
    assert set(RAYJOB) == {"apiVersion", "kind", "metadata", "spec"}
    for kind, fields in {"ConfigMap": {"data"}, "ServiceAccount": set(), "Role": {"rules"}}.items():
        assert set(OBJECTS[kind]) == {"apiVersion", "kind", "metadata"} | fields
    assert set(OBJECTS["RoleBinding"]) == {"apiVersion", "kind", "metadata", "roleRef", "subjects"}


def test_values_have_the_types_and_words_that_kubernetes_wants() -> None:
    spec = CRONJOB["spec"]
    assert spec["concurrencyPolicy"] in ("Allow", "Forbid", "Replace") and type(spec["schedule"]) is str
    for name in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        assert type(spec[name]) is int
    assert pod()["restartPolicy"] in ("Never", "OnFailure"), "a Job allows no other"
    assert RAYJOB["spec"]["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
    assert all(type(value) is str for value in RAYJOB["spec"]["clusterSelector"].values())


def test_the_rayjob_finds_the_cluster_and_every_night_has_a_name_of_its_own() -> None:
    assert RAYJOB["spec"]["clusterSelector"] == {"ray.io/cluster": CLUSTER["metadata"]["name"]}
    assert "rayClusterSpec" not in RAYJOB["spec"], "with a selector there is none"
    assert "name" not in RAYJOB["metadata"] and len(RAYJOB["metadata"]["generateName"]) <= 40


def test_the_cronjob_mounts_the_rayjob_and_creates_it() -> None:
    [volume], [mount] = pod()["volumes"], container()["volumeMounts"]
    assert volume["name"] == mount["name"]
    assert volume["configMap"]["name"] == OBJECTS["ConfigMap"]["metadata"]["name"]
    [file] = OBJECTS["ConfigMap"]["data"]
    assert container()["command"] == ["kubectl", "create", f"--filename={mount['mountPath']}/{file}"]


def test_it_may_create_rayjobs_and_nothing_else() -> None:
    account = OBJECTS["ServiceAccount"]["metadata"]["name"]
    assert pod()["serviceAccountName"] == account
    assert OBJECTS["Role"]["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}]
    assert OBJECTS["RoleBinding"]["roleRef"]["name"] == OBJECTS["Role"]["metadata"]["name"]
    assert OBJECTS["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert container()["securityContext"]["allowPrivilegeEscalation"] is False
    assert container()["resources"]["limits"] == container()["resources"]["requests"]
