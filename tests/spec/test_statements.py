"""The specification's statements on modules, visibility and resolution, each by its section."""

from collections.abc import Mapping

import pytest

from dolbuild.analysis.resolution import Package, Target, Unresolved, resolve
from tests.support.programs import compile_packages

OWN = Package(
    "@univrs/own",
    frozenset({"lib", "container", "container.state", "internal.helpers", "internal.helpers.utils"}),
    {"@univrs/std": "@univrs/std", "@git:github.com/o/r": "@git:github.com/o/r", "@https://e.com/u.dol": "@https"},
)
OTHERS = {
    "@univrs/own": OWN,
    "@univrs/std": Package("@univrs/std", frozenset({"lib", "io"})),
    "@git:github.com/o/r": Package("@git:github.com/o/r", frozenset({"lib", "util"})),
    "@https": Package("@https", frozenset({"lib"})),
}


@pytest.mark.parametrize(
    ("path", "module", "rest"),
    [
        ("container", "@univrs/own/container", ()),
        ("container.state", "@univrs/own/container.state", ()),
        ("internal.helpers", "@univrs/own/internal.helpers", ()),
        ("internal.helpers.utils", "@univrs/own/internal.helpers.utils", ()),
        ("container.Container", "@univrs/own/container", ("Container",)),
        ("@univrs/std", "@univrs/std/lib", ()),
        ("@univrs/std.io", "@univrs/std/io", ()),
        ("@univrs/std.io.println", "@univrs/std/io", ("println",)),
        ("@git:github.com/o/r", "@git:github.com/o/r/lib", ()),
        ("@git:github.com/o/r.util", "@git:github.com/o/r/util", ()),
        ("@https://e.com/u.dol", "@https/lib", ()),
    ],
)
def test_module_resolution(path: str, module: str, rest: tuple[str, ...]) -> None:
    """ "Module Resolution", the table of syntax and what it resolves to."""
    assert resolve(path, OWN, OTHERS) == Target(module, rest)


def test_what_is_not_required_does_not_resolve() -> None:
    """ "Import Sources": packages come from what the manifest requires."""
    assert resolve("@other/thing", OWN, OTHERS) is Unresolved.NOT_REQUIRED
    assert resolve("nowhere", OWN, OTHERS) is Unresolved.NO_MODULE


def codes(own: Mapping[str, str], other: Mapping[str, str] | None = None) -> list[str]:
    """The codes that compiling a Spirit, and another one that requires it, reports."""

    def package(modules: Mapping[str, str]) -> dict[str, tuple[str, bytes]]:
        return {name: (f"src/{name.replace('.', '/')}.dol", text.encode()) for name, text in modules.items()}

    built = compile_packages({"@t/a": package(own), "@t/b": package(other or {})}, {"@t/b": {"@t/a": "@t/a"}})
    return [d.code for d in built.diagnostics if d.code.startswith("E")]


X = "fun private_item() { }\npub(parent) fun parent_item() { }\npub(spirit) fun spirit_item() { }\npub fun public_item() { private_item() }\n"


@pytest.mark.parametrize(
    ("item", "same_module", "same_spirit", "parent", "other_spirit"),
    [
        ("private_item", True, False, False, False),
        ("parent_item", True, False, True, False),
        ("spirit_item", True, True, True, False),
        ("public_item", True, True, True, True),
    ],
)
def test_visibility_rules(item: str, same_module: bool, same_spirit: bool, parent: bool, other_spirit: bool) -> None:
    """ "Visibility Rules", the table and the picture "Visibility Boundaries"."""
    use = f"use x.child.{item}\npub fun f() {{ {item}() }}\n"
    assert (codes({"x.child": X + f"pub fun inside() {{ {item}() }}\n"}) == []) is same_module
    assert (codes({"x.child": X, "y": use}) == []) is same_spirit
    assert (codes({"x.child": X, "x": use}) == []) is parent
    outside = f"use @t/a.x.child.{item}\npub fun f() {{ {item}() }}\n"
    assert (codes({"x.child": X, "lib": ""}, {"lib": outside}) == []) is other_spirit


def test_private_is_the_default() -> None:
    """ "Key Principles", 3: private by default, pub to expose."""
    assert codes({"a": "fun f() { }\npub fun g() { f() }\n", "b": "use a.f\npub fun h() { f() }\n"}) == ["E0204"]


def test_implicit_module_declaration() -> None:
    """ "Module Declaration (Implicit)": no `mod` is needed in a file."""
    assert (
        codes({"container": "pub fun create() { }\n", "lib": "use container\npub fun f() { container.create() }\n"})
        == []
    )


def test_inline_submodules() -> None:
    """ "Inline Submodules (Explicit)": access is container.state.ContainerState."""
    container = "mod state {\n pub gene ContainerState {\n type: enum { Created, Running }\n }\n}\n"
    lib = "use container\npub fun f() -> container.state.ContainerState { return container.state.ContainerState.Created }\n"
    assert codes({"container": "pub " + container, "lib": lib}) == []


def test_the_face_exports() -> None:
    """ "Spirit File Structure": lib.dol is the library entry (pub exports)."""
    own = {"inner": "pub fun one() -> Int64 { return 1 }\n", "lib": "pub use inner.one\n"}
    assert codes(own, {"lib": "use @t/a.{ one }\npub fun f() -> Int64 { return one() }\n"}) == []
    assert codes(own, {"lib": "use @t/a.{ two }\npub fun f() -> Int64 { return two() }\n"}) == ["E0203"]


def test_same_import_syntax_everywhere() -> None:
    """ "Key Principles", 4: `use` with prefixes for the source type."""
    own = {"lib": "pub fun one() -> Int64 { return 1 }\n"}
    for use in ("use @t/a.one", "use @t/a.{ one }", "use @t/a.*", "use @t/a.{ one as two }\nuse @t/a.one"):
        more = "pub fun g() -> Int64 { return two() }\n" if "two" in use else ""
        assert codes(own, {"lib": f"{use}\npub fun f() -> Int64 {{ return one() }}\n{more}"}) == []


def test_spirits_do_not_see_package_internal_helpers() -> None:
    """Example 1: "Package-internal helper (not exported from lib.dol)"."""
    own = {"arithmetic": "pub(spirit) fun gcd() { }\n", "lib": "pub use arithmetic.gcd\n"}
    assert codes(own) == ["E0204"]
