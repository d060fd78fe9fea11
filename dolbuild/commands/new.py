"""``dolbuild new workspace|spirit|system NAME``: files to begin with, which build and whose tests are green at once."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from dolbuild.commands.opening import WrongUsage, flags, guarded, root_here
from dolbuild.files import PREFIX
from dolbuild.packages.manifest import SPIRIT_FILE, SYSTEM_FILE
from dolbuild.settings import SETTINGS_FILE, read_settings

USAGE = "dolbuild new workspace|spirit|system NAME"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST = 64

IGNORED = ".dolbuild/\ntarget/\nstate/\n"


def run(arguments: list[str]) -> int:
    """Run the command; gives the exit status."""

    def command() -> int:
        _, rest = flags(arguments, (), USAGE)
        if len(rest) != 2 or rest[0] not in ("workspace", "spirit", "system"):
            raise WrongUsage(USAGE)
        what, name = rest
        if _NAME.fullmatch(name) is None or len(name) > LONGEST:
            raise WrongUsage(
                f"`{name}` is no name: use lower-case letters, digits and single hyphens, for example `my-{what}`"
            )
        if what == "workspace":
            _write(Path.cwd() / name, workspace_files(name))
            sys.stdout.write(f"made the workspace {name}; next: cd {name} && dolbuild build && dolbuild test\n")
            return 0
        root = root_here()
        folder = _place(root, name)
        files = spirit_files(name) if what == "spirit" else system_files(name)
        _write(root / folder, files)
        done = f"dolbuild exec {name}" + (" greet you" if what == "spirit" else " add 2")
        sys.stdout.write(f"made the {what} {name} in {folder}; next: dolbuild build && {done}\n")
        return 0

    return guarded(command)


def _place(root: Path, name: str) -> str:
    """The folder of a new member: where the settings look for members. Raises WrongUsage."""
    settings = read_settings(root)
    for pattern in settings.members:
        before, star, after = pattern.partition("*")
        folder = f"{before}{name}{after}"
        if star and "*" not in after and not any(fnmatchcase(folder, excluded) for excluded in settings.exclude):
            return folder
    where = ", ".join(f'"{pattern}"' for pattern in settings.members)
    raise WrongUsage(f'the settings have no place for another member: `members` is [{where}]; "spirits/*" would be one')


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Make a folder with files: all of it, or nothing. Raises WrongUsage where something is there already."""
    if folder.exists() or folder.is_symlink():
        raise WrongUsage(f"{folder.name} is there already; choose another name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f"{PREFIX}new-{os.getpid():x}"
    try:
        for name, text in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def title(name: str) -> str:
    """``my-spirit`` as the manifest's ``MySpirit``."""
    return "".join(part.capitalize() for part in name.split("-"))


def workspace_files(name: str) -> dict[str, str]:
    """A workspace with a Spirit."""
    settings = f'organisation = "{name}"\nmembers = ["*"]\n'
    return {SETTINGS_FILE: settings, ".gitignore": IGNORED} | {
        f"greeter/{path}": text for path, text in spirit_files("greeter").items()
    }


def spirit_files(name: str) -> dict[str, str]:
    """A Spirit: a library with a module, a binary, a test."""
    return {
        SPIRIT_FILE: f"""spirit {title(name)} {{
    has name: "{name}"
    has version: "0.1.0"
    has lib: "src/lib.dol"
    has bin: "src/main.dol"

    requires @univrs/std: "^1.0"

    exegesis {{
        What this Spirit is for.
    }}
}}
""",
        "src/lib.dol": "// What other Spirits see.\npub use greeting.greet\n",
        "src/greeting.dol": """/// A greeting for somebody.
///
/// ```dol
/// use greeting.greet
/// assert_eq(greet("you"), "Hello, you!")
/// ```
pub fun greet(name: String) -> String {
    if name.is_empty() {
        return "Hello!"
    }
    return "Hello, " + name + "!"
}
""",
        "src/main.dol": """use @univrs/std.io.{ println }
use greeting.greet

pub fun main(args: List<String>) -> Int32 {
    sex { println(greet(args.get(1).unwrap_or("world"))) }
    return 0
}
""",
        f"tests/{name.replace('-', '_')}_test.dol": """use greeting.greet

test "somebody is greeted by name" {
    assert_eq(greet("Ada"), "Hello, Ada!")
}

test "nobody is greeted all the same" {
    assert_eq(greet(""), "Hello!")
}
""",
    }


def system_files(name: str) -> dict[str, str]:
    """A System with a state and a constraint."""
    return {
        SYSTEM_FILE: f"""system {title(name)} {{
    // uses @org/spirit: "^1.0"

    has total: Int64 = 0
    has limit: Int64 = 10

    constraint within_the_limit {{
        this.total <= this.limit
    }}

    /// Add to the total; more than the limit is refused, and nothing has happened.
    pub fun add(amount: Int64) -> Int64 {{
        this.total += amount
        return this.total
    }}

    exegesis {{
        What this System is for.
    }}
}}
"""
    }
