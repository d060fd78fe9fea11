"""Packages from registries, behind nginx and in folders."""

import hashlib
import os
import subprocess
import threading
from pathlib import Path

import pytest

from dolbuild.packages.name import parse_name
from dolbuild.packages.wanted import Versions
from tests.fetching.conftest import Places
from tests.support.published import app, library, put
from tests.support.servers import PASSWORD, USER, Nginx
from tests.support.workspaces import Workspace

MEASURES_PROCESSES = True


def settings(**registries: str) -> dict[str, str]:
    lines = "".join(f'{name} = "{url}"\n' for name, url in registries.items())
    return {"dolbuild.toml": f'organisation = "me"\n[registries]\n{lines}'}


def diamond(registry: Path) -> None:
    """``left`` and ``right`` want versions of ``base``, of which there are more."""
    for version in ("1.0.0", "1.1.0", "1.2.0", "2.0.0"):
        put(registry, "acme", library("base", version))
    put(registry, "acme", library("left", "1.0.0", {"@acme/base": "^1.0"}))
    put(registry, "acme", library("right", "1.0.0", {"@acme/base": "~1.1"}))


DIAMOND = app(
    "@acme/left.left", "@acme/right.right", "@acme/base.base",
    requires={"@acme/left": "^1.0", "@acme/right": "^1.0", "@acme/base": ">=1.0"},
)  # fmt: skip


@pytest.mark.parametrize("tls", [False, True])
def test_a_diamond_from_a_server(web: Nginx, places: Places, tls: bool) -> None:
    folder = f"diamond-{tls}"
    diamond(web.root / folder)
    places.variables["SSL_CERT_FILE"] = str(web.authority)
    work = places.make("work", {**settings(acme=web.url(folder, tls)), **DIAMOND})
    ran = work.command("exec", "app")
    assert ran.status == 0, ran.err
    assert ran.out == "left 1.0.0\nright 1.0.0\nbase 1.1.0\n"
    assert "wrote dol.lock: 3 packages" in ran.err
    before = (work.root / "dol.lock").read_bytes()
    asked = len(web.requests)
    again = work.command("build", "--locked")
    assert again.status == 0, again.err
    assert len(web.requests) == asked, "with a lock and full caches, nothing is asked of the network"
    assert work.command("update").status == 0
    assert (work.root / "dol.lock").read_bytes() == before
    index = [line for line in web.requests[asked:] if "/index/" in line]
    assert index and all(line.endswith(" 304") for line in index), "indexes are asked for only if they changed"


def test_the_same_lock_gives_the_same_bytes_elsewhere(web: Nginx, places: Places) -> None:
    diamond(web.root / "elsewhere")
    files = {**settings(acme=web.url("elsewhere")), **DIAMOND}
    one = places.make("one", files)
    assert one.build().status == 0
    put(web.root / "elsewhere", "acme", library("base", "1.1.9"))  # newer, and nobody's choice
    two = places.make("two", {**files, "dol.lock": (one.root / "dol.lock").read_text()})
    assert two.build("--locked").status == 0
    made = "target/spirits/app.main.wasm"
    assert (one.root / made).read_bytes() == (two.root / made).read_bytes()


def test_fetched_packages_are_nodes(web: Nginx, places: Places) -> None:
    diamond(web.root / "nodes")
    work = places.make("work", {**settings(acme=web.url("nodes")), **DIAMOND})
    first = work.build()
    fetches = {f"fetch:@acme/{name}" for name in ("base@1.1.0", "left@1.0.0", "right@1.0.0")}
    assert fetches <= first.ran()
    assert not fetches & work.build().ran()
    source = next((work.home / "cache/trees/acme/base").rglob("lib.dol"))
    source.chmod(0o644)
    source.write_text('pub fun base() -> String { return "altered" }\n')
    again = work.build()
    assert again.ran() & fetches == {"fetch:@acme/base@1.1.0"}, "an altered tree is fetched again"
    assert work.command("exec", "app").out.endswith("base 1.1.0\n")
    listed = work.command("list", "--all").out
    assert "fetch:@acme/left@1.0.0" in listed
    (work.root / "dol.lock").unlink()
    assert work.command("fetch", "--locked").status == 1


