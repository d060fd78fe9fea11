"""Requirements, changed in the text of a manifest."""

import pytest

from dolbuild.packages.edit import CannotEdit, remove_requirement, set_requirement

PLAIN = """// kept
spirit App {
    has name: "app"   // kept too
    has version: "1.0.0"

    exegesis { Says what it is. }
}
"""


def test_add_and_remove() -> None:
    one = set_requirement(PLAIN, "@acme/base", '"^1.0"')
    assert '"1.0.0"\n\n    requires @acme/base: "^1.0"\n\n    exegesis' in one
    two = set_requirement(one, "@git:host/o/r", '{ tag: "v1" }')
    assert 'base: "^1.0"\n    requires @git:host/o/r: { tag: "v1" }\n' in two
    changed = set_requirement(two, "@acme/base", '"^2.0"')
    assert changed == two.replace("^1.0", "^2.0")
    assert remove_requirement(two, "@git:host/o/r") == one
    assert remove_requirement(one, "@acme/base").replace("\n\n\n", "\n\n") == PLAIN


@pytest.mark.parametrize(
    "text", ['spirit App { has name: "app"; has version: "1.0.0" }', PLAIN.replace("\n", "\r\n"), PLAIN.rstrip()]
)
def test_any_layout(text: str) -> None:
    edited = set_requirement(text, "@acme/base", '"^1.0"')
    assert "requires @acme/base" not in remove_requirement(edited, "@acme/base")


def test_what_cannot_be_changed() -> None:
    for text in ("", "spirit App {", "spirit A { }", PLAIN + PLAIN):
        with pytest.raises(CannotEdit):
            set_requirement(text, "@acme/base", '"^1.0"')
    with pytest.raises(CannotEdit):
        remove_requirement(PLAIN, "@acme/base")
    with pytest.raises(CannotEdit):
        set_requirement(PLAIN, "@acme/base", '"^1.0" }')
