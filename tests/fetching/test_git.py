"""Packages from git repositories, served by ``git http-backend`` and ``git daemon``."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from dolbuild.diagnostics import DiagnosticError
from dolbuild.packages.git import Git
from tests.fetching.conftest import Places
from tests.support.published import app, library
from tests.support.servers import PASSWORD, USER, GitServer, free_port, git, wait_for
from tests.support.workspaces import Workspace

HOST = "git.example.org"
SETTINGS = {"dolbuild.toml": 'organisation = "me"\n'}


def tool(version: str, more: str = "", **body: str) -> dict[str, str]:
    return library("tool", version, more=more, **body)


def work_on(
    places: Places, server: GitServer, name: str, wanted: str, package: str = f"@git:{HOST}/acme/tool"
) -> Workspace:
    """A workspace whose ``app`` requires a package of the server."""
    (places.folder / "user/.gitconfig").write_text(server.configuration(HOST))
    values = f"    requires {package}: {wanted}\n"
    return places.make(name, {**SETTINGS, **app(f"{package}.tool", values=values)})


def test_a_branch_stays_where_it_was_locked(repositories: GitServer, places: Places) -> None:
    clone = repositories.create("acme/tool")
    first = repositories.commit(clone, tool("0.1.0"))
    work = work_on(places, repositories, "work", '"main"')
    ran = work.command("exec", "app")
    assert (ran.status, ran.out) == (0, "tool 0.1.0\n"), ran.err
    assert f'commit = "{first}", wanted = ["\\"main\\""]' in (work.root / "dol.lock").read_text()
    second = repositories.commit(clone, tool("0.2.0"))
    asked = len(repositories.requests)
    assert work.command("exec", "app").out == "tool 0.1.0\n"
    assert len(repositories.requests) == asked, "with a lock and full caches, nothing is asked"
    elsewhere = places.make("elsewhere", {p: (work.root / p).read_text() for p in ("dolbuild.toml", "dol.lock")})
    elsewhere.write(app(f"@git:{HOST}/acme/tool.tool", values=f'    requires @git:{HOST}/acme/tool: "main"\n'))
    assert elsewhere.command("exec", "app").out == "tool 0.1.0\n", "the commit of the lock, not of the branch"
    updated = work.command("update")
    assert f"0.1.0 ({first[:10]}) -> 0.2.0 ({second[:10]})" in updated.out
    assert work.command("exec", "app").out == "tool 0.2.0\n"
    listed = work.command("list", "--all").out
    assert f"fetch:@git:{HOST}/acme/tool@{second[:10]}" in listed


def test_what_can_be_wanted_of_a_repository(repositories: GitServer, places: Places) -> None:
    clone = repositories.create("acme/tool")
    first = repositories.commit(clone, tool("1.0.0"), "v1.0.0")
    repositories.commit(clone, tool("1.1.0"), "v1.1.0")
    repositories.commit(clone, tool("2.0.0"), "2.0.0")
    git("checkout", "-q", "-b", "feature/new", cwd=clone)
    repositories.commit(clone, tool("3.0.0-dev"))
    cases = {
        '"v1.0.0"': "1.0.0", '{ tag: "v1.1.0" }': "1.1.0", '"^1.0"': "1.1.0", '"=1.0.0"': "1.0.0", '">=1.0, <3"': "2.0.0",
        f'"{first}"': "1.0.0", '"feature/new"': "3.0.0-dev", '{ branch: "main" }': "2.0.0", '{ version: "~1.0" }': "1.0.0",
    }  # fmt: skip
    for number, (wanted, version) in enumerate(cases.items()):
        work = work_on(places, repositories, f"work{number}", wanted)
        ran = work.command("exec", "app")
        assert ran.out == f"tool {version}\n", (wanted, ran.err)


@pytest.mark.parametrize(
    ("wanted", "code", "told"),
    [
        ('"no-such"', "E1006", "has no branch or tag `no-such`"),
        ('{ tag: "main" }', "E1006", "has no tag `main`"),
        ('"mian"', "E1006", "there is `main`"),
        ('"^7.0"', "E1001", "nothing meets the requirement"),
        (f'"{"0" * 40}"', "E1006", "has no commit 0000000000"),
        ('"--upload-pack=touch /tmp/pwned"', "E0606", "is no name of a branch or a tag"),
        ('{ commit: "abc123" }', "E0606", "write all of its 40 digits"),
        ('"a..b"', "E0606", "is no name of a branch or a tag"),
    ],
)
def test_what_is_not_there(repositories: GitServer, places: Places, wanted: str, code: str, told: str) -> None:
    clone = repositories.create("acme/tool")
    repositories.commit(clone, tool("1.0.0"), "v1.0.0")
    work = work_on(places, repositories, "work", wanted)
    ran = work.command("build")
    assert ran.status == 1
    assert code in ran.err and told in ran.err, ran.err
    assert not (work.root / "dol.lock").exists()


def test_a_repository_with_several_spirits(repositories: GitServer, places: Places) -> None:
    clone = repositories.create("acme/mono")
    files = {f"spirits/{name}/{path}": text for name in ("one", "two") for path, text in library(name, "1.0.0").items()}
    repositories.commit(clone, {**files, "README.md": "many", "spirits/one/assets/big.bin": "x" * 1000}, "v1.0.0")
    (places.folder / "user/.gitconfig").write_text(repositories.configuration(HOST))
    packages = [f"@git:{HOST}/acme/mono/spirits/{name}" for name in ("one", "two")]
    values = "".join(f'    requires {package}: "v1.0.0"\n' for package in packages)
    uses = [f"{package}.{name}" for package, name in zip(packages, ("one", "two"), strict=True)]
    work = places.make("work", {**SETTINGS, **app(*uses, values=values)})
    ran = work.command("exec", "app")
    assert ran.out == "one 1.0.0\ntwo 1.0.0\n", ran.err
    assert not list((work.home / "git/trees").rglob("big.bin")), "a package is its manifest and its sources"
    none = places.make("none", {**SETTINGS, **app(values=f'    requires @git:{HOST}/acme/mono: "v1.0.0"\n')})
    assert "has no Spirit.dol" in none.command("lock").err


def test_types_across_packages(repositories: GitServer, places: Places) -> None:
    clone = repositories.create("acme/tool")
    body = "pub gene Pair<A, B> { has first: A; has second: B }\npub fun pair<A, B>(a: A, b: B) -> Pair<A, B> { return Pair { first: a, second: b } }\n"
    repositories.commit(clone, tool("1.0.0", body=body))
    package = f"@git:{HOST}/acme/tool"
    (places.folder / "user/.gitconfig").write_text(repositories.configuration(HOST))
    main = (
        f"use @univrs/std.io.println\nuse {package}.{{ pair, Pair }}\n"
        'gene Own { has n: Int64 }\nsex fun main() {\n    p = pair(Own { n: 3 }, Some("x"))\n'
        '    all: List<Pair<Int64, String>> = [pair(1, "a")]\n    println(p.to_string())\n    println(all.to_string())\n    println((p == p).to_string())\n}\n'
    )
    work = places.make("work", {**SETTINGS, **app(values=f'    requires {package}: "main"\n', body=main)})
    for profile in ((), ("--release",)):
        ran = work.command("exec", *profile, "app")
        assert ran.status == 0, ran.err
        assert ran.out.splitlines() == [
            'Pair { first: Own { n: 3 }, second: Some("x") }', '[Pair { first: 1, second: "a" }]', "true",
        ]  # fmt: skip


def test_two_names_of_one_commit(repositories: GitServer, places: Places) -> None:
    clone = repositories.create("acme/tool")
    repositories.commit(clone, tool("1.0.0"), "v1.0.0")
    package = f"@git:{HOST}/acme/tool"
    work = work_on(places, repositories, "work", '"v1.0.0"')
    other = library("other", "1.0.0", more=f'    requires {package}: "main"\n')
    work.write({f"other/{path}": text for path, text in other.items()})
    assert work.command("lock").status == 0
    repositories.commit(clone, tool("1.1.0"))
    assert work.command("lock", "--locked").status == 0
    conflict = work.command("update")
    assert conflict.status == 1 and "meets all that is required of it" in conflict.err
    assert f'other 1.0.0 (other/Spirit.dol:6) requires {package} "main"' in conflict.err


def test_a_private_repository(repositories: GitServer, places: Places) -> None:
    clone = repositories.create("private/tool")
    repositories.commit(clone, tool("1.0.0"))
    work = work_on(places, repositories, "work", '"main"', f"@git:{HOST}/private/tool")
    refused = work.command("lock")
    assert refused.status == 1 and "E1003" in refused.err and "credentials" in refused.err
    config = places.folder / "user/.gitconfig"
    helper = f'[credential]\n    helper = "!f() {{ echo username={USER}; echo password={PASSWORD}; }}; f"\n'
    config.write_text(config.read_text() + helper)
    assert work.command("exec", "app").out == "tool 1.0.0\n"
    for path in [*work.home.rglob("*"), *work.root.rglob("*")]:
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()


def test_what_a_checkout_would_change(repositories: GitServer, places: Places) -> None:
    """Attributes, filters and line endings of a checkout have no say, and neither have hooks."""
    clone = repositories.create("acme/tool")
    files = {**tool("1.0.0"), ".gitattributes": "*.dol text eol=crlf ident export-ignore\n"}
    repositories.commit(clone, files)
    work = work_on(places, repositories, "work", '"main"')
    assert work.command("lock").status == 0
    source = next((work.home / "git/trees").rglob("lib.dol"))
    assert source.read_text() == files["src/lib.dol"]
    assert not list((work.home / "git/repositories").rglob("hooks/*"))


def test_links_in_a_repository(repositories: GitServer, places: Places) -> None:
    clone = repositories.create("acme/tool")
    (clone / "src").mkdir()
    (clone / "src/lib.dol").symlink_to("/etc/passwd")
    repositories.commit(clone, {"Spirit.dol": tool("1.0.0")["Spirit.dol"]})
    work = work_on(places, repositories, "work", '"main"')
    ran = work.command("lock")
    assert ran.status == 1 and "src/lib.dol" in ran.err and "is no plain file" in ran.err


def test_a_force_push_does_not_change_what_was_locked(repositories: GitServer, places: Places) -> None:
    clone = repositories.create("acme/tool")
    repositories.commit(clone, tool("1.0.0"))
    work = work_on(places, repositories, "work", '"main"')
    assert work.command("lock").status == 0
    git("checkout", "-q", "--orphan", "fresh", cwd=clone)
    repositories.commit(clone, tool("9.0.0"))
    git("push", "-q", "-f", "origin", "fresh:main", cwd=clone)
    assert work.command("exec", "app").out == "tool 1.0.0\n"


def test_a_server_that_gives_no_commit_by_name(places: Places, tmp_path: Path) -> None:
    """An old protocol, in which only what has a name can be fetched: ``git daemon`` with version 0."""
    server = GitServer(tmp_path / "repositories")
    server.folder.mkdir()
    clone = server.create("acme/tool")
    first = server.commit(clone, tool("1.0.0"), "v1.0.0")
    server.commit(clone, tool("2.0.0"))
    port = free_port()
    daemon = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all",
         f"--base-path={server.folder}", str(server.folder)],
        stderr=subprocess.DEVNULL, env={**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
    )  # fmt: skip
    try:
        wait_for(port)
        insteadof = f'[url "git://127.0.0.1:{port}/"]\n    insteadOf = https://{HOST}/\n[protocol]\n    version = 0\n'
        (places.folder / "user/.gitconfig").write_text(insteadof)
        work = places.make(
            "work",
            {
                **SETTINGS,
                **app(f"@git:{HOST}/acme/tool.git.tool", values=f'    requires @git:{HOST}/acme/tool.git: "{first}"\n'),
            },
        )
        ran = work.command("exec", "app")
        assert ran.out == "tool 1.0.0\n", ran.err
    finally:
        daemon.terminate()
        daemon.wait()


def test_a_host_that_hangs(places: Places, tmp_path: Path) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        (places.folder / "user/.gitconfig").write_text(
            f'[url "git://127.0.0.1:{silent.getsockname()[1]}/"]\n    insteadOf = https://{HOST}/\n'
        )
        places.variables["DOL_GIT_TIMEOUT"] = "2"
        work = places.make("work", {**SETTINGS, **app(values=f'    requires @git:{HOST}/acme/tool: "main"\n')})
        ran = work.command("build")
    assert ran.status == 1 and "E1003" in ran.err and "cannot be read" in ran.err


NAMES: Mapping[str, str] = {
    "@git:-oProxyCommand=x/acme/tool": "E",
    "@git:host/../../etc/passwd": "E0106",
    "@git:host/acme/--upload-pack": "E0606",
    "@git:host/acme": "E0606",
    "@git:host/.git/x": "E0606",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_none(places: Places, name: str) -> None:
    work = places.make("work", {**SETTINGS, **app(values=f'    requires {name}: "main"\n')})
    ran = work.command("build")
    assert ran.status == 1 and NAMES[name] in ran.err and "Traceback" not in ran.err


def test_offline_needs_what_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError, match="--offline was given"):
        Git(tmp_path, offline=True).refs("host", "acme/tool")