def test_without_a_network(web: Nginx, places: Places) -> None:
    """A proxy that refuses everything stands for the network."""
    diamond(web.root / "offline")
    work = places.make("work", {**settings(acme=web.url("offline")), **DIAMOND})
    assert work.command("fetch").status == 0
    refusing = {f"{kind}_PROXY": "http://127.0.0.1:1" for kind in ("HTTP", "HTTPS", "ALL")}
    refusing |= {name.lower(): value for name, value in refusing.items()}
    work.variables |= refusing | {"NO_PROXY": "", "no_proxy": ""}
    assert work.build("--locked").status == 0
    assert work.command("exec", "app").status == 0
    assert work.command("lock", "--locked").status == 0
    gone = work.command("update")
    assert gone.status == 1 and "E1003" in gone.err and "cannot be reached" in gone.err


@pytest.mark.skipif(
    subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0, reason="needs unshare"
)
def test_in_a_network_namespace(web: Nginx, places: Places) -> None:
    diamond(web.root / "namespace")
    work = places.make("work", {**settings(acme=web.url("namespace")), **DIAMOND})
    assert work.command("fetch").status == 0
    import sys

    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-m", "dolbuild.commands.main", "build", "--locked"],
        cwd=work.root, env=work.environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_offline(web: Nginx, places: Places) -> None:
    diamond(web.root / "asked")
    work = places.make("work", {**settings(acme=web.url("asked")), **DIAMOND})
    nothing = work.command("build", "--offline")
    assert nothing.status == 1 and "the index of @acme/" in nothing.err and "not known here" in nothing.err
    assert not (work.root / "dol.lock").exists()
    assert work.command("lock").status == 0
    missing = work.command("build", "--offline")
    assert missing.status == 1 and "--offline was given" in missing.err
    assert work.command("fetch").status == 0
    assert work.command("build", "--offline").status == 0
    (work.root / "dol.lock").unlink()
    assert work.command("lock", "--offline").status == 0, "indexes that were read before are enough"


def test_vendored_packages_need_no_network(web: Nginx, places: Places) -> None:
    diamond(web.root / "vendored")
    work = places.make("work", {**settings(acme=web.url("vendored")), **DIAMOND})
    ran = work.command("vendor")
    assert ran.status == 0 and "vendor/ holds 3 packages" in ran.out, ran.err
    assert (work.root / "vendor/acme/base/src/lib.dol").is_file()
    other = Workspace(work.root, places.folder / "empty-home", places.variables)
    assert other.command("build", "--offline", "--locked").status == 0
    (work.root / "vendor/acme/base/src/lib.dol").write_text('pub fun base() -> String { return "altered" }\n')
    third = Workspace(work.root, places.folder / "third-home", places.variables)
    altered = third.command("build", "--offline")
    assert altered.status == 1 and "@acme/base" in altered.err


def test_a_stale_lock(web: Nginx, places: Places) -> None:
    diamond(web.root / "stale")
    work = places.make("work", {**settings(acme=web.url("stale")), **DIAMOND})
    assert work.command("lock").status == 0
    manifest = work.root / "app/Spirit.dol"
    manifest.write_text(manifest.read_text().replace('@acme/base: ">=1.0"', '@acme/base: "^1.2"'))
    ran = work.command("build")
    assert ran.status == 1 and "error[E1002]" in ran.err
    assert 'app/Spirit.dol:8 requires @acme/base "^1.2", but it has 1.1.0' in ran.err
    conflict = work.command("lock")
    assert conflict.status == 1 and "error[E1001]" in conflict.err
    assert (
        'app 1.0.0 (app/Spirit.dol:7) requires @acme/right "^1.0"; @acme/right 1.0.0 requires @acme/base "~1.1"'
        in conflict.err
    )
    assert 'requires @acme/base: "^1.1.0"` in app/Spirit.dol would satisfy all' in conflict.err


