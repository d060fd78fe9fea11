"""``doit docs``: pages from interfaces and exegesis, and examples that are tests."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect, sync_playwright

from dolbuild.documenting.examples import as_tests, examples
from dolbuild.documenting.page import markdown
from dolbuild.documenting.signatures import highlighted
from tests.conftest import MakeWorkspace
from tests.support.browser import chromium, violations
from tests.support.workspaces import EXAMPLES, Workspace, spirit

MEASURES_PROCESSES = True

SHAPES = """exegesis {
    Shapes, and what they measure.

    ```dol
    use @acme/shapes.{ Square }

    assert_eq(Square { side: 3 }.area(), 9)
    ```
}

pub use colours.{ Colour, Paint as Ink }

/// A square. <script>alert(1)</script>
pub gene Square {
    /// How long each side is.
    has side: Int64
    has colour: Option<Colour> = None

    constraint is_there { this.side > 0 }

    /// What it covers.
    ///
    /// ```dol
    /// use @acme/shapes.{ Square }
    /// square = Square { side: 2 }
    /// assert_eq(square.area(), 4)
    /// ```
    pub fun area(self) -> Int64 { return this.side * this.side }

    fun hidden(self) -> Int64 { return 1 }
}

pub trait Measured {
    fun measure(self) -> Int64
}

impl Measured for Square {
    fun measure(self) -> Int64 { return this.side }
}

pub const LIMIT: Int64 = 10
pub fun largest<T: Measured>(shapes: List<T>, paint: Ink) -> Option<T> { return None }
fun secret() -> Int64 { return 0 }

mod inner {
    /// In an inline module.
    pub fun deep(square: Square) -> Int64 { return 0 }
}
pub mod open {
    /// In an inline module that others see.
    pub fun deeper(square: Square) -> Int64 { return 0 }
}
"""
COLOURS = """pub gene Colour {
    type: enum { Red, Mixed(parts: List<Colour>, String) }
}
pub type Paint = Map<String, Colour>
"""
USING = """use @acme/shapes.{ Square }
pub fun unit() -> Square { return Square { side: 1 } }
"""


@pytest.fixture
def shapes(make_workspace: MakeWorkspace) -> Workspace:
    return make_workspace(
        {
            "shapes/Spirit.dol": spirit("shapes", more="    exegesis {\n        Made of *lines*.\n    }\n"),
            "shapes/src/lib.dol": SHAPES,
            "shapes/src/colours.dol": COLOURS,
            "using/Spirit.dol": spirit("using", "shapes"),
            "using/src/lib.dol": USING,
        }
    )


class Read(HTMLParser):
    """The ids and links of a page, and what it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag in ("a", "link", "script") and (address := given.get("href") or given.get("src")):
            self.links.append(address)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(workspace: Workspace, name: str) -> Read:
    return Read((workspace.root / "target/docs" / name / "index.html").read_text())


def test_what_a_page_says(shapes: Workspace) -> None:
    ran = shapes.command("docs")
    assert ran.status == 0, ran.err
    page = read(shapes, "shapes")
    for said in (
        "pub gene Square", "side: Int64", "colour: Option<Colour> = …", "is_there: this.side > 0", "How long each side is.",
        "pub fun area(self) -> Int64", "pub trait Measured", "Implements Measured.", "pub const LIMIT: Int64 = 10",
        "pub fun largest<T: Measured>(shapes: List<T>, paint: Ink) -> Option<T>", "Mixed(parts: List<Colour>, String)",
        "pub type Paint = Map<String, Colour>", "src/lib.dol:14", "Made of lines.", "Shapes, and what they measure.",
    ):  # fmt: skip
        assert said in page.text, said
    assert "secret" not in page.text and "hidden" not in page.text
    assert "lib.open.deeper" in page.ids and "In an inline module that others see." in page.text
    assert "lib.inner.deep" not in page.ids
    assert "em" in page.tags and "<script>alert(1)</script>" in page.text  # as text: no tag of documentation is one
    assert {"lib.Square", "lib.Square.area", "module.lib", "colours.Paint"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "#colours.Colour" in page.links and "#colours.Paint" in page.links  # an alias leads to what it stands for
    using = read(shapes, "using")
    assert "../shapes/index.html#lib.Square" in using.links and "../shapes/index.html" in using.links


def test_every_link_leads_somewhere(tmp_path: Path) -> None:
    """In the pages of the example workspace, and of the standard Spirits."""
    root = tmp_path / "examples"
    shutil.copytree(EXAMPLES, root, ignore=shutil.ignore_patterns("target", ".dolbuild", "state"))
    workspace = Workspace(root, tmp_path / "home")
    assert workspace.command("docs", program="doit").status == 0
    docs = root / "target/docs"
    pages = {path: Read(path.read_text()) for path in docs.rglob("index.html")}
    assert len(pages) > 10
    for path, page in pages.items():
        for link in page.links:
            if link.startswith(("data:", "https:")):
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / unquote(name)).resolve() if name else path
            assert target.is_file(), (path, link)
            if anchor:
                assert unquote(anchor) in pages[target].ids, (path, link)
    index = json.loads((docs / "index.js").read_text().removeprefix("window.documentation = ").rstrip().rstrip(";"))
    for name, _, address, _ in index:
        file, _, anchor = address.partition("#")
        assert (docs / file).is_file() and (not anchor or unquote(anchor) in pages[docs / file].ids), name
    assert {"Container", "ProductionCluster", "Json.from", "container-lib"} <= {entry[0] for entry in index}


