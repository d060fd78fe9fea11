"""Single files over https, from nginx with a test authority."""

import hashlib

import pytest

from tests.fetching.conftest import Places
from tests.support.published import app
from tests.support.servers import Nginx

SETTINGS = {"dolbuild.toml": 'organisation = "me"\n'}
TEXT = 'pub fun hello() -> String { return "hello" }\n'
HASH = hashlib.sha256(TEXT.encode()).hexdigest()


def files(package: str, value: str = f'{{ sha256: "{HASH}" }}') -> dict[str, str]:
    return {**SETTINGS, **app(f"{package}.hello", values=f"    requires {package}: {value}\n")}


def serve(web: Nginx, places: Places, path: str, text: str = TEXT) -> str:
    """Put a file on the server; gives the name of its package."""
    target = web.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    places.variables["SSL_CERT_FILE"] = str(web.authority)
    return f"@{web.url(path, tls=True)}"


def test_a_file(web: Nginx, places: Places) -> None:
    package = serve(web, places, "files/hello.dol")
    work = places.make("work", files(package))
    ran = work.command("exec", "app")
    assert (ran.status, ran.out) == (0, "hello\n"), ran.err
    asked = len(web.requests)
    assert work.command("build", "--locked").status == 0
    assert len(web.requests) == asked
    assert (work.home / "http" / HASH / "src/lib.dol").read_text() == TEXT


def test_the_hash_is_required(web: Nginx, places: Places) -> None:
    package = serve(web, places, "files/unpinned.dol")
    for value in ('"^1.0"', '{ sha256: "abc" }', '{ md5: "abc" }'):
        work = places.make(f"work{len(value)}{value[2]}", files(package, value))
        ran = work.command("build")
        assert ran.status == 1 and "E0606" in ran.err and "does not pin the file" in ran.err
    work = places.make("added", {**SETTINGS, **app()})
    assert work.command("add", package).status == 0
    assert HASH in (work.root / "app/Spirit.dol").read_text()
    assert work.command("lock", "--locked").status == 0


def test_another_file_than_was_meant(web: Nginx, places: Places) -> None:
    package = serve(web, places, "files/changed.dol", TEXT + "// changed\n")
    work = places.make("work", files(package))
    ran = work.command("build")
    assert ran.status == 1 and "E1004" in ran.err and "is not the file that is required" in ran.err
    assert not (work.home / "http").exists() or not list((work.home / "http").rglob("*"))


def test_redirects(web: Nginx, places: Places) -> None:
    serve(web, places, "files/moved.dol")
    cases = {
        "moved/files/moved.dol": None, "away/moved.dol": "from https to http", "file/moved.dol": "redirected to file:",
        "circle/moved.dol": "more than 5 times", "files/none.dol": "answers 404", "broken/moved.dol": "it answers 503",
    }  # fmt: skip
    for number, (path, told) in enumerate(cases.items()):
        work = places.make(f"work{number}", files(f"@{web.url(path, tls=True)}"))
        ran = work.command("build")
        if told is None:
            assert ran.status == 0, ran.err
        else:
            assert ran.status == 1 and told in ran.err, ran.err


def test_a_certificate_of_no_one(web: Nginx, places: Places) -> None:
    package = serve(web, places, "files/hello.dol")
    del places.variables["SSL_CERT_FILE"]
    work = places.make("work", files(package))
    ran = work.command("build")
    assert ran.status == 1 and "E1003" in ran.err and "certificate" in ran.err.lower()


@pytest.mark.parametrize(
    "name", ["@https://user:secret@host/f.dol", "@https://host/f.txt", "@https://host/f.dol#part", "@https:///f.dol"]
)
def test_addresses_that_are_none(places: Places, name: str) -> None:
    work = places.make("work", files(name))
    ran = work.command("build")
    assert ran.status == 1 and "Traceback" not in ran.err