def test_add_update_and_remove(web: Nginx, places: Places) -> None:
    diamond(web.root / "add")
    work = places.make("work", {**settings(acme=web.url("add")), **app(body="sex fun main() { }\n")})
    assert work.build().status == 0
    assert not (work.root / "dol.lock").exists(), "nothing comes from elsewhere"
    before = (work.root / "app/Spirit.dol").read_text()
    added = work.command("add", "@acme/left", "@acme/base@~1.0")
    assert added.status == 0, added.err
    assert (
        '    requires @acme/left: "^1.0.0"\n    requires @acme/base: "~1.0"\n'
        in (work.root / "app/Spirit.dol").read_text()
    )
    assert '"@acme/base" = { version = "1.0.0"' in (work.root / "dol.lock").read_text()
    manifest, lock = ((work.root / name).read_bytes() for name in ("app/Spirit.dol", "dol.lock"))
    refused = work.command("add", "@acme/right")
    assert refused.status == 1 and "E1001" in refused.err
    assert ((work.root / "app/Spirit.dol").read_bytes(), (work.root / "dol.lock").read_bytes()) == (manifest, lock)
    put(web.root / "add", "acme", library("base", "1.0.5"))
    assert work.command("lock").out.startswith("dol.lock fits"), "what is locked stays"
    updated = work.command("update", "@acme/base")
    assert "~ @acme/base 1.0.0 -> 1.0.5" in updated.out
    assert work.command("remove", "@acme/left", "@acme/base").status == 0
    assert not (work.root / "dol.lock").exists()
    assert (work.root / "app/Spirit.dol").read_text().replace("\n\n", "\n") == before
    assert work.command("add", "@acme/none").status == 1
    assert work.command("add", "../../etc").status == 2
    assert work.command("update", "@acme/none").status == 2


def test_yanked_versions(web: Nginx, places: Places) -> None:
    root = web.root / "yanked"
    put(root, "acme", library("base", "1.0.0"))
    put(root, "acme", library("base", "1.1.0"))
    work = places.make("work", {**settings(acme=web.url("yanked")), **app(requires={"@acme/base": "^1.0"})})
    assert work.command("lock").status == 0
    files = places.make("publisher", {"dolbuild.toml": f'[registries]\nacme = "{root}"\n'})
    assert files.command("yank", "@acme/base@1.1.0").status == 0
    assert "1.1.0" in (work.root / "dol.lock").read_text()
    assert work.command("fetch").status == 0, "who has locked it still gets it"
    (work.root / "dol.lock").unlink()
    assert "+ @acme/base 1.0.0" in work.command("lock").out
    assert files.command("yank", "--undo", "@acme/base@1.1.0").status == 0
    assert "1.0.0 -> 1.1.0" in work.command("update").out
    assert files.command("yank", "@acme/base@9.0.0").status == 1


