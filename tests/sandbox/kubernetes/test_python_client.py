"""The official Python client, which checks every answer against its models."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

client = pytest.importorskip("kubernetes.client")
config = pytest.importorskip("kubernetes.config")
watching = pytest.importorskip("kubernetes.watch")


@pytest.fixture(scope="module")
def api_client(kubeconfig: Path) -> Iterator[Any]:
    with config.new_client_from_config(str(kubeconfig)) as made:
        yield made


def config_map(name: str, **data: str) -> Any:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"by": "test"}), data=data)


def test_objects_can_be_made_changed_and_deleted(api_client: Any, namespace: str) -> None:
    core = client.CoreV1Api(api_client)
    core.create_namespaced_config_map(namespace, config_map("a", k="v"))
    core.patch_namespaced_config_map("a", namespace, {"data": {"n": "1"}})
    assert core.read_namespaced_config_map("a", namespace).data == {"k": "v", "n": "1"}
    listed = core.list_namespaced_config_map(namespace, label_selector="by=test")
    assert [one.metadata.name for one in listed.items] == ["a"]
    core.delete_namespaced_config_map("a", namespace)
    with pytest.raises(client.ApiException) as missing:
        core.read_namespaced_config_map("a", namespace)
    assert missing.value.status == 404


def test_typed_answers_of_deletions_can_be_read(api_client: Any, namespace: str) -> None:
    core, apps = client.CoreV1Api(api_client), client.AppsV1Api(api_client)
    container = client.V1Container(name="c", image="busybox")
    pod = client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=client.V1PodSpec(containers=[container]))
    core.create_namespaced_pod(namespace, pod)
    assert core.delete_namespaced_pod("p", namespace).metadata.name == "p"
    template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": "x"}), spec=pod.spec)
    spec = client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels={"app": "x"}), template=template)
    apps.create_namespaced_deployment(namespace, client.V1Deployment(metadata=client.V1ObjectMeta(name="d"), spec=spec))
    apps.patch_namespaced_deployment_scale("d", namespace, {"spec": {"replicas": 3}})
    assert apps.read_namespaced_deployment("d", namespace).spec.replicas == 3
    apps.delete_namespaced_deployment("d", namespace)
    assert apps.list_namespaced_deployment(namespace).items == []
    assert client.VersionApi(api_client).get_code().major == "1"


def test_a_watch_begins_with_what_is_there_and_goes_on(api_client: Any, namespace: str) -> None:
    core = client.CoreV1Api(api_client)
    core.create_namespaced_config_map(namespace, config_map("first"))
    later = threading.Timer(0.2, core.create_namespaced_config_map, (namespace, config_map("second")))
    later.start()
    stream = watching.Watch()
    seen = []
    for event in stream.stream(core.list_namespaced_config_map, namespace, timeout_seconds=10):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            stream.stop()
    later.join()
    assert seen == [("ADDED", "first"), ("ADDED", "second")]
