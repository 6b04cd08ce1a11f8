"""The schedules: a crontab's line run as cron would, a CronJob's entrypoint as KubeRay would, without either."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from infra.s3_server import S3Server
from pressrun.jobs.cli.command import parser
from pressrun.jobs.night.night import run_night
from pressrun.jobs.night.night_file import read_night_file
from pressrun.jobs.spec.context import Context
from tests.conftest import write_manifest
from tests.jobs.driven import made_up
from tests.jobs.executor_here import HereExecutor
from tests.opening import open_store, stores

ROOT = Path(__file__).parents[2]
CRON = (ROOT / "infra/nightly.cron").read_text()
[LINE] = [line for line in CRON.splitlines() if line and not line.startswith("#")]
SCHEDULE, COMMAND = re.fullmatch(r"((?:\S+ ){5})(.*)", LINE).groups()  # type: ignore[union-attr]
OBJECTS = {each["kind"]: each for each in yaml.safe_load_all((ROOT / "infra/nightly-cronjob.yaml").read_text())}
CRONJOB = OBJECTS["CronJob"]
RAYJOB = yaml.safe_load(OBJECTS["ConfigMap"]["data"]["rayjob.yaml"])
HERE = HereExecutor(lambda job, item: made_up(item.render_key))
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


def call(script: str) -> list[str]:
    """The call of pressrun in a shell script."""
    [found] = re.findall(r"pressrun (night [^;&|}']*)", script.replace("\\%", "%"))
    return shlex.split(found)


@pytest.mark.parametrize("script", [COMMAND, RAYJOB["spec"]["entrypoint"]], ids=["cron", "rayjob"])
def test_a_schedule_runs_a_night_with_options_that_there_are(script: str) -> None:
    options = parser().parse_args(call(script))
    assert options.run.__name__ == "_night" and options.file.endswith("night.toml")


def test_the_shipped_file_renders_publishes_and_prunes_and_withdraws_nothing() -> None:
    file = read_night_file(stores(), str(ROOT / "infra/night.toml"))
    assert (file.keep, file.diff_page, file.timezone) == (14, True, CRONJOB["spec"]["timeZone"])
    assert file.publication and not file.publication.remove
    assert (file.spec("2026-11-30").wait, file.spec("2026-11-30").max_minutes) == (True, 300)
    assert not (file.before or file.on_finish), "which a file in a bucket may not have"


ROWS = [
    {"custom_id": f"mug-{number}", "prompt": "a red mug", "width": 64, "height": 64, "steps": 1} for number in range(3)
]


def test_crons_clean_shell_runs_a_night(tmp_path: Path) -> None:
    """As cron does it: no environment but HOME, a short PATH, and /bin/sh; with Ray."""
    home = tmp_path / "pressrun"
    home.mkdir()
    (home / ".venv").symlink_to(Path(sys.executable).parents[1])
    (home / "store.env").write_text("AWS_REGION=eu-central-1\nPRESSRUN_WEBHOOK_SECRET='with a blank'\n")
    shipped = (ROOT / "infra/night.toml").read_text()
    (home / "night.toml").write_text(
        shipped.replace("s3://catalog/", "") + "[hooks]\nbefore = 'echo $AWS_REGION $PRESSRUN_WEBHOOK_SECRET > env'\n"
    )
    write_manifest(home, ROWS, "tonight.parquet")
    environment = ["env", "-i", f"HOME={tmp_path}", "PATH=/usr/bin:/bin"]
    done = subprocess.run([*environment, "/bin/sh", "-c", COMMAND], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert re.match(r"Pressrun night \d{4}-\d\d-\d\d: done, 3 of 3 pictures ready, 3 published\n", done.stdout)
    assert done.stderr == "", "cron would mail it"
    assert sorted(path.name for path in (home / "images").iterdir()) == ["mug-0.png", "mug-1.png", "mug-2.png"]
    [report] = (home / "reports").iterdir()
    assert report.read_text() == done.stdout
    assert (home / "env").read_text() == "eu-central-1 with a blank\n"


def test_crons_line_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "pressrun").mkdir()
    environment = ["env", "-i", f"HOME={tmp_path}", "PATH=/usr/bin:/bin"]
    done = subprocess.run([*environment, "/bin/sh", "-c", COMMAND], capture_output=True, text=True)
    assert done.returncode != 0 and "store.env" in done.stderr


def test_the_rayjobs_entrypoint_runs_a_night(s3: S3Server, s3_environment: None) -> None:
    """As KubeRay does it: a shell in a pod that has the store's credentials. What the night before has is kept."""
    s3.create_bucket("catalog")
    try:
        catalog = open_store("s3://catalog")
        catalog.put("night.toml", (ROOT / "infra/night.toml").read_bytes())
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(ROWS), sink)
        catalog.put("tonight.parquet", sink.getvalue().to_pybytes())
        file = read_night_file(stores(), "s3://catalog/night.toml")
        run_night(file, Context.of_this_process(), name="2020-01-01", executor=HERE)
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")} | {"PATH": path}
        script = RAYJOB["spec"]["entrypoint"]
        done = subprocess.run(["/bin/sh", "-c", script], env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        assert "3 of 3 pictures ready" in done.stdout and "3 cached" in done.stdout
        nights = [name for name in catalog.level("nights")[0] if not name.startswith(".")]
        assert len(nights) == 2 and catalog.get(f"reports/{nights[-1]}.txt").decode() == done.stdout
        assert catalog.head("images/mug-0.png") and catalog.head(f"nights/{nights[-1]}/diff.html")
    finally:
        for path in [*open_store("s3://catalog").paths()]:
            open_store("s3://catalog").delete(path)
        s3.client.delete_bucket(Bucket="catalog")


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
