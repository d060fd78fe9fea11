"""The settings of a workspace: ``dolbuild.toml``, or ``[tool.dolbuild]`` of ``pyproject.toml`` (``docs/workspace.md``)."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from dolbuild.diagnostics import Diagnostic, DiagnosticError, in_file

SETTINGS_FILE = "dolbuild.toml"
PYPROJECT = "pyproject.toml"
DEFAULT_OUTPUT = "target"
DEFAULT_VENDOR = "vendor"
DEFAULT_ORGANISATION = "local"
DEFAULT_CACHE_SIZE = 10 * 10**9
DOWNLOADS = ("final", "all", "none")
_ORGANISATION = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([kMGT]?)B")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_REMOTES = ("http", "https", "grpc", "grpcs")

Report = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Profile:
    """How code is generated. *checked*: integer overflow traps. *whole*: programs are optimised as a whole when they
    are linked."""

    name: str
    checked: bool
    whole: bool


PROFILES = {"dev": Profile("dev", True, False), "release": Profile("release", False, True)}


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """``[cache]``. *local*: the folder of the store, None for the user's; *size*: its limit (bytes). *upload*: whether results go to
    the remote, None where that depends on being in CI. *signed*: only results with a signature of ours are believed."""

    local: str | None = None
    size: int = DEFAULT_CACHE_SIZE
    remote: str = ""
    upload: bool | None = None
    download: str = "final"
    signed: bool = False
    namespace: str = "dol"


@dataclass(frozen=True, slots=True)
class Settings:
    """``[tool.dolbuild]`` of ``pyproject.toml``, or ``dolbuild.toml`` (``docs/workspace.md``)."""

    members: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    organisation: str = DEFAULT_ORGANISATION
    output: str = DEFAULT_OUTPUT
    profile: str = "dev"
    profiles: dict[str, Profile] = field(default_factory=lambda: dict(PROFILES))
    cache: CacheSettings = field(default_factory=CacheSettings)
    registries: dict[str, str] = field(default_factory=dict)
    vendor: str = DEFAULT_VENDOR


def has_table(path: Path) -> bool:
    """Whether a ``pyproject.toml`` may have our table (parsing it is for `read_settings`)."""
    try:
        return re.search(rb"^\s*\[tool\.dolbuild[\].]", path.read_bytes(), re.MULTILINE) is not None
    except OSError:
        return False


def read_settings(root: Path) -> Settings:
    """The settings of a workspace. Raises DiagnosticError with everything that is wrong with them."""
    path = root / SETTINGS_FILE
    name = SETTINGS_FILE
    if not path.is_file():
        path, name = root / PYPROJECT, PYPROJECT
        if not has_table(path):
            return Settings(members=(".",))
    try:
        value: Any = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DiagnosticError(in_file(name, "E0701", f"the settings cannot be read: {error}")) from None
    table = value if name == SETTINGS_FILE else value.get("tool", {}).get("dolbuild", {})
    return _settings(table, name)


def _settings(table: dict[str, Any], name: str) -> Settings:
    problems: list[Diagnostic] = []

    def report(message: str, hint: str = "") -> None:
        problems.append(in_file(name, "E0701", message, hint))

    known = ("members", "exclude", "organisation", "output", "profile", "profiles", "cache", "registries", "vendor")
    for key in table:
        if key not in known:
            report(f"there is no setting `{key}`", f"there are {', '.join(known)}")
    lists: dict[str, tuple[str, ...]] = {}
    for key, default in (("members", ("*",)), ("exclude", ())):
        value = table.get(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            report(f"`{key}` is a list of folders", f'for example {key} = ["spirits/*"]')
            value = default
        for item in value:
            if not _is_inside(item):
                report(f'`{key}` leads outside of the workspace: "{item}"')
        lists[key] = tuple(value)
    texts: dict[str, str] = {}
    for key, text in (
        ("organisation", DEFAULT_ORGANISATION), ("output", DEFAULT_OUTPUT), ("profile", "dev"), ("vendor", DEFAULT_VENDOR)
    ):  # fmt: skip
        value = table.get(key, text)
        if not isinstance(value, str) or not value:
            report(f"`{key}` is a text")
            value = text
        texts[key] = value
    if _ORGANISATION.fullmatch(texts["organisation"]) is None or texts["organisation"] == "dol":
        report(f'"{texts["organisation"]}" is no organisation', "use lower-case letters, digits and single hyphens")
    if not _is_inside(texts["output"]) or PurePosixPath(texts["output"]) == PurePosixPath("."):
        report(f'`output` is a folder below the workspace, not "{texts["output"]}"')
    if not _is_inside(texts["vendor"]) or PurePosixPath(texts["vendor"]) == PurePosixPath("."):
        report(f'`vendor` is a folder below the workspace, not "{texts["vendor"]}"')
    profiles = dict(PROFILES)
    for profile, options in _table(table, "profiles", report).items():
        if not isinstance(options, dict) or set(options) - {"overflow"}:
            report(f"profile `{profile}` has one setting, `overflow`")
        elif options.get("overflow", "trap") not in ("trap", "wrap"):
            report(f'`overflow` of profile `{profile}` is "trap" or "wrap"')
        else:
            profiles[profile] = Profile(profile, options.get("overflow", "trap") == "trap", profile != "dev")
    if texts["profile"] not in profiles:
        report(f"there is no profile `{texts['profile']}`", f"there are {', '.join(sorted(profiles))}")
    cache = _cache(_table(table, "cache", report), report)
    registries: dict[str, str] = {}
    for name_, url in _table(table, "registries", report).items():
        wrong = registry_problem(name_, url)
        if wrong:
            report(wrong, 'for example [registries] acme = "https://registry.example.org/dol"')
        else:
            registries[name_] = url.rstrip("/")
    if problems:
        raise DiagnosticError(*problems)
    return Settings(
        lists["members"], lists["exclude"], texts["organisation"], texts["output"], texts["profile"], profiles, cache,
        registries, PurePosixPath(texts["vendor"]).as_posix(),
    )  # fmt: skip


def _cache(table: dict[str, Any], report: Report) -> CacheSettings:
    kinds: dict[str, tuple[type, str]] = {
        "local": (str, "the folder of the store"),
        "size": (str, 'the limit of the store, for example "20 GB"'),
        "remote": (str, "the address of a remote cache"),
        "upload": (bool, "whether results are uploaded"),
        "download": (str, '"final", "all" or "none"'),
        "signed": (bool, "whether results have to be signed"),
        "namespace": (str, "what signatures are for"),
    }
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in kinds:
            report(f"there is no setting `cache.{key}`", f"there are {', '.join(kinds)}")
        elif not isinstance(value, kinds[key][0]):
            report(f"`cache.{key}` is {kinds[key][1]}")
        else:
            values[key] = value
    if "local" in values and not values["local"].strip():
        report("`cache.local` is the folder of the store")
    if "size" in values:
        size = size_of(values["size"])
        if size is None:
            report(f'`cache.size` is a size, not "{values["size"]}"', 'for example "500 MB" or "20 GB"')
        values["size"] = size or DEFAULT_CACHE_SIZE
    if values.get("download", "final") not in DOWNLOADS:
        report(f'`cache.download` is "final", "all" or "none", not "{values.pop("download")}"')
    if values.get("remote"):
        wrong = remote_problem(values["remote"])
        if wrong:
            report(wrong, 'for example remote = "https://cache.example.org/dol"')
        values["remote"] = values["remote"].rstrip("/")
    return CacheSettings(**values)


def size_of(text: str) -> int | None:
    """A size such as ``20 GB`` in bytes; None where it is none."""
    found = _SIZE.fullmatch(text.strip())
    return None if found is None else int(float(found[1]) * _UNITS[found[2]])


def remote_problem(url: str) -> str:
    """What is wrong with the address of a remote cache; empty where nothing is."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        return "the address of the remote cache has a port that is none"
    if split.scheme not in _REMOTES:
        begins = f"{split.scheme}:" if split.scheme else url[:40]
        return f'the address of the remote cache begins with http:, https:, grpc: or grpcs:, not "{begins}"'
    if split.username is not None or split.password is not None:
        return "the address of the remote cache has a password in it; give it by the environment or by netrc"
    if not split.hostname or split.query or split.fragment or port == 0 or not url.isascii() or not url.isprintable():
        return "the address of the remote cache is none"
    return ""


def registry_problem(name: str, url: Any) -> str:
    """What is wrong with an entry of ``[registries]``; empty where nothing is."""
    if name != "default" and _ORGANISATION.fullmatch(name) is None:
        return f'"{name}" is no organisation'
    if not isinstance(url, str) or not url:
        return f"the registry of `{name}` is an address"
    split = urlsplit(url)
    if split.scheme not in ("", "file", "http", "https"):
        return f'the registry of `{name}` is a folder, or an address of http or https, not "{split.scheme}:"'
    if split.username is not None or split.password is not None:
        return f"the registry of `{name}` has a password in its address; give it by the environment or by netrc"
    if split.query or split.fragment or (split.scheme in ("http", "https") and not split.hostname):
        return f'"{url}" is no address of a registry'
    return ""


def _table(table: dict[str, Any], key: str, report: Any) -> dict[str, Any]:
    value = table.get(key, {})
    if isinstance(value, dict):
        return value
    report(f"`{key}` is a table")
    return {}


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and "\0" not in path
