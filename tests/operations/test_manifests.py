"""The manifests are valid and hardened, and their programs accept their arguments and settings."""

import hashlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import kubernetes_validate
import pytest

from messaging_api.server.listener import GRACE
from messaging_api.settings.server import Settings
from tests.support.manifests import FOLDER, Manifest, Place, manifests, pod, reaches
from tests.support.programs import require
from tests.support.redis_server import redis_running
from tests.support.service import serving, wait_for

WORKLOADS = [("Deployment", "messaging-api"), ("StatefulSet", "redis")]
Resources = dict[tuple[str, str], Manifest]


@pytest.mark.parametrize("version", ["1.27", "1.31", "1.34", "1.37"])
def test_each_manifest_is_valid(version: str) -> None:
    """Each is valid against the schemas of Kubernetes; unknown fields are errors."""
    for resource in manifests().values():
        kubernetes_validate.validate(resource, version, strict=True)


def test_validator_finds_errors() -> None:
    """An unknown field and a wrong type are found."""
    for spoil in ({"replcas": 3}, {"replicas": "three"}):
        deployment = manifests()["Deployment", "messaging-api"]
        deployment["spec"] |= spoil
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(deployment, "1.31", strict=True)


def test_every_manifest_is_in_the_kustomization() -> None:
    """Every manifest in the folder is named by kustomization.yaml."""
    named = set(re.findall(r"^  - (\S+\.yaml)$", (FOLDER / "kustomization.yaml").read_text(), re.MULTILINE))
    assert named == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}


def container(template: Manifest) -> Manifest:
    """Return the one container of a pod."""
    (only,) = template["spec"]["containers"]
    assert "initContainers" not in template["spec"]
    return dict(only)


HARDENING: dict[str, Callable[[Manifest, Manifest], object]] = {
    "not root": lambda pod, box: (
        pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
    ),
    "not root by the container either": lambda pod, box: box["securityContext"]["runAsNonRoot"] is True,
    "a group that is not root's": lambda pod, box: pod["securityContext"]["runAsGroup"] > 0,
    "read-only root": lambda pod, box: box["securityContext"]["readOnlyRootFilesystem"] is True,
    "no capabilities": lambda pod, box: box["securityContext"]["capabilities"] == {"drop": ["ALL"]},
    "no escalation": lambda pod, box: box["securityContext"]["allowPrivilegeEscalation"] is False,
    "seccomp": lambda pod, box: pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
    "no token": lambda pod, box: pod["automountServiceAccountToken"] is False,
    "no variables of services": lambda pod, box: pod["enableServiceLinks"] is False,
    "memory is limited": lambda pod, box: box["resources"]["limits"]["memory"],
    "CPU is limited": lambda pod, box: box["resources"]["limits"]["cpu"],
    "resources are asked for": lambda pod, box: {"cpu", "memory"} <= set(box["resources"]["requests"]),
    "started": lambda pod, box: box["startupProbe"],
    "alive": lambda pod, box: box["livenessProbe"],
    "ready": lambda pod, box: box["readinessProbe"],
    "a pinned image": lambda pod, box: re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", box["image"]),
    "secrets are for their reader": lambda pod, box: all(
        volume["secret"]["defaultMode"] == 0o440 for volume in pod["volumes"] if "secret" in volume
    ),
    "no secret in the environment": lambda pod, box: "secretKeyRef" not in str(box) and "secretRef" not in str(box),
    "no host": lambda pod, box: not re.search("host(Network|PID|IPC|Path|Port)", str(pod)),
}
"""What a pod and its container must be."""


NAIVE: Manifest = {
    "spec": {
        "containers": [
            {
                "name": "naive",
                "image": "redis:latest",
                "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "ports": [{"containerPort": 1, "hostPort": 1}],
                "resources": {"limits": {}, "requests": {}},
                "securityContext": {"capabilities": {}},
            }
        ],
        "volumes": [{"name": "s", "secret": {"secretName": "s"}}],
        "securityContext": {},
    }
}
"""A pod with defaults only."""


