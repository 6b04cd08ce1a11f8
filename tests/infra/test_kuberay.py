"""The cluster's description and the image: what can be known of them without a Kubernetes."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLUSTER, POLICY = yaml.safe_load_all((ROOT / "infra/kuberay-cluster.yaml").read_text())
HEAD = CLUSTER["spec"]["headGroupSpec"]
WORKERS = {group["groupName"]: group for group in CLUSTER["spec"]["workerGroupSpecs"]}
GROUPS = {"head": HEAD, **WORKERS}
DOCKERFILE = (ROOT / "infra/Dockerfile").read_text()

# The fields of KubeRay's ray.io/v1 RayCluster, https://docs.ray.io/en/latest/cluster/kubernetes/references/api.html
SPEC = {
    "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
    "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "upgradeStrategy", "workerGroupSpecs",
}  # fmt: skip
GROUP = {"labels", "rayStartParams", "resources", "template"}
HEAD_GROUP = GROUP | {"enableIngress", "headService", "serviceType"}
WORKER_GROUP = GROUP | {
    "groupName", "idleTimeoutSeconds", "maxReplicas", "minReplicas", "numOfHosts", "replicas", "scaleStrategy",
    "suspend",
}  # fmt: skip


def container(group: dict) -> dict:
    [only] = group["template"]["spec"]["containers"]
    return only


def test_it_is_a_ray_cluster_with_no_unknown_field():
    assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == ("ray.io/v1", "RayCluster")
    assert set(CLUSTER) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(CLUSTER["spec"]) <= SPEC
    assert set(HEAD) <= HEAD_GROUP
    assert all(set(group) <= WORKER_GROUP for group in WORKERS.values())


@pytest.mark.parametrize("name", GROUPS)
def test_values_have_the_types_that_kubernetes_wants(name: str):
    group = GROUPS[name]
    assert all(type(value) is str for value in group["rayStartParams"].values())
    for amounts in container(group)["resources"].values():
        assert all(type(value) is str for value in amounts.values())
    if name != "head":
        assert all(type(group[key]) is int for key in ("replicas", "minReplicas", "maxReplicas"))
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_ray_is_the_version_that_the_package_pins():
    [pin] = [each for each in PROJECT["dependencies"] if re.match(r"ray\b", each)]
    [(major, minor)] = re.findall(r">=(\d+)\.(\d+)", pin)
    assert CLUSTER["spec"]["rayVersion"].split(".")[:2] == [major, minor]


@pytest.mark.parametrize("name", GROUPS)
def test_every_pod_runs_the_image_of_this_version(name: str):
    tag = container(GROUPS[name])["image"].rpartition(":")[2]
    assert tag == PROJECT["version"] + ("-cuda" if name == "gpu" else "")


@pytest.mark.parametrize("name", GROUPS)
def test_every_pod_has_limits(name: str):
    resources = container(GROUPS[name])["resources"]
    assert resources["limits"] == resources["requests"]
    assert {"cpu", "memory"} <= set(resources["limits"])


def test_only_the_gpu_workers_ask_for_gpus():
    asking = {name for name, group in GROUPS.items() if "nvidia.com/gpu" in container(group)["resources"]["limits"]}
    assert asking == {"gpu"}


@pytest.mark.parametrize("name", GROUPS)
def test_credentials_come_from_a_secret_and_are_never_written_here(name: str):
    only = container(GROUPS[name])
    assert only["envFrom"] == [{"secretRef": {"name": "pressrun-store"}}]
    assert not [each for each in only.get("env", []) if "value" in each]


@pytest.mark.parametrize("name", GROUPS)
def test_no_pod_has_privileges(name: str):
    pod = GROUPS[name]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container(GROUPS[name])["securityContext"]["allowPrivilegeEscalation"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


def test_nothing_is_reachable_from_outside_and_ray_wants_its_token():
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token"}
    assert HEAD["serviceType"] == "ClusterIP"
    own = {"podSelector": {"matchLabels": {"ray.io/cluster": CLUSTER["metadata"]["name"]}}}
    assert POLICY["spec"] == own | {"policyTypes": ["Ingress"], "ingress": [{"from": [own]}]}


def test_the_image_runs_as_a_user_without_privileges():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", last, re.MULTILINE) == ["1000:1000"]
    assert last.index("USER ") > last.rindex("\nRUN "), "what is installed belongs to root"


def test_the_image_is_built_from_named_versions_of_our_python():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert bases[0].startswith("python:3.11-slim")


def test_the_image_holds_every_package_and_nothing_of_the_rest():
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE))
    assert {"pipeline", "cluster", "jobs"} <= copied
    assert "." not in copied


def test_a_build_argument_chooses_the_build_of_torch_and_cpu_is_the_default():
    assert "ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu\n" in DOCKERFILE
