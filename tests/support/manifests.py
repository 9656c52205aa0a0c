"""The resources of `kubectl apply -k deploy/kubernetes`, and the connections that they allow."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.support.programs import require

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"

Manifest = dict[str, Any]


@cache
def rendered() -> str:
    """Return the output of `kubectl kustomize`."""
    ran = subprocess.run([require("kubectl"), "kustomize", str(FOLDER)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def manifests() -> dict[tuple[str, str], Manifest]:
    """Return every resource by kind and name; a copy that may be changed."""
    found = list(yaml.safe_load_all(rendered()))
    named = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(named) == len(found)
    return named


def pod(resources: dict[tuple[str, str], Manifest], kind: str, name: str) -> Manifest:
    """Return the pod template of a workload."""
    template: Manifest = resources[kind, name]["spec"]["template"]
    return template


class Place(NamedTuple):
    """The location of a pod: the name of its namespace, and its labels."""

    namespace: str
    labels: dict[str, str]


def reaches(resources: dict[tuple[str, str], Manifest], source: Place, target: Place, port: int) -> bool:
    """Return whether TCP from a pod to a port of another is allowed (NetworkPolicy: additive; both ends must allow)."""
    return _allows(resources, "egress", source, target, port) and _allows(resources, "ingress", target, source, port)


def _allows(resources: dict[tuple[str, str], Manifest], direction: str, here: Place, there: Place, port: int) -> bool:
    policies = [
        one["spec"]
        for (kind, _), one in resources.items()
        if kind == "NetworkPolicy"
        and one["metadata"]["namespace"] == here.namespace
        and direction.capitalize() in one["spec"]["policyTypes"]
        and _matches(one["spec"]["podSelector"], here.labels)
    ]
    rules = [rule for policy in policies for rule in policy.get(direction, [])]
    return not policies or any(_rule_allows(rule, direction, here, there, port) for rule in rules)


def _rule_allows(rule: Manifest, direction: str, here: Place, there: Place, port: int) -> bool:
    peers = rule.get("from" if direction == "ingress" else "to", [])
    ports = rule.get("ports", [])
    right_port = not ports or any(one["port"] == port and one.get("protocol", "TCP") == "TCP" for one in ports)
    return right_port and (not peers or any(_is_peer(peer, here, there) for peer in peers))


def _is_peer(peer: Manifest, here: Place, there: Place) -> bool:
    assert set(peer) <= {"namespaceSelector", "podSelector"}, "this peer is not understood here"
    if "namespaceSelector" in peer:
        right = _matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": there.namespace})
    else:
        right = here.namespace == there.namespace
    return right and _matches(peer.get("podSelector", {}), there.labels)


def _matches(selector: Manifest, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "this selector is not understood here"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
