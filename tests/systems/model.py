"""A plain model of example 4: what its functions have to do, and what its constraints have to refuse."""

import copy
from dataclasses import dataclass, field
from typing import Any

from dolbuild.systems.running import Broken, GaveError, Refused, Running, Stopped, WrongArguments

Json = dict[str, Any]
DEFAULT_CONFIG = {"memory_limit_mb": 512, "cpu_shares": 1024, "environment": {}}


@dataclass
class Cluster:
    """The state as JSON has it, and the number that the last container has got."""

    state: Json
    last_id: int = 0
    refusals: dict[str, int] = field(default_factory=dict)

    def container(self, name: str) -> Json:
        self.last_id += 1
        return {"id": self.last_id, "name": name, "state": "Running", "config": copy.deepcopy(DEFAULT_CONFIG)}

    def track(self, container: Json) -> None:
        monitor = self.state["monitor"]
        if len(monitor["tracked"]) < monitor["room"]:
            monitor["tracked"][str(container["id"])] = container

    # -- functions --------------------------------------------------------------------------------

    def deploy(self, task: Json) -> Any:
        clusters, scheduler = self.state["clusters"], self.state["scheduler"]
        config = {**copy.deepcopy(DEFAULT_CONFIG), **task.get("config", {})}
        if config["memory_limit_mb"] < 64:
            raise WrongArguments("task.config", "")
        if not clusters:
            raise GaveError("NoCapacity")
        cluster = clusters[scheduler["turn"] % len(clusters)]
        scheduler["turn"] += 1
        if not 0 < len(task["name"]) <= 255:
            raise Stopped("", ())
        container = self.container(task["name"]) | {"config": config}
        self.track(container)
        cluster["containers"].append(container)
        return container

    def scale(self, cluster_id: int, count: int) -> Any:
        cluster = next((c for c in self.state["clusters"] if c["id"] == cluster_id), None)
        if cluster is None:
            raise GaveError("CapacityExceeded")
        if count == -(1 << 31):
            raise Stopped("", ())
        if count > 0:
            for _ in range(count):
                self.last_id += 1
                container = self.container(f"scaled-{self.last_id}")
                cluster["containers"].append(container)
                self.track(container)
            return None
        containers = cluster["containers"]
        kept = max(0, len(containers) + count)
        for container in containers[kept:]:
            self.state["monitor"]["tracked"].pop(str(container["id"]), None)
            if container["state"] != "Running":
                state = {"expected": "Running", "actual": container["state"]}
                raise GaveError({"ContainerError": {"inner": {"InvalidState": state}}})
            container["state"] = "Stopped"
        del containers[kept:]
        return None

    def health_check(self) -> Any:
        tracked = self.state["monitor"]["tracked"]
        containers = [c for cluster in self.state["clusters"] for c in cluster["containers"]]
        bad = [c["id"] for c in containers if tracked.get(str(c["id"]), {}).get("state") != "Running"]
        return {"total_containers": len(containers), "unhealthy_count": len(bad), "unhealthy_ids": bad}

    # -- constraints ------------------------------------------------------------------------------

    def broken(self) -> str | None:
        state = self.state
        if any(len(c["containers"]) > state["config"]["max_containers_per_cluster"] for c in state["clusters"]):
            return "max_containers_per_cluster"
        if sum(c["total_memory_mb"] for c in state["clusters"]) > state["config"]["total_memory_limit_mb"]:
            return "total_memory_limit"
        tracked = state["monitor"]["tracked"]
        if any(str(c["id"]) not in tracked for cluster in state["clusters"] for c in cluster["containers"]):
            return "all_containers_monitored"
        return None

    # -- both together ----------------------------------------------------------------------------

    def call(self, running: Running, name: str, *arguments: Any) -> str:
        """Call a function of the System and of the model: both give the same, or are refused for the same reason, and then the
        state is as before. Gives how it ended."""
        before = copy.deepcopy((self.state, self.last_id))
        expected: Any = None
        refused: tuple[type, str] | None = None
        try:
            expected = copy.deepcopy(getattr(self, name)(*copy.deepcopy(arguments)))
            broken = self.broken()
            if broken is not None:
                refused = (Broken, broken)
        except Refused as error:
            refused = (type(error), str(getattr(error, "value", "")))
        if refused is not None:
            self.state, self.last_id = before
        try:
            given = running.call(name, list(arguments))
        except Refused as error:
            shown = error.constraint.name if isinstance(error, Broken) else str(getattr(error, "value", ""))
            assert refused == (type(error), shown), (name, arguments, error)
        else:
            assert refused is None, (name, arguments, given, refused)
            assert given == expected, (name, arguments)
        how = "done" if refused is None else refused[0].__name__
        self.refusals[how] = self.refusals.get(how, 0) + 1
        return how
