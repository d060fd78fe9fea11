"""dolbuild and the tools it is measured beside: the build files of each for a generated workspace, and what to start.

Every peer gets the sources of ``generate.py`` with its own build files among them. Its actions do nothing that takes time
(``cat``, ``grep``), since what is measured is the tool. Ninja, Bazel and plain doit have the nodes that dolbuild has (`nodes`);
Turborepo and Nx have a package for each Spirit, with one script.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.scale.generate import face_used, modules_used, requires_of, spirit_name, write

LIB = "lib"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tool is measured: the *root* of its workspace, its *home* (what it keeps between builds), the folder into which
    *peers* were installed."""

    root: Path
    home: Path
    peers: Path


@dataclass(frozen=True, slots=True)
class Tool:
    """A build system.

    *program* is in PATH, or in the folder of peers where it has a slash; ``{home}`` in *arguments* is that of the place.
    *prepare* writes the build files for so many Spirits of so many modules. *output* is what is built from ``{spirit}``,
    beneath the root.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path, int, int], None]
    output: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def found(self, peers: Path) -> str | None:
        """The path of the program, None where it is not installed."""
        return shutil.which(str(peers.absolute() / self.program) if "/" in self.program else self.program)

    def command(self, place: Place) -> list[str]:
        """A build of everything."""
        program = self.found(place.peers)
        assert program is not None
        return [program, *(argument.format(home=place.home) for argument in self.arguments)]

    def generate(self, place: Place, spirits: int, modules: int) -> None:
        """Write the workspace anew: sources and build files, nothing built, an empty home."""
        for folder in (place.root, place.home):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        write(place.root, spirits, modules)
        self.prepare(place.root, spirits, modules)
        if self.program.startswith(NODE):
            share_node_modules(place.peers / "node_modules", place.root / "node_modules")
            commit(place.root)


# -- the graph -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """What is made, and from what. Paths are relative to the root.

    *kind*: ``interface`` is made from a source; ``module`` from the source (first) and the interfaces that it imports; ``group``
    stands for the modules of a Spirit and the groups of what it requires; ``link`` is made from the modules of a Spirit and,
    last, its group: it has to be made again whenever a module does of a Spirit that is required, directly or not.
    """

    kind: str
    output: str
    inputs: tuple[str, ...]


def base(number: int) -> str:
    return f"spirits/{spirit_name(number)}"


def nodes(number: int, spirits: int, modules: int) -> Iterator[Node]:
    """The nodes of a Spirit: two for each module, a group, a link."""
    requires = requires_of(number, spirits)
    out = f"out/{base(number)}"
    made = []
    for module in range(modules):
        name, used = (LIB, [modules - 2]) if module == modules - 1 else (f"m{module}", modules_used(module))
        face = None if name == LIB else face_used(module, requires)
        source = f"{base(number)}/src/{name}.dol"
        imported = [f"{out}/m{other}.i" for other in used]
        if face is not None:
            imported.append(f"out/{base(face)}/{LIB}.i")
        yield Node("interface", f"{out}/{name}.i", (source,))
        yield Node("module", f"{out}/{name}.o", (source, *imported))
        made.append(f"{out}/{name}.o")
    groups = (f"out/{base(other)}/group" for other in requires)
    yield Node("group", f"{out}/group", (*made, *groups))
    yield Node("link", f"{out}/linked", (*made, f"{out}/group"))


def prepare_nothing(root: Path, spirits: int, modules: int) -> None:
    """For dolbuild, whose files the sources are."""


# -- ninja ---------------------------------------------------------------------------------------------

NINJA = """\
ninja_required_version = 1.5
rule interface
  command = grep '^pub' $in > $out.new; if cmp -s $out.new $out; then rm $out.new; else mv $out.new $out; fi
  restat = 1
rule module
  command = cat $in > $out
rule link
  command = cat $in > $out
"""


def prepare_ninja(root: Path, spirits: int, modules: int) -> None:
    with (root / "build.ninja").open("w") as file:
        file.write(NINJA)
        for number in range(spirits):
            for node in nodes(number, spirits, modules):
                rule = "phony" if node.kind == "group" else node.kind
                *explicit, last = node.inputs
                inputs = [*explicit, "|", last] if node.kind == "link" else node.inputs
                file.write(f"build {node.output}: {rule} {' '.join(inputs)}\n")


# -- Bazel ---------------------------------------------------------------------------------------------

COMMANDS = {
    "interface": "grep '^pub' $(SRCS) > $@ || true",
    "module": "cat $(SRCS) > $@",
    "link": "cat $(locations :modules) > $@",
}


def prepare_bazel(root: Path, spirits: int, modules: int) -> None:
    (root / "WORKSPACE").touch()
    for number in range(spirits):
        text = ['package(default_visibility = ["//visibility:public"])\n']
        for node in nodes(number, spirits, modules):
            inputs = [_label(path, number) for path in node.inputs]
            if node.kind == "group":
                text.append(f'filegroup(name = "modules", srcs = {json.dumps(inputs[:modules])})\n')
                text.append(f'filegroup(name = "group", srcs = {json.dumps([":modules", *inputs[modules:]])})\n')
                continue
            if node.kind == "link":
                inputs = [":modules", ":group"]
            name = Path(node.output).name
            text.append(
                f'genrule(name = "make-{name}", srcs = {json.dumps(inputs)}, outs = ["{name}"], '
                f'cmd = "{COMMANDS[node.kind]}")\n'
            )
        (root / base(number) / "BUILD").write_text("".join(text))


def _label(path: str, number: int) -> str:
    """The label of a file, as it is written in the package of a Spirit."""
    inner = path.removeprefix("out/")
    own = f"{base(number)}/"
    if inner.startswith(own):
        return inner.removeprefix(own)
    package, _, name = inner.rpartition("/")
    return f"//{package}:{name}"


# -- doit ----------------------------------------------------------------------------------------------

DODO = '''\
"""Tasks from graph.json: a kind, a target, its dependencies."""

import json

COMMANDS = {
    "interface": "grep '^pub' {inputs} > {output} || true",
    "module": "cat {inputs} > {output}",
    "group": "cat {inputs} | md5sum > {output}",
    "link": "cat {inputs} > {output}",
}


def task_build():
    with open("graph.json") as file:
        graph = json.load(file)
    for kind, output, inputs in graph:
        command = COMMANDS[kind].format(inputs=" ".join(inputs), output=output)
        yield {"name": output, "actions": [command], "file_dep": inputs, "targets": [output]}
'''


def prepare_doit(root: Path, spirits: int, modules: int) -> None:
    """A group is a file with a digest: doit's own groups say when to run, and not that something changed."""
    graph = []
    for number in range(spirits):
        (root / "out" / base(number)).mkdir(parents=True)
        graph += [(node.kind, node.output, node.inputs) for node in nodes(number, spirits, modules)]
    (root / "graph.json").write_text(json.dumps(graph))
    (root / "dodo.py").write_text(DODO)


