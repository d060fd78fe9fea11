"""A workspace of many Spirits, the same for the same numbers.

``python -m benchmarks.scale.generate FOLDER --spirits 100 --modules 10`` writes Spirits in layers: each requires up to three
of the layer above it, and each module uses one or two modules of its own Spirit and, in one of three, the face of a required
one. A module has a gene, a constant and four functions, one of them private; a tenth of the Spirits has a test.
"""

import argparse
import random
from pathlib import Path

LAYERS = 8


def spirit_name(number: int) -> str:
    return f"s{number:05}"


def requires_of(number: int, spirits: int) -> list[int]:
    """The Spirits that a Spirit requires: of the layer above, always the same ones."""
    width = max(1, spirits // LAYERS)
    layer = number // width
    if layer == 0:
        return []
    first = (layer - 1) * width
    chosen = random.Random(number)
    return sorted({first + chosen.randrange(width) for _ in range(3)})


def manifest(number: int, requires: list[int]) -> str:
    lines = "".join(f'    requires @bench/{spirit_name(other)}: "^1.0"\n' for other in requires)
    name = spirit_name(number)
    return f'spirit S{number} {{\n    has name: "{name}"\n    has version: "1.0.0"\n    has lib: "src/lib.dol"\n{lines}}}\n'


def modules_used(module: int) -> list[int]:
    """The modules of its own Spirit that ``m<module>`` uses."""
    return [other for other in {module - 1, module - 3} if other >= 0]


def face_used(module: int, requires: list[int]) -> int | None:
    """The Spirit whose face ``m<module>`` uses, if it uses one."""
    return requires[module % len(requires)] if requires and module % 3 == 0 else None


def module_text(number: int, module: int, requires: list[int]) -> str:
    """The source of module ``m<module>``."""
    uses, calls = [], ["x + STEP"]
    for other in modules_used(module):
        uses.append(f"use m{other}.{{ step{other} }}")
        calls.append(f"step{other}(x)")
    face = face_used(module, requires)
    if face is not None:
        uses.append(f"use @bench/{spirit_name(face)}.{{ face as face{face} }}")
        calls.append(f"face{face}(x)")
    lines = [
        *sorted(uses),
        "",
        f"/// Step {module} of Spirit {number}.",
        f"const STEP: Int64 = {number % 7 + module}",
        "",
        f"pub gene State{module} {{",
        "    has count: Int64",
        '    has label: String = "state"',
        "    constraint positive { this.count >= 0 }",
        "}",
        "",
        f"pub fun make{module}(count: Int64) -> State{module} {{",
        f"    return State{module} {{ count: count }}",
        "}",
        "",
        f"pub fun total{module}(states: List<State{module}>) -> Int64 {{",
        "    total = 0",
        "    for state in states {",
        "        total = total + state.count",
        "    }",
        "    return total",
        "}",
        "",
        "fun bounded(x: Int64) -> Int64 {",
        "    if x > 1000000 { return 1000000 }",
        "    return x",
        "}",
        "",
        f"pub fun step{module}(x: Int64) -> Int64 {{",
        f"    return bounded({' + '.join(calls)})",
        "}",
    ]
    return "\n".join(lines).lstrip("\n") + "\n"


def write(folder: Path, spirits: int, modules: int) -> None:
    """Write the workspace."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dolbuild.toml").write_text('organisation = "bench"\nmembers = ["spirits/*"]\n')
    for number in range(spirits):
        base = folder / "spirits" / spirit_name(number)
        (base / "src").mkdir(parents=True, exist_ok=True)
        requires = requires_of(number, spirits)
        (base / "Spirit.dol").write_text(manifest(number, requires))
        for module in range(modules - 1):
            (base / "src" / f"m{module}.dol").write_text(module_text(number, module, requires))
        last = modules - 2
        face = f"use m{last}.{{ step{last} }}\n\npub fun face(x: Int64) -> Int64 {{\n    return step{last}(x)\n}}\n"
        (base / "src" / "lib.dol").write_text(face)
        if number % 10 == 0:
            (base / "tests").mkdir(exist_ok=True)
            test = 'use lib.{ face }\n\ntest "face is bounded" {\n    assert(face(1) <= 1000000)\n}\n'
            (base / "tests" / "face_test.dol").write_text(test)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spirits", type=int, default=100)
    parser.add_argument("--modules", type=int, default=10)
    given = parser.parse_args()
    write(given.folder, given.spirits, given.modules)
