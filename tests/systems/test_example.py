"""Example 4 of the specification, as it is written: every function, and each of its three constraints broken on purpose."""

from typing import Any

import pytest

from dolbuild.systems.running import Broken, GaveError, Running
from tests.systems.conftest import make

CONFIG = {"max_containers_per_cluster": 3, "total_memory_limit_mb": 500, "default_container_memory_mb": 64}
TASK = {"name": "web", "config": {"memory_limit_mb": 128, "environment": {"A": "1"}}, "priority": 5}


def started(wasm: bytes, **more: Any) -> Running:
    running = make(wasm)
    clusters = [{"id": n, "name": f"c{n}", "total_memory_mb": 250} for n in (1, 2)]
    running.start({"config": CONFIG, "clusters": clusters, **more})
    return running


def test_deploy_scale_and_look(cluster: bytes) -> None:
    running = started(cluster)
    first = running.call("deploy", {"task": TASK})
    assert first == {
        "id": 1, "name": "web", "state": "Running",
        "config": {"memory_limit_mb": 128, "cpu_shares": 1024, "environment": {"A": "1"}},
    }  # fmt: skip
    assert running.call("deploy", [TASK])["id"] == 2
    assert [len(c["containers"]) for c in running.state("clusters")] == [1, 1]  # they take turns
    assert running.call("scale", {"cluster_id": 2, "count": 2}) is None
    assert [c["name"] for c in running.state("clusters")[1]["containers"]] == ["web", "scaled-3", "scaled-5"]
    assert running.call("health_check", {}) == {"total_containers": 4, "unhealthy_count": 0, "unhealthy_ids": []}
    running.call("scale", {"cluster_id": 2, "count": -2})
    running.call("scale", {"cluster_id": 2, "count": -9})
    assert running.call("health_check", {})["total_containers"] == 1
    assert set(running.state("monitor")["tracked"]) == {"1"}
    with pytest.raises(GaveError, match="CapacityExceeded"):
        running.call("scale", {"cluster_id": 3, "count": 1})


def test_what_is_not_healthy(cluster: bytes) -> None:
    bad = {"id": 70, "name": "bad", "state": {"Failed": {"message": "no"}}}
    running = make(cluster)
    running.start({
        "config": CONFIG,
        "clusters": [{"id": 1, "name": "a", "total_memory_mb": 1, "containers": [bad]}],
        "monitor": {"room": 9, "tracked": {"70": bad}},
    })  # fmt: skip
    assert running.call("health_check", []) == {"total_containers": 1, "unhealthy_count": 1, "unhealthy_ids": [70]}
    with pytest.raises(GaveError) as raised:
        running.call("scale", [1, -1])
    state = {"expected": "Running", "actual": 'Failed(message: "no")'}
    assert raised.value.value == {"ContainerError": {"inner": {"InvalidState": state}}}
    assert running.state("clusters")[0]["containers"][0]["id"] == 70 and "70" in running.state("monitor")["tracked"]


def refused(running: Running, name: str, arguments: list[Any]) -> Broken:
    before = running.state()
    with pytest.raises(Broken) as raised:
        running.call(name, arguments)
    assert running.state() == before
    return raised.value


def test_max_containers_per_cluster(cluster: bytes) -> None:
    running = started(cluster)
    for _ in range(6):
        running.call("deploy", [TASK])
    broken = refused(running, "deploy", [TASK])
    assert broken.constraint.name == "max_containers_per_cluster"
    assert broken.values[-2:] == ("cluster.containers.len = 4", "this.config.max_containers_per_cluster = 3")
    assert refused(running, "scale", [2, 1]).constraint.name == "max_containers_per_cluster"
    running.call("scale", [1, -1])
    assert running.call("deploy", [TASK])["id"] == 7  # the number of the one that was undone


def test_total_memory_limit(cluster: bytes) -> None:
    with pytest.raises(Broken) as raised:
        started(cluster, config={**CONFIG, "total_memory_limit_mb": 499})
    assert raised.value.constraint.name == "total_memory_limit"
    assert raised.value.values == (
        "sum(this.clusters.map(c => c.total_memory_mb)) = 500", "this.config.total_memory_limit_mb = 499",
    )  # fmt: skip


def test_all_containers_monitored(cluster: bytes) -> None:
    running = started(cluster, monitor={"room": 1, "tracked": {}})
    running.call("deploy", [TASK])
    broken = refused(running, "deploy", [TASK])
    assert broken.constraint.name == "all_containers_monitored" and broken.values[-1] == "container.id = 2"
    assert refused(running, "scale", [1, 2]).constraint.name == "all_containers_monitored"
    assert running.call("health_check", []) == {"total_containers": 1, "unhealthy_count": 0, "unhealthy_ids": []}