def has(property_: str, template: Manifest) -> bool:
    """Return whether a pod has a property; a field that is missing does not count."""
    try:
        return bool(HARDENING[property_](template["spec"], container(template)))
    except KeyError:
        return False


@pytest.mark.parametrize("property_", HARDENING)
def test_pods_are_hardened(property_: str) -> None:
    """Both pods have each property, and a pod with defaults fails the check."""
    assert [has(property_, pod(manifests(), *workload)) for workload in WORKLOADS] == [True, True]
    assert not has(property_, NAIVE)


def test_service_pod_has_its_user_replicas_and_grace() -> None:
    """The service runs as the image's user, with three replicas and time to finish requests."""
    resources = manifests()
    deployment, template = resources["Deployment", "messaging-api"], pod(resources, "Deployment", "messaging-api")
    security = template["spec"]["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (431, 433, 433)
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    settings = resources["ConfigMap", "messaging-api-settings"]["data"]
    drain, grace = int(settings["MESSAGING_API_DRAIN_SECONDS"]), template["spec"]["terminationGracePeriodSeconds"]
    assert grace > drain + GRACE
    probe = container(template)["readinessProbe"]
    assert drain > probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert resources["Namespace", "messaging-api"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == (
        "restricted"
    )


def test_references_resolve() -> None:
    """Selectors match their pods; autoscaler, ingress and probes refer to existing objects."""
    resources = manifests()
    for (kind, name), resource in resources.items():
        spec = resource.get("spec", {})
        if kind == "Service":
            workload = WORKLOADS[name == "redis"]
            assert spec["selector"].items() <= pod(resources, *workload)["metadata"]["labels"].items()
            ports = {port["name"] for port in container(pod(resources, *workload))["ports"]}
            assert {port["targetPort"] for port in spec["ports"]} <= ports
    labels = pod(resources, *WORKLOADS[0])["metadata"]["labels"]
    budget = resources["PodDisruptionBudget", "messaging-api"]["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["maxUnavailable"] == 1
    scaler = resources["HorizontalPodAutoscaler", "messaging-api"]["spec"]
    assert (scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]) in resources
    assert scaler["minReplicas"] == 3
    (rule,) = resources["Ingress", "messaging-api"]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert {"name": backend["port"]["name"]}.items() <= resources["Service", backend["name"]]["spec"]["ports"][
        0
    ].items()
    for spread in pod(resources, *WORKLOADS[0])["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


OURS = "messaging-api"
SERVICE, REDIS = (Place(OURS, {"app.kubernetes.io/name": name}) for name in ("messaging-api", "redis"))
STRANGER = Place(OURS, {"app.kubernetes.io/name": "debug"})
CONTROLLER = Place("ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"})
PROMETHEUS = Place("monitoring", {"app.kubernetes.io/name": "prometheus"})
DNS = Place("kube-system", {"k8s-app": "kube-dns"})
ELSEWHERE = Place("default", {"app.kubernetes.io/name": "messaging-api"})
EVERYBODY = (SERVICE, REDIS, STRANGER, CONTROLLER, PROMETHEUS, DNS, ELSEWHERE)

ALLOWED = {
    (CONTROLLER.labels["app.kubernetes.io/name"], 5000, "messaging-api"),
    ("prometheus", 9000, "messaging-api"),
    ("messaging-api", 6379, "redis"),
    ("messaging-api", 53, "kube-dns"),
}


def talk(resources: Resources) -> set[tuple[str, int, str]]:
    """Return the allowed connections of which at least one end is ours."""
    return {
        (name(source), port, name(target))
        for source in EVERYBODY
        for target in EVERYBODY
        for port in (53, 80, 443, 5000, 6379, 9000)
        if OURS in (source.namespace, target.namespace) and reaches(resources, source, target, port)
    }


def name(place: Place) -> str:
    """Return a short name of a pod."""
    (label,) = place.labels.values()
    return label if place.namespace != "default" else f"{place.namespace}/{label}"


def test_only_the_service_reaches_redis() -> None:
    """Ingress controller → service → Redis, Prometheus → ops port, service → DNS; of all pairs and ports no other."""
    assert talk(manifests()) == ALLOWED


@pytest.mark.parametrize("policy", ["nothing-else", "messaging-api", "redis"])
def test_each_policy_is_needed(policy: str) -> None:
    """Without any one of the policies, the allowed connections differ."""
    resources = manifests()
    del resources["NetworkPolicy", policy]
    assert talk(resources) != ALLOWED


def test_redis_starts_with_its_arguments(tmp_path: Path) -> None:
    """A real Redis starts with these arguments and a real ACL; the probe's command and the service's login work."""
    box = container(pod(manifests(), "StatefulSet", "redis"))
    acl = tmp_path / "users.acl"
    rights = (FOLDER.parent / "redis" / "users.acl.template").read_text()
    acl.write_text(rights.replace("@PASSWORD_SHA256@", hashlib.sha256(b"hush").hexdigest()))
    said = {"--port": None, "--dir": None, "--bind": None, "--aclfile": str(acl)}
    options = [said.get(before, argument) for before, argument in zip(["", *box["args"]], box["args"], strict=False)]
    pairs = list(zip(options[::2], options[1::2], strict=True))
    taken = [part for option, value in pairs if value is not None for part in (option, value)]
    assert box["command"] == ["redis-server"]
    with redis_running(tmp_path, *taken) as redis:
        probe = [require("redis-cli"), "-p", str(redis.port), *box["readinessProbe"]["exec"]["command"][1:]]
        assert subprocess.run(probe, capture_output=True, text=True, check=True).stdout.strip() == "PONG"
        with serving(tmp_path, f"redis://messaging_api:hush@127.0.0.1:{redis.port}") as service:
            link = httpx.post(service.url, json={"message": "x", "reads": 1}).headers["location"]
            assert httpx.get(link, headers={"accept": "text/plain"}).text == "x"
            assert "messaging_store_full_ratio" in httpx.get(f"{service.ops_url}/metrics").text


def test_service_starts_with_its_settings(tmp_path: Path) -> None:
    """The real service starts with the settings of the ConfigMap and the store's address in a file; the probes work."""
    resources = manifests()
    box = container(pod(resources, "Deployment", "messaging-api"))
    settings = dict(resources["ConfigMap", "messaging-api-settings"]["data"])
    (mount,) = (one for one in box["volumeMounts"] if one["name"] == "store")
    assert settings["MESSAGING_API_STORE_FILE"].startswith(f"{mount['mountPath']}/")
    assert box["envFrom"] == [{"configMapRef": {"name": "messaging-api-settings"}}]
    secret = tmp_path / "url"
    secret.write_text(f"sqlite://{tmp_path}/m.db\n")
    settings |= {"MESSAGING_API_STORE_FILE": str(secret), "MESSAGING_API_DRAIN_SECONDS": "0"}
    with serving(tmp_path, None, **settings) as service:
        ports = {port["name"]: port["containerPort"] for port in box["ports"]}
        assert ports == {"http": Settings().port, "ops": Settings().ops_port}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert box[probe]["httpGet"]["port"] == "ops"
            assert httpx.get(service.ops_url + box[probe]["httpGet"]["path"]).status_code == 200
        assert httpx.post(service.url, json={"message": "x"}).json()["url"].startswith("https://messages.example.org/")
        wait_for(lambda: '"event":"request"' in service.console.read_text())
        assert not service.log.exists()
    with (
        pytest.raises(
            AssertionError, match="MESSAGING_API_SERVICE_HOST is not a setting"
        ),  # what service links would do
        serving(tmp_path, None, **settings, MESSAGING_API_SERVICE_HOST="10.0.0.1"),
    ):
        pass