def test_what_makes_a_page_stale(shapes: Workspace) -> None:
    assert shapes.command("docs").status == 0
    assert shapes.command("docs", "--json").ran() == set()
    assert set(shapes.command("docs", "--json", "-a", "using").statuses) >= {"docs:using"}
    assert "docs:shapes" not in shapes.command("docs", "--json", "-a", "using").statuses
    lib = shapes.root / "shapes/src/lib.dol"
    lib.write_text(SHAPES.replace("this.side * this.side", "this.side * this.side + 0"))
    ran = shapes.command("docs", "--json").ran()
    assert "interface:shapes/lib" in ran and not any(name.startswith("docs:") for name in ran)  # a body says nothing
    lib.write_text(SHAPES.replace("this.side > 0", "this.side > 1"))
    assert {n for n in shapes.command("docs", "--json").ran() if n.startswith("docs:")} == {"docs:shapes"}
    lib.write_text(SHAPES.replace("A square.", "A square with four sides."))
    assert {n for n in shapes.command("docs", "--json").ran() if n.startswith("docs:")} == {
        "docs:shapes",
        "docs:.index",
    }
    (shapes.root / "target/docs/using/index.html").unlink()
    assert shapes.command("docs", "--json").statuses["docs:using"] in ("hit", "ran")
    assert (shapes.root / "target/docs/using/index.html").is_file()


def test_examples_are_tests(shapes: Workspace) -> None:
    ran = shapes.command("test", "--json")
    assert ran.statuses["test:shapes/docs:lib"] == "ran"
    lib = shapes.root / "shapes/src/lib.dol"
    lib.write_text(SHAPES.replace("square.area(), 4)", "square.area(), 5)"))
    ran = shapes.command("test")
    assert ran.status == 1 and 'test "the example in line 24": assert_eq failed' in ran.err
    assert "--> shapes/src/lib.dol:26" in ran.err
    lib.write_text(SHAPES.replace("area(), 9)", "aria(), 9)"))
    ran = shapes.command("check")
    assert ran.status == 1 and "--> shapes/src/lib.dol:7:34" in ran.err and "`Square` has no `aria`" in ran.err
    lib.write_text(SHAPES.replace("```dol\n", "```dol ignore\n"))
    assert "test:shapes/docs:lib" not in shapes.command("test", "--json").statuses
    lib.write_text(SHAPES)
    assert shapes.command("test", "--json").statuses["test:shapes/docs:lib"] in ("hit", "up-to-date")
    assert shapes.command("test", "--json", "shapes/docs:lib").status == 0


def test_examples_in_a_text() -> None:
    source = "\n".join([
        "/// ```dol", "/// use a.b", "/// x = 1", "/// ```", "fun f() {}",
        "/// ````dol", "/// y", "/// ```", "/// z", "/// ````",
        "exegesis {", "    ```dol", "    use a.b", "    w", "    ```", "    ```text", "    no", "    ```", "}",
        "/// ```dol", "/// cut off", "fun g() {}",
    ])  # fmt: skip
    found = list(examples(source))
    assert [(one.first, one.lines) for one in found] == [
        (2, ("    use a.b", "    x = 1")), (7, ("    y", "    ```", "    z")), (13, ("    use a.b", "    w")),
        (21, ("    cut off",)),
    ]  # fmt: skip
    lines = as_tests(source.encode()).decode().split("\n")
    assert lines[:4] == ["    use a.b", 'test "the example in line 2" {', "    x = 1", "}"]
    assert lines[11:15] == ["", 'test "the example in line 13" {', "    w", "}"]  # imported once
    assert lines[19:22] == ['test "the example in line 21" {', "    cut off", "}"]
    for line, is_run in (
        ("/// ```DOL", True), ("/// ```dol ingore", True), ("/// ```dol ignore", False), ("/// ```dolphin", False), ("/// ~~~dol", False),
        ("/// > ```dol", False), ("///    ```dol", True), ("///     ```dol", False),
    ):  # fmt: skip
        text = f"{line}\n/// x\n/// ```\n"
        assert bool(list(examples(text))) is is_run, line
    assert 'class="tested"' in markdown("```dol x\ny\n```") and 'class="tested"' not in markdown(
        "~~~dol\ny\n~~~\n> ```dol\n> y\n> ```"
    )
    assert list(examples("")) == [] and as_tests(b"\xff```dol").count(b"test") == 0
    assert as_tests(b"/// ```dol\n/// use a.b\n/// ```\n").strip() == b"use a.b"


def test_texts_are_safe() -> None:
    for wrong in (
        "<img src=x onerror=y>",
        "[x](javascript:alert(1))",
        "![x](javascript:alert(1))",
        "<javascript:alert(1)>",
    ):
        tags = Read(markdown(wrong))
        assert "img" not in tags.tags and not tags.links, wrong
    assert highlighted('fun a() { "</b>" } // <i>') == (
        '<span class="keyword">fun</span> a() { <span class="string">&quot;&lt;/b&gt;&quot;</span> } '
        '<span class="comment">// &lt;i&gt;</span>'
    )


def test_search_in_a_browser(shapes: Workspace) -> None:
    assert shapes.command("docs").status == 0
    with sync_playwright() as playwright, chromium(playwright) as browser:
        page = browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((shapes.root / "target/docs/index.html").as_uri())
        assert violations(page) == []
        page.keyboard.press("/")
        page.keyboard.type("square.ar")
        expect(page.get_by_role("option").first).to_contain_text("Square.area")
        page.keyboard.press("Enter")
        page.wait_for_url("**/shapes/index.html#lib.Square.area")
        assert violations(page) == []
        page.get_by_label("Search the documentation").fill("zzz")
        expect(page.locator(".found")).to_have_text("nothing is called so")
        assert wrong == []