def test_credentials(web: Nginx, places: Places) -> None:
    for folder in ("private", "token"):
        put(web.root / folder, "acme", library("base", "1.0.0"))
    files = {**settings(acme=web.url("private")), **app(requires={"@acme/base": "^1.0"})}
    work = places.make("work", files)
    refused = work.command("lock")
    assert refused.status == 1 and "it answers 401" in refused.err and "DOL_REGISTRY_TOKEN" in refused.err
    (places.folder / "user/.netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    (places.folder / "user/.netrc").chmod(0o600)
    ran = work.command("lock")
    assert ran.status == 0, ran.err
    work.write(settings(acme=web.url("token")))
    work.variables["DOL_REGISTRY_TOKEN_127_0_0_1"] = "secret-token"
    assert work.command("update").status == 0
    kept = [path for path in [*work.home.rglob("*"), *work.root.rglob("*")] if path.is_file()]
    assert all(b"secret-token" not in path.read_bytes() and PASSWORD.encode() not in path.read_bytes() for path in kept)
    work.variables["DOL_REGISTRY_TOKEN_127_0_0_1"] = "wrong"
    assert "wrong" not in work.command("update").err


def test_publishing_to_a_server(web: Nginx, places: Places) -> None:
    address = web.url("dav/publishing")
    (web.root / "dav").mkdir()
    files = {"dolbuild.toml": f'organisation = "acme"\n[registries]\nacme = "{address}"\n'}
    base = {f"base/{path}": text for path, text in library("base", "1.0.0").items()}
    left = {f"left/{path}": text for path, text in library("left", "1.0.0", {"@acme/base": "^1.0"}).items()}
    work = places.make("work", {**files, **base, **left})
    refused = work.command("publish", "base")
    assert refused.status == 1 and "it answers 401" in refused.err
    work.variables["HOME"] = str(places.folder / "publisher")
    (places.folder / "publisher").mkdir()
    (places.folder / "publisher/.netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    first = work.command("publish", "left")
    assert first.status == 1 and "publish @acme/base first" in first.err
    published = work.command("publish", "base")
    assert published.status == 0, published.err
    digest = published.out.split("sha256:")[1].strip()
    archive = web.root / "dav/publishing/packages/acme/base/1.0.0.tar.gz"
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == digest
    assert work.command("publish", "left").status == 0
    again = work.command("publish", "base")
    assert again.status == 1 and "was published already" in again.err
    assert not list((web.root / "dav").rglob("*.lock"))
    user = places.make("user-work", {**settings(acme=address), **app("@acme/left.left", requires={"@acme/left": "^1"})})
    assert user.command("exec", "app").out == "left 1.0.0\n"
    # the archive is the same wherever it is made
    elsewhere = places.make("elsewhere", {**files, **base})
    assert digest in elsewhere.command("publish", "--dry-run", "--registry", "fresh").out


def test_what_may_not_be_published(places: Places) -> None:
    files = {"dolbuild.toml": 'organisation = "acme"\n[registries]\nacme = "registry"\n'}
    body = "pub gene Point { has x: Int64 }\npub fun base(a: Int64) -> Int64 { return a }\n"
    spirit = {f"base/{p}": t for p, t in library("base", "1.0.0", body=body).items()}
    work = places.make("work", {**files, **spirit})
    manifest, source = work.root / "base/Spirit.dol", work.root / "base/src/lib.dol"
    text = manifest.read_text()
    for pattern, told in (
        ('    has license: "MIT"\n', "has a license"),
        ("    exegesis { What base is for. }\n", "what it is for"),
    ):
        manifest.write_text(text.replace(pattern, ""))
        ran = work.command("publish")
        assert ran.status == 1 and told in ran.err
    manifest.write_text(text)
    work.write({"base/tests/one_test.dol": 'test "one" { assert_eq(1, 2) }\n'})
    failed = work.command("publish")
    assert failed.status == 1 and "its tests fail" in failed.err
    assert not (work.root / "registry/index").exists()
    (work.root / "base/tests/one_test.dol").unlink()
    assert work.command("publish").status == 0
    source.write_text(
        "pub gene Point { has x: Int64; has y: Int64 }\npub fun base(a: Int64, b: Int64) -> Int64 { return a + b }\n"
    )
    for version, status in (("1.0.1", 1), ("1.1.0", 1), ("2.0.0", 0)):
        manifest.write_text(text.replace("1.0.0", version))
        ran = work.command("publish")
        assert ran.status == status, ran.err
        if status:
            assert "`base` takes `b` too" in ran.err and "`Point.y` is new and has no default" in ran.err
            assert "a breaking change needs version 2.0.0" in ran.err


def test_two_builds_fetch_the_same_package(web: Nginx, places: Places) -> None:
    diamond(web.root / "same")
    files = {**settings(acme=web.url("same")), **DIAMOND}
    works = [places.make(f"work{n}", files, home="shared-home") for n in range(4)]
    results: list[int] = []
    threads = [threading.Thread(target=lambda w=w: results.append(w.command("exec", "app").status)) for w in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0, 0, 0, 0]
    assert not list((places.folder / "shared-home/cache").rglob(".tmp-*"))


def test_a_member_comes_before_a_registry(web: Nginx, places: Places) -> None:
    put(web.root / "members", "me", library("base", "9.0.0"))
    put(web.root / "members", "acme", library("left", "1.0.0", {"@me/base": "^1.0"}))
    base = {f"base/{path}": text for path, text in library("base", "1.5.0").items()}
    files = {**settings(default=web.url("members")), **base}
    work = places.make(
        "work", {**files, **app("@acme/left.left", "@me/base.base", requires={"@acme/left": "^1", "@me/base": "^1"})}
    )
    assert work.command("exec", "app").out == "left 1.0.0\nbase 1.5.0\n"
    assert "@me/base" not in (work.root / "dol.lock").read_text().split("requires")[0]


def test_names_are_asked_of_one_registry_only(web: Nginx, places: Places) -> None:
    """Dependency confusion: the public registry offers a package of our private organisation."""
    put(web.root / "public", "acme", library("base", "99.0.0"))
    (web.root / "ours").mkdir()
    files = {**settings(default=web.url("public"), acme=web.url("ours")), **app(requires={"@acme/base": ">=1.0"})}
    work = places.make("work", files)
    ran = work.command("lock")
    assert ran.status == 1 and f"there is no package @acme/base at {web.url('ours')}" in ran.err
    assert not any("/public/" in line for line in web.requests)
    put(web.root / "ours", "acme", library("base", "1.0.0"))
    assert work.command("lock").status == 0
    work.write(settings(default=web.url("public")))
    moved = work.command("build")
    assert moved.status == 1 and "locked from another registry" in moved.err


def test_a_version_that_changed_after_it_was_published(web: Nginx, places: Places) -> None:
    put(web.root / "changed", "acme", library("base", "1.0.0"))
    work = places.make("work", {**settings(acme=web.url("changed")), **app(requires={"@acme/base": "^1"})})
    assert work.command("lock").status == 0
    (web.root / "changed/index/acme/base.jsonl").unlink()
    put(web.root / "changed", "acme", library("base", "1.0.0", body='pub fun base() -> String { return "evil" }\n'))
    os.utime(web.root / "changed/index/acme/base.jsonl", (2e9, 2e9))  # nginx tells files apart by seconds
    ran = work.command("build")
    assert ran.status == 1 and "is not the one that was published" in ran.err
    put(web.root / "changed", "acme", library("left", "1.0.0"))
    work.write(app(requires={"@acme/base": "^1", "@acme/left": "^1"}))
    locked = work.command("lock")
    assert locked.status == 1 and "published once more with other contents" in locked.err


@pytest.mark.parametrize(
    ("lies", "told"),
    [
        ({"version": "1.0.1"}, "holds `base` 1.0.0"),
        ({"requires": ((parse_name("@acme/other"), Versions("^1")),)}, "requires something else"),
        ({"tree": "0" * 64}, "are not those that were locked"),
        ({"sha256": "0" * 64}, "is not the one that was published"),
    ],
    ids=["version", "requires", "tree", "sha256"],
)  # fmt: skip
def test_an_index_that_lies(web: Nginx, places: Places, lies: dict[str, object], told: str) -> None:
    folder = f"lies-{next(iter(lies))}"
    put(web.root / folder, "acme", library("base", "1.0.0"), **lies)
    put(web.root / folder, "acme", library("other", "1.0.0"))
    work = places.make(
        "work", {**settings(acme=web.url(folder)), **app("@acme/base.base", requires={"@acme/base": "^1"})}
    )
    ran = work.build()
    assert ran.status == 1
    assert told in ran.out, ran.out
    assert not list((work.home / "cache/trees").rglob("base/*")), "nothing is left behind"
    assert ran.statuses["module:app/main"] == "skipped"
