"""Names of packages, and what can be wanted of them."""

import pytest

from dolbuild.packages.name import WrongName, parse_name
from dolbuild.packages.wanted import Hash, Ref, RefKind, Versions, WrongRequirement, parse_wanted

GOOD = {
    "@acme/base": ("@acme/base", ("acme", "base")),
    "@git:github.com/org/repo": ("@git:github.com/org/repo", ("github.com", "org/repo", "")),
    "@git:GitHub.com/org/repo.git": ("@git:github.com/org/repo", ("github.com", "org/repo", "")),
    "@git:host:8443/org/repo/spirits/a": ("@git:host:8443/org/repo/spirits/a", ("host:8443", "org/repo", "spirits/a")),
    "@git:host/group/sub/repo.git/a": ("@git:host/group/sub/repo.git/a", ("host", "group/sub/repo", "a")),
    "@https://cdn.io/u.dol": ("@https://cdn.io/u.dol", ("https://cdn.io/u.dol",)),
    "@https://CDN.io/a=b<c>/u.dol": ("@https://cdn.io/a%3Db%3Cc%3E/u.dol", ("https://CDN.io/a=b<c>/u.dol",)),
}
BAD = [
    "base", "@acme", "@acme/base/more", "@Acme/Base", "@acme/../x", "@acme/-x", "@" + "a" * 600, "@acme/" + "a" * 65,
    "@git:host", "@git:host/org", "@git:-host/org/repo", "@git:host/-org/repo", "@git:host/org/..", "@git:host/org/re po",
    "@git:ho..st/org/repo", "@git:host/.git/x", "@https://host/f.txt", "@https://u:p@host/f.dol", "@https:///f.dol",
    "@https://host/f.dol#x", "@https://hö.example/f.dol", "@http://host/f.dol",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_names(text: str) -> None:
    name = parse_name(text)
    assert (name.id, name.parts) == GOOD[text]
    assert name.text == text


@pytest.mark.parametrize("text", BAD)
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(WrongName):
        parse_name(text)


def test_what_is_wanted() -> None:
    git, file = parse_name("@git:host/o/r"), parse_name("@https://host/f.dol")
    assert parse_wanted(parse_name("@a/b"), "^1.0") == Versions("^1.0")
    assert parse_wanted(git, "main") == Ref("main")
    assert parse_wanted(git, "^1.0") == Versions("^1.0")
    assert parse_wanted(git, "1.0.0") == Ref("1.0.0"), "a tag"
    assert parse_wanted(git, "0" * 40) == Ref("0" * 40, RefKind.COMMIT)
    assert parse_wanted(git, {"branch": "a/b"}) == Ref("a/b", RefKind.BRANCH)
    assert parse_wanted(file, {"sha256": "A" * 64}) == Hash("a" * 64)
    for name, value in ((git, "-x"), (git, "a..b"), (git, "a.lock"), (git, ""), (git, {"tag": 1}), (git, 3), (git, {"commit": "abc"}),
                        (git, {"branch": "a", "tag": "b"}), (file, "^1.0"), (file, {"sha256": "x"}), (parse_name("@a/b"), "main")):  # fmt: skip
        with pytest.raises(WrongRequirement):
            parse_wanted(name, value)
