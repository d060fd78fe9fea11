"""Example 4 agrees with a plain model over random calls, collections, kills and restarts."""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program
from dolbuild.systems.durable import CHECKPOINT, JOURNAL, MARK
from dolbuild.systems.keeping import Opened, open_kept
from tests.systems.model import Cluster

EXAMPLES = int(os.environ.get("DOLBUILD_EXAMPLES", "40"))
"""Random sequences; the long run that the notes tell of takes thousands."""

NAMES = st.one_of(st.sampled_from(["web", "db", "", "x" * 255, "x" * 256, 'quo"te', "ä€😀"]), st.text(max_size=5))


def first_state(clusters: int, most: int, room: int) -> dict[str, Any]:
    return {
        "config": {
            "max_containers_per_cluster": most,
            "total_memory_limit_mb": 100 * clusters,
            "default_container_memory_mb": 64,
        },
        "clusters": [{"id": n, "name": f"c{n}", "containers": [], "total_memory_mb": 100} for n in range(clusters)],
        "scheduler": {"turn": 0},
        "monitor": {"room": room, "tracked": {}},
    }


def machine(wasm: bytes, tmp_path: Path) -> type[RuleBasedStateMachine]:
    """The state machine for one System."""
    program = Program(wasm)
    numbers = iter(range(1 << 30))

    class Machine(RuleBasedStateMachine):
        opened: Opened | None = None

        @initialize(clusters=st.integers(0, 3), most=st.integers(0, 6), room=st.integers(0, 12), stress=st.booleans())
        def start(self, clusters: int, most: int, room: int, stress: bool) -> None:
            self.folder = tmp_path / str(next(numbers))
            self.stress = stress
            self.model = Cluster(first_state(clusters, most, room))
            self.open(first_state(clusters, most, room))

        def open(self, given: dict[str, Any] | None) -> None:
            self.opened = open_kept(program, Host(Capabilities()), self.folder, given, synced=False)
            if self.stress:
                self.opened.running.instance.stress()

        def call(self, name: str, *arguments: Any) -> None:
            assert self.opened is not None
            self.model.call(self.opened.running, name, *arguments)

        @rule(
            name=NAMES,
            memory=st.sampled_from([None, 63, 64, 2**64 - 1]),
            keys=st.lists(st.text(max_size=3), max_size=3),
        )
        def deploy(self, name: str, memory: int | None, keys: list[str]) -> None:
            task: dict[str, Any] = {"name": name, "priority": -1}
            if memory is not None:
                task["config"] = {"memory_limit_mb": memory, "environment": {key: key * 2 for key in keys}}
            self.call("deploy", task)

        @rule(which=st.integers(0, 3), count=st.one_of(st.integers(-8, 8), st.just(-(2**31))))
        def scale(self, which: int, count: int) -> None:
            self.call("scale", which, count)

        @rule()
        def health_check(self) -> None:
            self.call("health_check")

        @rule(checkpoint=st.booleans(), torn=st.integers(0, 200))
        def killed(self, checkpoint: bool, torn: int) -> None:
            """The process ends, perhaps just after a checkpoint, perhaps in the middle of writing one more record."""
            assert self.opened is not None
            if checkpoint:
                self.opened.checkpoint()
            journal = (self.folder / JOURNAL).read_bytes()
            self.opened.close()
            record = journal[at:] if (at := journal.rfind(MARK)) > 0 else MARK + b"\x07" * 200
            with (self.folder / JOURNAL).open("ab") as file:
                file.write(record[: min(torn, len(record) - 1)])
            self.open(None)

        @invariant()
        def agree(self) -> None:
            if self.opened is not None:
                assert self.opened.running.state() == self.model.state

        def teardown(self) -> None:
            if self.opened is not None:
                self.opened.close()
                shutil.rmtree(self.folder)

    return Machine


def test_any_calls(cluster: bytes, tmp_path: Path) -> None:
    options = settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize="DOLBUILD_EXAMPLES" not in os.environ,
    )
    run_state_machine_as_test(machine(cluster, tmp_path), settings=options)


@pytest.mark.parametrize("seed", range(3))
def test_a_state_that_grows_and_shrinks(cluster: bytes, tmp_path: Path, seed: int) -> None:
    """Memory grows, is collected, and is given back by what is undone; checkpoints come by themselves."""
    choose = random.Random(seed)
    program = Program(cluster)
    given = first_state(3, 400, 1500)
    model = Cluster(first_state(3, 400, 1500))
    opened = open_kept(program, Host(Capabilities()), tmp_path / "kept", given, synced=False)
    checkpoints = {(tmp_path / "kept" / CHECKPOINT).stat().st_ino}
    for number in range(150):
        model.call(opened.running, "scale", choose.randrange(3), choose.randint(-200, 250))
        checkpoints.add((tmp_path / "kept" / CHECKPOINT).stat().st_ino)
        if number % 25 == 24:
            assert opened.running.state() == model.state
            opened.close()
            opened = open_kept(program, Host(Capabilities()), tmp_path / "kept", synced=False)
            assert opened.running.state() == model.state
    assert model.refusals["done"] > 20 and model.refusals["Broken"] > 20, model.refusals
    assert opened.running.image.instance.size() < 64 << 20
    opened.close()
