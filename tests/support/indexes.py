"""Catalogues made of plain data, for tests of the search."""

from collections.abc import Mapping, Sequence

from dolbuild.packages.candidate import Asked, Candidate, FromRegistry
from dolbuild.packages.name import PackageName, parse_name
from dolbuild.packages.version import satisfies, version_key
from dolbuild.packages.wanted import Versions, Wanted

Index = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Package, version, requirements. A version that ends in ``!`` is yanked."""


def asked(text: str, by: str = "app 1.0.0", where: str = "Spirit.dol:3") -> Asked:
    """``"@a/b ^1.0"``."""
    name, _, wanted = text.partition(" ")
    return Asked(parse_name(name), Versions(wanted), by, where)


class DataCatalogue:
    """A `Catalogue` over an `Index`."""

    def __init__(self, index: Index) -> None:
        self.index = {
            name: {version.removesuffix("!"): needs for version, needs in versions.items()}
            for name, versions in index.items()
        }
        self.found = {
            name: [
                Candidate(name, version.removesuffix("!"), FromRegistry("test", "", version.endswith("!")))
                for version in sorted(versions, key=lambda v: version_key(v.removesuffix("!")), reverse=True)
            ]
            for name, versions in index.items()
        }
        self.asked = {
            (name, version): [asked(f"{n} {w}", f"{name} {version}", "") for n, w in sorted(needs.items())]
            for name, versions in self.index.items()
            for version, needs in versions.items()
        }

    def candidates(self, name: PackageName, wanted: Sequence[Wanted]) -> Sequence[Candidate]:
        return [c for c in self.found.get(name.id, []) if isinstance(c.origin, FromRegistry) and not c.origin.yanked]

    def meets(self, wanted: Wanted, candidate: Candidate) -> bool:
        assert isinstance(wanted, Versions)
        return satisfies(candidate.version, wanted.text)

    def requirements(self, candidate: Candidate) -> Sequence[Asked]:
        return self.asked[candidate.id, candidate.version]

    def inventory(self, name: PackageName) -> str:
        versions = ", ".join(sorted(self.index.get(name.id, ()), key=version_key)) or "no versions"
        return f"{name} has {versions}"