# -- Turborepo and Nx ----------------------------------------------------------------------------------

NODE = "node_modules/"
QUIET = {"DO_NOT_TRACK": "1", "NPM_CONFIG_UPDATE_NOTIFIER": "false"}
"""What keeps npm, which both start for each script, and them from asking the network."""

SCRIPT = "mkdir -p dist && cat src/*.dol > dist/out"


def prepare_turbo(root: Path, spirits: int, modules: int) -> None:
    tasks = {"build": {"dependsOn": ["^build"], "outputs": ["dist/**"]}}
    (root / "turbo.json").write_text(json.dumps({"tasks": tasks}, indent=2))
    prepare_packages(root, spirits)


def prepare_nx(root: Path, spirits: int, modules: int) -> None:
    build = {"dependsOn": ["^build"], "outputs": ["{projectRoot}/dist"], "cache": True}
    settings = {"targetDefaults": {"build": build}, "neverConnectToCloud": True, "analytics": False}
    (root / "nx.json").write_text(json.dumps(settings, indent=2))
    prepare_packages(root, spirits)


def prepare_packages(root: Path, spirits: int) -> None:
    """npm's workspaces as ``npm install`` leaves them, with a lock and a link to each package."""
    top = {"name": "bench", "private": True, "packageManager": "npm@10.0.0", "workspaces": ["spirits/*"]}
    (root / "package.json").write_text(json.dumps(top, indent=2))
    locked: dict[str, object] = {"": {"name": "bench", "workspaces": ["spirits/*"]}}
    links = root / "node_modules" / "@bench"
    links.mkdir(parents=True)
    for number in range(spirits):
        name = f"@bench/{spirit_name(number)}"
        requires = {f"@bench/{spirit_name(other)}": "^1.0.0" for other in requires_of(number, spirits)}
        package = {"name": name, "version": "1.0.0", "dependencies": requires}
        text = json.dumps({**package, "private": True, "scripts": {"build": SCRIPT}}, indent=2)
        (root / base(number) / "package.json").write_text(text)
        (links / spirit_name(number)).symlink_to(root / base(number))
        locked[f"node_modules/{name}"] = {"resolved": base(number), "link": True}
        locked[base(number)] = package
    lock = {"name": "bench", "lockfileVersion": 3, "requires": True, "packages": locked}
    (root / "package-lock.json").write_text(json.dumps(lock, indent=2))
    (root / ".gitignore").write_text("node_modules/\ndist/\n.turbo/\n.nx/\n")


def share_node_modules(installed: Path, folder: Path) -> None:
    """Link to what was installed, so that it is found from the workspace."""
    for path in installed.iterdir():
        if path.name != ".package-lock.json":
            (folder / path.name).symlink_to(path.absolute())


def commit(root: Path) -> None:
    """Make the workspace a repository: Turborepo and Nx ask git about files."""
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "generated"]):
        subprocess.run(["git", *arguments], cwd=root, check=True)


# -- all of them ---------------------------------------------------------------------------------------

DOLBUILD = "dolbuild"
TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            DOLBUILD,
            sys.executable,
            ("-m", "dolbuild.commands.main", "build"),
            prepare_nothing,
            "target/spirits/{spirit}.wasm",
        ),
        Tool("ninja", "ninja", (), prepare_ninja, "out/spirits/{spirit}/linked"),
        Tool(
            "bazel",
            "bazel",
            ("--output_user_root={home}/bazel", "build", "--nosandbox_debug", "//..."),
            prepare_bazel,
            "bazel-bin/spirits/{spirit}/linked",
        ),
        Tool("doit", "bin/doit", (), prepare_doit, "out/spirits/{spirit}/linked"),
        Tool(
            "turbo",
            f"{NODE}.bin/turbo",
            ("run", "build"),
            prepare_turbo,
            "spirits/{spirit}/dist/out",
            {**QUIET, "TURBO_TELEMETRY_DISABLED": "1"},
        ),
        Tool(
            "nx",
            f"{NODE}.bin/nx",
            ("run-many", "-t", "build"),
            prepare_nx,
            "spirits/{spirit}/dist/out",
            {**QUIET, "NX_NO_CLOUD": "true"},
        ),
    )
}
