"""``dolbuild up`` and ``exec`` as processes: HTTP, wrong requests, clients that hang, kills at random moments, stopping."""

import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.workspaces import Workspace

STATE = {
    "config": {"max_containers_per_cluster": 50, "total_memory_limit_mb": 1000, "default_container_memory_mb": 64},
    "clusters": [{"id": 1, "name": "a", "total_memory_mb": 100}, {"id": 2, "name": "b", "total_memory_mb": 100}],
}

ROOMY: dict[str, Any] = {
    **STATE,
    "config": {
        "max_containers_per_cluster": 4_000_000_000,
        "total_memory_limit_mb": 1000,
        "default_container_memory_mb": 64,
    },
}


class Up:
    """A running ``dolbuild up``."""

    def __init__(self, workspace: Workspace, kept: Path, *options: str, state: Any = STATE, token: str = "") -> None:
        arguments = ["--port=0", f"--keep={kept}", *options]
        if state is not None and not (kept / "checkpoint").exists():
            arguments.append(f"--state={json.dumps(state)}")
        environment = workspace.environment() | ({"DOL_TOKEN": token} if token else {})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dolbuild.commands.main", "up", *arguments, "production-cluster"],
            cwd=workspace.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.said: list[str] = []
        self.url = ""
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(r"is up at (http://\S+),", line)
            if found:
                self.url = found[1]
                break
        assert self.url, (self.said, self.process.stderr and self.process.stderr.read())
        self.client = httpx.Client(
            base_url=self.url, timeout=20, headers=[(b"Authorization", f"Bearer {token}".encode())] if token else []
        )

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def call(self, name: str, **arguments: Any) -> httpx.Response:
        return self.client.post(f"/functions/{name}", json=arguments)

    def stop(self, number: int = signal.SIGTERM) -> str:
        self.client.close()
        return self.stop_while_it_answers(number)

    def stop_while_it_answers(self, number: int) -> str:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0 and err == "", (out, err)
        return out


