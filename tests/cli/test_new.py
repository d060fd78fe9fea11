"""``dolbuild new``: what it makes builds, and its tests are green, at once."""

import json
from pathlib import Path

from tests.support.workspaces import Workspace

MEASURES_PROCESSES = True


def test_the_first_five_minutes(tmp_path: Path) -> None:
    here = Workspace(tmp_path / "here", tmp_path / "home")
    here.root.mkdir()
    made = here.command("new", "workspace", "my-shop")
    assert made.status == 0 and "cd my-shop && dolbuild build && dolbuild test" in made.out
    work = Workspace(here.root / "my-shop", tmp_path / "home")
    for program in ("dolbuild", "doit"):
        built = work.command("build", program=program)
        assert built.status == 0 and built.err == "", built
    tested = work.command("test")
    assert tested.status == 0 and "test:greeter/greeter_test" in tested.out
    assert work.command("exec", "greeter", "Ada").out == "Hello, Ada!\n"
    assert work.command("exec", "greeter", "greet", "Ada").out == "Hello, Ada!\n"
    assert work.command("fmt", "--check").status == 0

    assert work.command("new", "spirit", "stock-room", cwd="greeter/src").status == 0
    assert work.command("new", "system", "big-shop").status == 0
    built = work.build()
    assert built.status == 0 and "system:big-shop" in built.ran() and built.codes == []
    assert work.command("test").status == 0
    assert work.command("fmt", "--check").status == 0
    assert work.command("exec", "stock-room").out == "Hello, world!\n"
    assert work.command("exec", "big-shop", "add", "2").out == "2\n"
    broken = work.command("exec", "big-shop", "add", "11")
    assert broken.status == 1 and "E0813" in broken.err
    described = json.loads((work.root / "target/systems/big-shop.json").read_text())
    assert described["constraints"][0]["text"] == "this.total <= this.limit"


def test_where_a_member_goes(tmp_path: Path) -> None:
    work = Workspace(tmp_path, tmp_path / "home")
    for members, folder in (
        ('["spirits/*"]', "spirits/one"),
        ('["a", "b/c-*"]', "b/c-two"),
        ('["x/*/y"]', "x/three/y"),
    ):
        work.write({"dolbuild.toml": f"members = {members}\n"})
        name = folder.replace("b/c-", "").replace("/y", "").rpartition("/")[2]
        made = work.command("new", "spirit", name)
        assert made.status == 0 and (tmp_path / folder / "Spirit.dol").is_file(), made
    work.write({"dolbuild.toml": 'members = ["only"]\n'})
    refused = work.command("new", "spirit", "four")
    assert refused.status == 2 and "no place for another member" in refused.err


def test_what_is_refused(tmp_path: Path) -> None:
    work = Workspace(tmp_path, tmp_path / "home")
    (tmp_path / "taken").mkdir()
    for arguments, message in (
        ([], "dolbuild new workspace"),
        (["spirit"], "dolbuild new workspace"),
        (["thing", "x"], "dolbuild new workspace"),
        (["workspace", "taken"], "taken is there already"),
        (["workspace", "../up"], "is no name"),
        (["workspace", "Upper"], "is no name"),
        (["workspace", "-x"], "no option"),
        (["workspace", "a" * 100], "is no name"),
        (["spirit", "alone"], "no workspace"),
    ):
        ran = work.command("new", *arguments)
        assert ran.status == 2 and message in ran.err and "Traceback" not in ran.err, (arguments, ran)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]
