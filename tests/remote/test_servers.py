"""Against real servers: a fresh clone in another path, with an empty home, gets every result and runs nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolbuild.cache.remote.uploads import THREADS
from tests.remote.conftest import UPLOADING, Clone
from tests.support.caches import SERVERS, TOKEN, Cache, buildgrid, server, webdav
from tests.support.workspaces import Workspace


@pytest.fixture(params=SERVERS)
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    with server(request.param, tmp_path / "server") as running:
        yield running


def targets(place: Workspace) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((place.root / "target/spirits").iterdir())}


def test_a_fresh_clone_runs_nothing(cache: Cache, clone: Clone) -> None:
    settings = f'[cache]\nremote = "{cache.url}"\n'
    patient = {"DOL_REMOTE_TIMEOUT": "20"}  # how fast a server is, is no question here
    first = clone(cache.variables | UPLOADING | patient, settings)
    uploaded = first.build()
    assert uploaded.counts["ran"] > 0 and uploaded.err == ""
    assert first.command("test").status == 0
    second = clone(cache.variables | patient, settings)
    ran = second.build()
    assert ran.status == 0
    assert ran.err == ""
    assert ran.counts["ran"] == ran.counts["hit"] == 0
    assert ran.counts["remote-hit"] == len(ran.statuses)
    assert targets(second) == targets(first)
    assert second.command("exec", "user", "three").out == "3\n"
    assert second.command("test", "--json").ran() == set()
    assert second.build().counts["up-to-date"] == len(ran.statuses)
    looked = second.command("doctor")
    assert looked.status == 0 and re.search(rf"good +remote +{re.escape(cache.url)} answers in \d+ ms", looked.out), (
        looked
    )


def test_after_a_hit_without_the_bytes_an_edit_fetches_what_it_needs(cache: Cache, clone: Clone) -> None:
    settings = f'[cache]\nremote = "{cache.url}"\n'
    clone(cache.variables | UPLOADING, settings).build()
    second = clone(cache.variables, settings)
    second.build()
    text = (second.root / "base/src/numbers.dol").read_text()
    second.write({"base/src/numbers.dol": text.replace("return 1 }", "return 11 - 10 }")})
    edited = second.build()
    assert edited.err == ""
    assert edited.ran() == {"interface:base/numbers", "module:base/numbers", "spirit:base", "spirit:user"}
    assert second.command("exec", "user", "three").out == "3\n"


def test_all_bytes_none_and_what_is_built(clone: Clone, tmp_path: Path) -> None:
    with webdav_in(tmp_path) as cache:
        settings = f'[cache]\nremote = "{cache.url}"\n'
        first = clone(UPLOADING, settings)
        first.build()
        blobs = {mode: clone(None, settings) for mode in ("all", "final", "none")}
        kept = {}
        for mode, place in blobs.items():
            ran = place.build(f"--download={mode}")
            assert ran.counts["ran"] == 0
            kept[mode] = {path.name for path in (place.home / "store/v2/cas").rglob("*") if path.is_file()}
        assert kept["none"] < kept["final"] < kept["all"]
        everything = {path.name for path in (first.home / "store/v2/cas").rglob("*") if path.is_file()}
        assert kept["all"] == everything
        assert not list((blobs["none"].root / "target").rglob("*.wasm"))
        later = blobs["none"].build()
        assert later.ran() == set()
        assert targets(blobs["none"]) == targets(first)
        assert later.counts["up-to-date"] > later.counts["remote-hit"] > 0


def webdav_in(folder: Path, kind: str = "open"):  # type: ignore[no-untyped-def]
    (folder / "server").mkdir(exist_ok=True)
    return webdav(folder / "server", kind)


def test_nothing_is_uploaded_unless_it_is_meant(clone: Clone, tmp_path: Path) -> None:
    with webdav_in(tmp_path) as cache:
        settings = f'[cache]\nremote = "{cache.url}"\n'
        outside = clone({"CI": ""}, settings)
        outside.build()
        assert not [line for line in cache.requests if line.startswith("PUT")]
        pull_request = clone({"CI": "true"}, settings + "upload = false\n")
        pull_request.build()
        assert not [line for line in cache.requests if line.startswith("PUT")]
        in_ci = clone({"CI": "true"}, settings)
        in_ci.build()
        puts = [line for line in cache.requests if line.startswith("PUT")]
        assert puts
        assert {line.rsplit(" ", 1)[1] for line in puts} <= {"201", "204"}
        assert clone({"DOL_REMOTE": "off"}, settings).build().counts["remote-hit"] == 0
        assert clone(None, settings).build("--no-remote").counts["remote-hit"] == 0
        assert clone(None, settings).build("--offline").counts["remote-hit"] == 0


def test_blobs_come_before_the_results_that_name_them(clone: Clone, tmp_path: Path) -> None:
    from dolbuild.cache.action import Result

    with webdav_in(tmp_path) as cache:
        clone(UPLOADING, f'[cache]\nremote = "{cache.url}"\n').build()
        puts = [line.split()[1].removeprefix("/open/") for line in cache.requests if line.startswith("PUT")]
        assert cache.folder is not None
        for place, name in enumerate(puts):
            if name.startswith("ac/"):
                result = Result.decode((cache.folder / name).read_bytes())
                for blob in result.outputs.values():
                    assert f"cas/{blob.hash}" in puts[:place]
        empty = "cas/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert empty not in puts
        again = len(puts) - len(set(puts))
        assert again <= THREADS, "only what two threads send at the same moment goes over twice"


def test_a_request_for_each_result_and_each_file_that_is_built(clone: Clone, tmp_path: Path) -> None:
    with webdav_in(tmp_path) as cache:
        clone(UPLOADING, f'[cache]\nremote = "{cache.url}"\n').build()
        before = len(cache.requests)
        second = clone(None, f'[cache]\nremote = "{cache.url}"\n')
        nodes = second.build().statuses
        asked = cache.requests[before:]
        links = sum(1 for name in nodes if name.startswith("spirit:"))
        assert sum("/ac/" in line for line in asked) == len(nodes) + links, "for each link also what it reaches"
        assert sum("/cas/" in line for line in asked) == len(targets(second))
        assert len(asked) == len(nodes) + 2 * links


def test_http_2_is_used_where_it_is_offered(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with webdav(tmp_path / "server", tls=True) as cache:
        assert clone({**cache.variables, **UPLOADING, "DOL_REMOTE": cache.url}).build().err == ""
        assert cache.log is not None
        lines = cache.log.read_text().splitlines()
        assert lines and all((' HTTP/2.0"' in line) == ('"GET ' in line) for line in lines), "uploads go over HTTP/1.1"


def test_a_token_goes_to_its_host_and_appears_nowhere(clone: Clone, tmp_path: Path) -> None:
    with webdav_in(tmp_path, "token") as cache:
        settings = f'[cache]\nremote = "{cache.url}"\n'
        token = {"DOL_REMOTE_TOKEN_127_0_0_1": TOKEN}
        first = clone(token | UPLOADING, settings)
        events = tmp_path / "events.jsonl"
        ran = first.command("build", f"--events={events}", f"--profile={tmp_path / 'trace.json'}")
        assert ran.status == 0 and ran.err == ""
        second = clone(token, settings)
        assert second.build().counts["ran"] == 0
        for path in tmp_path.rglob("*"):
            if path.is_file() and path.parent.name != "server":
                assert TOKEN.encode() not in path.read_bytes(), path
        without = clone(None, settings).command("build")
        assert without.status == 0
        assert without.err == "warning: the remote cache was not used: it answers 401\n"


def test_a_server_that_takes_nothing_is_read_all_the_same(clone: Clone, tmp_path: Path) -> None:
    with webdav_in(tmp_path, "read-only") as cache:
        clone({**UPLOADING, "DOL_REMOTE": cache.url.replace("read-only", "open")}).build()
        reader = clone(UPLOADING, f'[cache]\nremote = "{cache.url}"\n')
        assert reader.build().counts["ran"] == 0
        text = (reader.root / "base/src/numbers.dol").read_text()
        reader.write({"base/src/numbers.dol": text.replace("return 9 }", "return 10 }")})
        edited = reader.command("build")
        assert edited.status == 0
        assert edited.err == "warning: uploading to the remote cache was not used: it answers 403\n"


def test_a_grpc_server_that_takes_no_results_is_read(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with buildgrid(tmp_path / "server", updates=False) as cache:
        ran = clone(UPLOADING, f'[cache]\nremote = "{cache.url}"\n').command("build")
        assert ran.status == 0
        assert ran.err.startswith("warning: uploading to the remote cache was not used: ")
        assert ran.err.count("\n") == 1


def test_a_server_that_takes_few_requests_at_once(clone: Clone, tmp_path: Path) -> None:
    """It refuses the others for the moment (``RESOURCE_EXHAUSTED``); they are made again."""
    (tmp_path / "server").mkdir()
    with buildgrid(tmp_path / "server", threads=8) as cache:
        settings = f'[cache]\nremote = "{cache.url}"\n'
        assert clone(UPLOADING, settings).command("build").err == ""
        ran = clone(None, settings).command("build")
        assert (
            ran.status == 0
            and ran.err == ""
            and "from the remote cache" in ran.out
            and " ran" not in ran.out.splitlines()[-1]
        )


def test_large_blobs_go_as_streams(tmp_path: Path) -> None:
    """More than fits into a batch, well compressible and not at all, with the protocol alone."""
    import os

    from dolbuild.cache.digest import digest_of
    from dolbuild.rules.caching import open_backend

    for kind in ("casd", "buildgrid"):
        with server(kind, tmp_path / kind) as cache:
            backend = open_backend(cache.url, os.environ)
            try:
                blobs = [b"x" * 9_000_000, os.urandom(6_000_000), *(os.urandom(900_000) for _ in range(6)), b"small"]
                named = [(digest_of(data), data) for data in blobs]
                assert set(backend.missing([one for one, _ in named])) == {one for one, _ in named}
                backend.put_blobs(named)
                assert backend.blobs([one for one, _ in named]) == dict(named)
                other = open_backend(cache.url, os.environ)
                assert other.missing([one for one, _ in named]) == []
                other.close()
                assert backend.blob(digest_of(b"never there")) is None
                assert backend.blob(digest_of(b"n" * 5_000_000)) is None
                assert backend.result(digest_of(b"no action"), ()) is None
                assert backend.check().startswith("Remote Execution API")
            finally:
                backend.close()


def test_two_protocols_one_result(clone: Clone, tmp_path: Path) -> None:
    """What goes through one server is what comes out of another: the encodings are the same."""
    home = tmp_path / "shared-home"
    with webdav_in(tmp_path) as http, server("casd", tmp_path / "casd") as grpc:
        clone({**UPLOADING, "DOL_REMOTE": http.url}, home=home).build()
        for url in (http.url, grpc.url):
            place = clone({"DOL_REMOTE": url})
            status = place.build().counts
            assert bool(status["remote-hit"]) == (url == http.url)
