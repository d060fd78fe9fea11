"""The interactive graph, in a real browser."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from dolbuild.rules.node import Group, Node, Plan
from dolbuild.rules.page import critical_path, to_page
from tests.conftest import MakeWorkspace
from tests.support.browser import chromium, violations
from tests.support.workspaces import EXAMPLES, Workspace, spirit

MEASURES_PROCESSES = True


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The example workspace, built."""
    root = tmp_path_factory.mktemp("page") / "examples"
    shutil.copytree(EXAMPLES, root, ignore=shutil.ignore_patterns("target", ".dolbuild", "state"))
    workspace = Workspace(root, root.parent / "home")
    assert workspace.command("test").status == 0
    assert workspace.command("build").status == 0
    assert workspace.command("graph", "--html", "--output=graph.html").status == 0
    return workspace


class Opened:
    """A page that was opened; what went wrong in it is kept."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, address: str) -> "Opened":
        self.page.goto(address)
        self.page.wait_for_selector("html[data-drawn]", state="attached")
        return self

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("() => JSON.parse(JSON.stringify(dolbuild.state))")
        return found

    @property
    def counts(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("() => dolbuild.counts")
        return found

    def facts(self) -> dict[str, str]:
        names = self.page.locator("#panel dl dt").all_inner_texts()
        return dict(zip(names, self.page.locator("#panel dl dd").all_inner_texts(), strict=True))

    def find(self, text: str) -> None:
        self.page.keyboard.press("/")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")


@pytest.fixture
def opened(browser: Browser, built: Workspace) -> Iterator[Opened]:
    page = browser.new_page(viewport={"width": 1300, "height": 800})
    opened = Opened(page).open((built.root / "graph.html").as_uri())
    yield opened
    assert opened.wrong == []
    assert {one.split(":")[0] for one in opened.asked} <= {"file", "blob", "data"}  # the file is all there is
    page.close()


def test_what_is_drawn(opened: Opened, built: Workspace) -> None:
    graph = json.loads(built.command("graph", "--json").out)
    assert opened.counts["nodes"] == len(graph["nodes"])
    expect(opened.page.locator("h1")).to_have_text("univrs")
    drawn = len({(e["from"], e["to"]) for e in graph["edges"] if e["why"] in ("imports", "tests")})
    assert opened.counts["near"] and opened.counts["edges"] >= drawn
    expect(opened.page.locator("#panel")).to_contain_text(f"{len(graph['nodes'])} nodes")


def test_search_and_selection(opened: Opened) -> None:
    opened.find("monitoring lib")
    expect(opened.page.locator("#panel h2")).to_have_text("monitoring/lib")
    facts = opened.facts()
    assert facts["kind"] == "module" and facts["in"] == "monitoring" and facts["file"] == "monitoring/src/lib.dol"
    assert facts["last run"] in ("up to date", "ran")
    needs = opened.page.locator('[data-list="needs"] li')
    expect(needs).to_have_count(1)
    expect(needs.first).to_contain_text("containers/lib")
    expect(needs.first).to_contain_text("imports @univrs/containers")
    assert re.search(r"monitoring/src/lib\.dol:\d+", needs.first.inner_text())
    opened.page.reload()
    opened.page.wait_for_selector("html[data-drawn]", state="attached")
    expect(opened.page.locator("#panel h2")).to_have_text("monitoring/lib")  # the address has it
    needs.first.get_by_role("button").click()
    expect(opened.page.locator("#panel h2")).to_have_text("containers/lib")
    opened.find("nothing of this name")
    expect(opened.page.locator("#panel h2")).to_have_text("containers/lib")


def test_focus_and_depth(opened: Opened) -> None:
    opened.find("system:production-cluster")
    opened.page.keyboard.press("f")
    assert opened.state["view"] == "focus"
    counts = []
    for depth in (1, 2):
        opened.page.locator("#depth").fill(str(depth))
        counts.append(opened.counts["nodes"])
    assert counts[0] < counts[1] < 46
    opened.page.get_by_role("button", name="What this affects").click()
    affects = opened.counts["nodes"]
    assert affects - 1 == int(opened.facts()["affects in all"])
    opened.page.get_by_role("button", name="All that it needs").click()
    assert opened.counts["nodes"] - 1 == int(opened.facts()["needs in all"])
    opened.page.keyboard.press("Escape")
    assert opened.state["view"] == "overview" and opened.counts["nodes"] == 46


def test_a_path_and_what_made_its_edges(opened: Opened, built: Workspace) -> None:
    opened.find("system:production-cluster")
    opened.page.get_by_label("Show a path from here to").fill("containers/config")
    opened.page.keyboard.press("Enter")
    steps = opened.page.locator(".steps li").all_inner_texts()
    told = built.command("query", "somepath(system:production-cluster, module:containers/config)").out
    assert len(steps) == len([line for line in told.splitlines() if not line.startswith(" ")])
    assert "production-cluster/System.dol:" in told
    assert any(re.search(r"\.dol:\d+", step) for step in steps)
    assert opened.counts["nodes"] == len(steps) and opened.counts["edges"] == len(steps) - 1
    opened.page.get_by_role("button", name="The other way round").click()
    expect(opened.page.locator("#panel")).to_contain_text("This does not need production-cluster")


def test_keys_alone(opened: Opened) -> None:
    """Everything that a mouse does, without one."""
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    stops = []
    for _ in range(9):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("() => document.activeElement.id"))
    assert [one for one in stops if one] == [
        "search",
        "group",
        "colour",
        "theme",
        "help",
        "drawing",
        "in",
        "out",
        "fit",
    ]
    page.locator("#drawing").focus()
    outline = "() => getComputedStyle(document.getElementById('drawing'), '::after').borderTopWidth"
    assert page.evaluate(outline) == "2px"
    opened.find("monitoring/lib")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel h2")).to_have_text("containers/lib")
    expect(page.locator("#said")).to_have_text(re.compile(r"module containers/lib, .*, needs \d+, needed by \d+"))
    page.keyboard.press("ArrowLeft")
    first = page.locator("#panel h2").inner_text()
    page.keyboard.press("ArrowDown")
    assert page.locator("#panel h2").inner_text() != first
    page.keyboard.press("ArrowUp")
    expect(page.locator("#panel h2")).to_have_text(first)
    page.keyboard.press("Enter")
    assert opened.state["view"] == "focus"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert opened.state["selected"] is None
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).not_to_be_visible()


def test_the_mouse(opened: Opened) -> None:
    at = opened.page.evaluate("() => dolbuild.position('module:geometry/angles')")
    box = opened.page.locator("#drawing").bounding_box()
    assert box is not None
    opened.page.mouse.click(box["x"] + at["x"], box["y"] + at["y"])
    expect(opened.page.locator("#panel h2")).to_have_text("geometry/angles")
    opened.page.get_by_label("Zoom in").click()
    opened.page.wait_for_timeout(400)
    other = opened.page.evaluate("() => dolbuild.position('module:geometry/angles')")
    assert other != at


def test_colours_are_words_too(opened: Opened) -> None:
    opened.page.get_by_label("Colour by").select_option("run")
    legend = opened.page.get_by_label("Legend")
    expect(legend).to_contain_text("up to date")
    counted = [int(one.replace(",", "")) for one in legend.locator(".aside").all_inner_texts()]
    assert sum(counted) == 46
    legend.get_by_role("button", name=re.compile("up to date")).click()
    assert opened.page.evaluate("() => [...dolbuild.state.spotlight]") == ["up-to-date"]
    expect(legend.get_by_role("button", name=re.compile("up to date"))).to_have_attribute("aria-pressed", "true")
    opened.page.get_by_label("Colour by").select_option("time")
    expect(legend).to_contain_text("ms")


@pytest.mark.parametrize("grouping", ["folder", "none"])
def test_grouping(opened: Opened, grouping: str) -> None:
    before = opened.page.evaluate("() => dolbuild.position('module:geometry/angles')")
    opened.page.evaluate("() => { delete document.documentElement.dataset.drawn; }")
    opened.page.get_by_label("Group by").select_option(grouping)
    opened.page.wait_for_selector("html[data-drawn]", state="attached")
    assert opened.page.evaluate("() => dolbuild.position('module:geometry/angles')") != before
    assert opened.counts["nodes"] == 46


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(browser: Browser, built: Workspace, scheme: Any) -> None:
    """What axe finds, in both themes: nothing; with a node selected, and in the list of keys."""
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1300, "height": 800})
    opened = Opened(page).open((built.root / "graph.html").as_uri())
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
    assert violations(page) == []
    opened.find("production-cluster/System")
    page.keyboard.press("f")
    assert violations(page) == []
    page.keyboard.press("?")
    assert violations(page) == []
    page.close()


def test_without_webgl(playwright: Playwright, built: Workspace) -> None:
    with chromium(playwright, "--no-sandbox", "--disable-gpu", "--disable-3d-apis") as browser:
        page = browser.new_page()
        page.goto((built.root / "graph.html").as_uri())
        expect(page.locator("#drawing")).to_contain_text("Everything is in the panel")
        page.keyboard.press("/")
        page.keyboard.type("monitoring/lib")
        page.keyboard.press("Enter")
        expect(page.locator('[data-list="needs"]')).to_contain_text("containers/lib")


def test_the_same_graph_gives_the_same_bytes(built: Workspace) -> None:
    before = (built.root / "graph.html").read_bytes()
    assert built.command("graph", "--html", "--output=again.html", cwd="geometry").status == 0
    assert (built.root / "geometry/again.html").read_bytes() == before
    assert str(built.root).encode() not in before


def test_nothing_ends_the_script_that_holds_the_data() -> None:
    page = to_page({"title": "</script><!-- <script>", "nodes": []}).decode()
    data = page.split('type="application/json">')[1].split("</script>")[0]
    assert json.loads(data)["title"] == "</script><!-- <script>"


def test_the_critical_path() -> None:
    took = {"a": 1.0, "b": 2.0, "c": 0.5, "d": 0.25}
    depend = {"a": (), "b": (), "c": ("all",), "d": ("c", "a")}
    nodes = {
        name: Node(name, "", lambda _: None, dependencies)  # type: ignore[arg-type, return-value]
        for name, dependencies in depend.items()
    }
    plan = Plan(nodes, {"all": Group("all", "", ("a", "b"))}, {})
    assert critical_path(plan, took.__getitem__) == [("b", 2.0), ("c", 0.5), ("d", 0.25)]
    assert critical_path(plan, lambda _: 0.0) == []
    assert critical_path(Plan({}, {}, {}), took.__getitem__) == []


# -- a build that goes on --------------------------------------------------------------------------


class Served:
    """``dolbuild graph --open`` in a process."""

    def __init__(self, workspace: Workspace, *arguments: str) -> None:
        command = [sys.executable, "-u", "-m", "dolbuild.commands.main", "graph", "--open", *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=workspace.root,
            env=workspace.environment() | {"BROWSER": "none"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.address = re.search(r"http://\S+/", self.said)[0]  # type: ignore[index]

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(2)
        out, _err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0 and out.strip() == ""


LIB = "pub fun one() -> Int64 { return 1 }\n"


def test_a_build_is_followed(browser: Browser, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(
        {"a/Spirit.dol": spirit("a"), "a/src/lib.dol": LIB, "a/src/more.dol": "pub fun two() -> Int64 { return 2 }\n"}
    )
    assert workspace.command("build").status == 0
    with Served(workspace) as served:
        page = browser.new_page()
        opened = Opened(page).open(served.address)
        other = Opened(browser.new_page()).open(served.address)
        other.find("module:a/lib")
        live = page.locator("#live")
        expect(live).to_have_text("waiting for a build")
        opened.find("module:a/lib")
        (workspace.root / "a/src/lib.dol").write_text(LIB.replace("1 }", "3 }"))
        workspace.command("build")
        expect(live).to_have_text(re.compile("the build is done"))
        assert opened.facts()["last run"] == "ran"
        (workspace.root / "a/src/lib.dol").write_text(LIB.replace("1 }", '"" }'))
        workspace.command("build")
        expect(live).to_have_text(re.compile("the build has failed"))
        assert opened.facts()["last run"] == "failed"
        expect(page.get_by_label("Legend")).to_contain_text("failed")
        expect(page.locator("#panel")).not_to_contain_text("succeeded")
        # one that is killed
        head = '{"format":1,"run":"1-%x","began":1.0,"planned":9}\n{"begin":"module:a/lib","at":0.1}\n'
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        (workspace.root / ".dolbuild/other").write_text(head % ended.pid)
        (workspace.root / ".dolbuild/other").rename(workspace.root / ".dolbuild/run")
        expect(live).to_have_text(re.compile("was ended from outside"))
        # a new import is a new edge: the page draws the graph anew, and keeps what is selected
        (workspace.root / "a/src/lib.dol").write_text("use more.{ two }\npub fun one() -> Int64 { return two() }\n")
        workspace.command("build")
        expect(page.locator('[data-list="needs"]')).to_contain_text("a/more", timeout=20_000)
        expect(page.locator("#panel h2")).to_have_text("a/lib")
        expect(other.page.locator('[data-list="needs"]')).to_contain_text(
            "a/more", timeout=20_000
        )  # every page is told
        assert opened.wrong == other.wrong == []
        other.page.close()
        page.close()


def test_who_may_ask(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({"a/Spirit.dol": spirit("a"), "a/src/lib.dol": LIB})
    with Served(workspace, "--port=0") as served:
        with urllib.request.urlopen(served.address) as answer:
            assert answer.headers["X-Frame-Options"] == "DENY" and b"<!doctype html>" in answer.read()
        for path, host, status in (("", "evil.example:80", 421), ("../dolbuild.toml", "", 404), ("events?x", "", 404)):
            request = urllib.request.Request(served.address + path, headers={"Host": host} if host else {})
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request)
            assert refused.value.code == status
            refused.value.close()
        port = served.address.rstrip("/").rpartition(":")[2]
        ran = workspace.command("graph", "--open", f"--port={port}")
        assert ran.status == 2 and "Address already in use" in ran.err and "--port" in ran.err
        (workspace.root / "dolbuild.toml").write_text("organisation = 1\n")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(served.address)
        assert refused.value.code == 503 and b"Mend it" in refused.value.read()
        refused.value.close()


def test_wrong_usage(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    workspace = make_workspace({"a/Spirit.dol": spirit("a"), "a/src/lib.dol": LIB})
    for wrong in (
        ["--open", "--html"],
        ["--open", "--port=x"],
        ["--open", "--port=70000"],
        ["--open", "deps(x)"],
        ["--html", "--dot"],
    ):
        ran = workspace.command("graph", *wrong)
        assert ran.status == 2 and ran.err.startswith("error: "), wrong
    assert workspace.command("graph", "--html", "--output=no/such/graph.html").status == 0
    assert (workspace.root / "no/such/graph.html").is_file()  # folders are made
    ran = Workspace(tmp_path, tmp_path / "home").command("graph", "--html")
    assert ran.status == 2 and "Traceback" not in ran.err