@pytest.fixture(scope="module")
def up(cluster_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(cluster_workspace, tmp_path_factory.mktemp("kept") / "kept", "--no-sync")
    yield running
    assert "production-cluster has stopped" in running.stop()


def test_what_there_is(up: Up) -> None:
    assert up.client.get("/").json()["system"] == "ProductionCluster"
    assert up.client.get("/health").json()["status"] == "ok"
    functions = up.client.get("/functions").json()
    assert [one["name"] for one in functions] == ["deploy", "health_check", "scale"]
    assert functions[2]["parameters"] == [
        {"name": "cluster_id", "type": "UInt64", "optional": False},
        {"name": "count", "type": "Int32", "optional": False},
    ]
    assert [one["name"] for one in up.client.get("/constraints").json()] == [
        "max_containers_per_cluster", "total_memory_limit", "all_containers_monitored",
    ]  # fmt: skip
    state = up.client.get("/state").json()
    assert list(state) == ["config", "clusters", "scheduler", "monitor"]
    assert up.client.get("/state/config").json() == state["config"] == STATE["config"]
    described = up.client.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    deploy = described["paths"]["/functions/deploy"]["post"]
    assert deploy["requestBody"]["content"]["application/json"]["schema"]["required"] == ["task"]
    assert described["components"]["schemas"]["Task"]["required"] == ["name", "priority"]
    assert set(deploy["responses"]) == {"200", "400", "409", "422", "500"}
    answer = up.client.get("/")
    assert answer.headers["cache-control"] == "no-store"
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_calls(up: Up) -> None:
    made = up.call("deploy", task={"name": "web", "priority": 1})
    assert made.status_code == 200 and made.json()["result"]["state"] == "Running"
    assert up.client.post("/functions/scale", json=[1, -1]).json() == {"result": None}
    assert up.call("scale", cluster_id=1, count=2).status_code == 200
    assert up.call("health_check").json()["result"]["unhealthy_count"] == 0
    assert up.client.post("/functions/health_check").status_code == 200
    before = up.client.get("/state").json()
    broken = up.call("scale", cluster_id=1, count=49)
    assert broken.status_code == 409
    error = broken.json()["error"]
    assert error["code"] == "E0813" and error["constraint"] == "max_containers_per_cluster"
    assert error["place"] == "production-cluster/System.dol:19"
    assert error["values"][-2:] == ["cluster.containers.len = 51", "this.config.max_containers_per_cluster = 50"]
    gave = up.call("scale", cluster_id=9, count=1)
    assert (gave.status_code, gave.json()["error"]["value"]) == (422, "CapacityExceeded")
    trapped = up.call("deploy", task={"name": "", "priority": 1})
    assert trapped.status_code == 500 and "valid_name" in trapped.json()["error"]["message"]
    assert trapped.json()["error"]["frames"][0]["file"].startswith("containers/src/container.dol")
    assert up.client.get("/state").json() == before


WRONG: list[tuple[str, str, bytes | None, dict[str, str], int, str]] = [
    ("POST", "/functions/nope", b"{}", {}, 404, "there is no function `nope`"),
    ("POST", "/functions/deploy", b"{", {}, 400, "the body is no JSON"),
    ("POST", "/functions/deploy", b"\xff\xfe\xfd", {}, 400, "the body is no JSON"),
    ("POST", "/functions/deploy", b"[" * 100_000, {}, 400, "nests too deeply"),
    ("POST", "/functions/deploy", b'{"task": NaN}', {}, 400, "NaN is no JSON"),
    ("POST", "/functions/deploy", b'{"task": 1, "task": 2}', {}, 400, "stands twice"),
    ("POST", "/functions/deploy", b'"text"', {}, 400, "the body is an object of arguments"),
    ("POST", "/functions/deploy", b"{}", {}, 400, "`task: Task` is missing"),
    ("POST", "/functions/deploy", b'{"task": {"name": "x", "priority": 1}, "more": 1}', {}, 400, 'no "more"'),
    ("POST", "/functions/deploy", b'{"task": {"name": "x", "priority": 3000000000}}', {}, 400, "is no Int32"),
    ("POST", "/functions/deploy", b'{"task": {"name": "x", "priority": ' + b"9" * 5000 + b"}}", {}, 400, "no JSON"),
    ("POST", "/functions/deploy", b"{}", {"Content-Type": "text/plain"}, 415, "application/json"),
    ("POST", "/functions/deploy", b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    ("POST", "/functions/deploy", b"{}", {"Content-Length": "9999999999"}, 413, "are the most that is read"),
    ("POST", "/functions/deploy", b"{}", {"Content-Length": "-5"}, 400, "Content-Length is no number"),
    ("POST", "/functions/deploy", b"{}", {"Sec-Fetch-Site": "cross-site"}, 403, "other origins"),
    ("POST", "/functions/deploy", b"{}", {"Origin": "http://evil.example"}, 403, "other origins"),
    ("GET", "/state", None, {"Host": "evil.example:80"}, 403, "no name of this machine"),
    ("GET", "/state/nothing", None, {}, 404, "the state has no field `nothing`"),
    ("GET", "/../../etc/passwd", None, {}, 404, "there is nothing here"),
    ("GET", "/functions/deploy", None, {}, 405, "called with POST"),
    ("POST", "/state", b"{}", {}, 405, "POST is for"),
    ("PUT", "/state", b"{}", {}, 405, "PUT is no method"),
    ("OPTIONS", "/functions/deploy", None, {"Accept": "a/b"}, 405, "OPTIONS is no method"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "message"), WRONG)
def test_wrong_requests(
    up: Up, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, message: str
) -> None:
    before = up.client.get("/state").json()
    default = {
        "Content-Type": "application/json",
        "Host": f"127.0.0.1:{up.port}",
        "Content-Length": str(len(body or b"")),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**default, **headers}.items())
    with socket.create_connection(("127.0.0.1", up.port), timeout=20) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))
        answer = httpx_like(connection)
    assert answer[0] == status and message in answer[1], answer
    assert "access-control" not in answer[2].lower()
    assert up.client.get("/state").json() == before


def httpx_like(connection: socket.socket) -> tuple[int, str, str]:
    """Status, message and head of an answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        assert part, data
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    found = re.search(rb"Content-Length: (\d+)", head)
    while found is not None and len(rest) < int(found[1]):
        rest += connection.recv(65536)
    return int(head.split()[1]), json.loads(rest)["error"]["message"], head.decode()


def test_not_http(up: Up) -> None:
    for data in (
        b"\x00" * 100,
        b"hello\r\n\r\n",
        b"GET " + b"x" * 70_000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 300,
    ):
        with socket.create_connection(("127.0.0.1", up.port), timeout=20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    assert up.client.get("/health").json()["status"] == "ok"


def test_clients_that_hang_hold_up_no_one(up: Up) -> None:
    hanging = [socket.create_connection(("127.0.0.1", up.port)) for _ in range(40)]
    try:
        for number, connection in enumerate(hanging):
            head = f"POST /functions/deploy HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {1000 + number}\r\n"
            connection.sendall(head.encode() + (b"\r\n{" if number % 2 else b""))
        began = time.monotonic()
        assert up.call("health_check").status_code == 200
        assert time.monotonic() - began < 5
    finally:
        for connection in hanging:
            connection.close()
    assert up.call("health_check").status_code == 200


def test_more_connections_than_it_takes(up: Up) -> None:
    many = [socket.create_connection(("127.0.0.1", up.port)) for _ in range(300)]
    many[-1].settimeout(10)
    answer = httpx_like(many[-1])
    assert answer[0] == 503 and answer[1] == "there are 256 connections already"
    for connection in many:
        connection.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{up.url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("it does not come back")


def test_calls_at_once(up: Up) -> None:
    """Calls of many clients happen one after the other: none is lost, none is seen half."""
    made: list[int] = []
    lock = threading.Lock()
    up.call("scale", cluster_id=1, count=-100)
    up.call("scale", cluster_id=2, count=-100)

    def work() -> None:
        with httpx.Client(base_url=up.url, timeout=30) as client:
            for _ in range(12):
                answer = client.post("/functions/deploy", json={"task": {"name": "x", "priority": 1}})
                assert answer.status_code in (200, 409)
                if answer.status_code == 200:
                    with lock:
                        made.append(answer.json()["result"]["id"])
                seen = client.post("/functions/health_check", json={}).json()["result"]
                assert seen["unhealthy_count"] == 0

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [c["id"] for cluster in up.client.get("/state/clusters").json() for c in cluster["containers"]]
    assert len(set(made)) == len(made) == 72 and sorted(found) == sorted(made)


def test_a_token(cluster_workspace: Workspace, tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "dolbuild.commands.main", "up", "--host=0.0.0.0", "production-cluster"],
        cwd=cluster_workspace.root, env=cluster_workspace.environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert refused.returncode == 2 and "DOL_TOKEN" in refused.stderr
    up = Up(cluster_workspace, tmp_path / "kept", "--host=0.0.0.0", "--no-sync", token="s3cret-ä")
    url = f"http://127.0.0.1:{up.port}"
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic czNjcmV0"}):
        for answer in (
            httpx.get(f"{url}/state", headers=given),
            httpx.post(f"{url}/functions/health_check", headers=given),
        ):
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    token = {"Authorization": "Bearer s3cret-ä".encode()}
    assert httpx.get(f"{url}/state", headers=token).status_code == 200
    assert httpx.get(f"{url}/openapi.json", headers=token).json()["security"] == [{"token": []}]
    up.client.close()
    up.process.send_signal(signal.SIGTERM)
    out, err = up.process.communicate(timeout=20)
    assert up.process.returncode == 0 and "s3cret" not in out + err + "".join(up.said)


def test_kill_9_at_random_moments(cluster_workspace: Workspace, tmp_path: Path) -> None:
    """Whatever was answered is there after a restart; of what was not answered at most one call is."""
    choose = random.Random(7)
    kept = tmp_path / "kept"
    known: list[int] = []
    for round_ in range(8):
        up = Up(cluster_workspace, kept, *(("--no-sync",) if round_ % 2 else ()), state=ROOMY)
        found = [c["id"] for cluster in up.client.get("/state/clusters").json() for c in cluster["containers"]]
        assert set(known) <= set(found) and len(found) <= len(known) + 1, (round_, known, found)
        assert up.call("health_check").json()["result"]["unhealthy_count"] == 0
        known = found
        killer = threading.Timer(choose.uniform(0.05, 0.6), up.process.kill)
        killer.start()
        try:
            while True:
                answer = up.call("deploy", task={"name": "x", "priority": 1})
                assert answer.status_code == 200, answer.text
                known.append(answer.json()["result"]["id"])
        except httpx.HTTPError:
            pass
        killer.join()
        up.process.communicate(timeout=20)
        up.client.close()
    assert len(known) > 100 and (kept / "checkpoint").exists()


def test_stopping_finishes_the_call(cluster_workspace: Workspace, tmp_path: Path) -> None:
    """A signal comes while a call is made: the call is answered, and is there the next time."""
    for number in (signal.SIGTERM, signal.SIGINT):
        up = Up(cluster_workspace, tmp_path / "kept", "--no-sync", state=ROOMY)
        before = len(up.client.get("/state/clusters").json()[0]["containers"])
        answers: list[int] = []

        def ask(up: Up = up, answers: list[int] = answers) -> None:
            answers.append(up.call("scale", cluster_id=1, count=60_000).status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.1)  # the call takes several times as long
        assert answers == []
        assert up.stop_while_it_answers(number).endswith("has stopped\n")
        thread.join()
        up.client.close()
        assert answers == [200]
        again = Up(cluster_workspace, tmp_path / "kept")
        assert len(again.client.get("/state/clusters").json()[0]["containers"]) == before + 60_000
        again.stop()


def test_the_command_line(cluster_workspace: Workspace, tmp_path: Path) -> None:
    work = cluster_workspace
    state = f"--state={json.dumps(STATE)}"
    task = '{"name": "web", "priority": 1}'
    listed = work.command("exec", "production-cluster")
    assert listed.status == 0 and "scale(cluster_id: UInt64, count: Int32) -> Result<Void, ScaleError>" in listed.out
    made = work.command("exec", state, "production-cluster", "deploy", task)
    assert made.status == 0 and json.loads(made.out)["name"] == "web"
    (tmp_path / "state.json").write_text(json.dumps(STATE))
    kept = f"--keep={tmp_path / 'kept'}"
    first = work.command("exec", f"--state=@{tmp_path / 'state.json'}", kept, "production-cluster", "scale", "1", "3")
    assert (first.status, first.out, first.err) == (0, "null\n", "started with a new state\n")
    second = work.command("exec", kept, "production-cluster", "health_check")
    assert json.loads(second.out)["total_containers"] == 3 and second.err == "resumed after call 1\n"
    for arguments, status, message in (
        (["production-cluster", "deploy", task], 1, 'error[E0812]: the function gave an error: "NoCapacity"'),
        (["production-cluster", "nope"], 1, "error[E0810]: there is no function `nope`"),
        (["production-cluster", "deploy", "{"], 1, "error[E0811]: argument 1 is no JSON"),
        (["production-cluster", "deploy", '{"nme": 1}'], 1, "did you mean `name`?"),
        (["production-cluster", "deploy", task, task], 1, "takes 1 arguments, found 2"),
        ([state, "production-cluster", "scale", "1", "51"], 1, "cluster.containers.len = 51"),
        ([state, "production-cluster", "scale", "1", str(2**31)], 1, "is no Int32"),
        (["--state={}", kept, "production-cluster"], 1, "error[E0816]: a state is kept in"),
        (["--state={", "production-cluster"], 2, "--state: this is no JSON"),
        (["--state=[]", "production-cluster"], 2, "an object of fields by name"),
        (["--state=@/nowhere", "production-cluster"], 2, "No such file"),
        (['--state={"clusters": 1}', "production-cluster"], 1, "clusters: expected a List<Cluster>"),
        (["--keep=/proc/nowhere", "production-cluster"], 1, "error[E0814]: the state cannot be kept in /proc/nowhere"),
        (["--keep", "containers", "generate_id"], 2, "only Systems have a state"),
        (["nothing"], 2, "there is no Spirit or System `nothing` here"),
    ):
        ran = work.command("exec", *arguments)
        assert ran.status == status and message in ran.err and "Traceback" not in ran.err, (arguments, ran)
    for arguments, status, message in (
        ([], 2, "dolbuild up ["),
        (["nothing"], 2, "there is no System `nothing` here; there are: production-cluster"),
        (["--port=x", "production-cluster"], 2, "`--port=x` is no option"),
        (["--port=70000", "production-cluster"], 2, "is no option"),
        (["--time-limit=0", "production-cluster"], 2, "is no option"),
        (["--host=256.1.1.1", "production-cluster"], 2, "can be reached from other machines"),
    ):
        ran = work.command("up", *arguments)
        assert ran.status == status and message in ran.err and "Traceback" not in ran.err, (arguments, ran)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = work.command("up", f"--port={taken.getsockname()[1]}", kept, "production-cluster")
        assert ran.status == 1 and "error[E0819]" in ran.err and "cannot be listened at" in ran.err
    up = Up(work, tmp_path / "kept")
    assert up.said[0] == "resumed after call 2\n"
    ran = work.command("exec", kept, "production-cluster", "health_check")
    assert ran.status == 1 and "error[E0818]" in ran.err
    up.stop()


def test_a_call_that_takes_too_long(cluster_workspace: Workspace, tmp_path: Path) -> None:
    up = Up(cluster_workspace, tmp_path / "kept", "--time-limit=0.3", "--no-sync", state=ROOMY)
    began = time.monotonic()
    answer = up.call("scale", cluster_id=1, count=2_000_000_000)
    assert answer.status_code == 500 and "longer than it may" in answer.json()["error"]["message"]
    assert time.monotonic() - began < 20
    assert up.call("scale", cluster_id=1, count=1).status_code == 200
    assert len(up.client.get("/state/clusters").json()[0]["containers"]) == 1
    up.stop()


def test_a_new_build_takes_over(cluster_workspace: Workspace, tmp_path: Path) -> None:
    """The System is edited while its state is kept: what fits goes on, what does not is said, what would be lost has to be allowed."""
    shutil.copytree(cluster_workspace.root, tmp_path / "work", ignore=shutil.ignore_patterns(".dolbuild", "state"))
    work = Workspace(tmp_path / "work", cluster_workspace.home)
    path = work.root / "production-cluster/System.dol"
    text = path.read_text()
    first = work.command("exec", f"--state={json.dumps(STATE)}", "--keep", "production-cluster", "scale", "1", "2")
    assert first.status == 0, first.err

    path.write_text(text.replace("has monitor: Monitor\n", 'has monitor: Monitor\nhas region: String = "eu"\n'))
    fits = work.command("exec", "--keep", "production-cluster", "scale", "1", "1")
    assert fits.status == 0 and fits.err.startswith("this build has taken over the state of another one after call 1")

    path.write_text(text.replace("has monitor: Monitor\n", "has monitor: Monitor\nhas region: Int64\n"))
    wrong = work.command("exec", "--keep", "production-cluster", "health_check")
    assert wrong.status == 1 and wrong.err.splitlines()[:2] == [
        "error[E0817]: the state of another build does not fit this one",
        "  = note: region: it was String, and is Int64 now",
    ]

    path.write_text(text)
    lost = work.command("exec", "--keep", "production-cluster", "health_check")
    assert lost.status == 1 and "would be lost: region: the field `region` of `ProductionCluster`" in lost.err
    kept = tmp_path / "copy"
    shutil.copytree(work.root / "state/production-cluster", kept)
    taken = work.command("exec", f"--keep={kept}", "--accept-loss", "production-cluster", "health_check")
    assert taken.status == 0 and "lost: region" in taken.err
    up = Up(work, work.root / "state/production-cluster", "--accept-loss")
    assert "lost: region: the field `region` of `ProductionCluster` is no longer there\n" in up.said
    assert up.call("health_check").json()["result"]["total_containers"] == 3
    assert list(up.client.get("/state").json()) == ["config", "clusters", "scheduler", "monitor"]
    up.stop()
