"""Finding symbols for a link in the objects of the packages that take part."""

from collections.abc import Mapping

from dolbuild.codegen import object as objects
from dolbuild.codegen.object import Object, Symbol
from dolbuild.packages.package import Package
from dolbuild.rules.module import module_name
from dolbuild.rules.session import Session


class Objects:
    """The symbol table of a link: opens an object when the first of its symbols is asked for."""

    def __init__(self, session: Session, packages: Mapping[str, Package]) -> None:
        self.session = session
        self.packages = packages
        self.opened: dict[str, Object] = {}
        self.data: dict[str, Symbol] = {}

    def object(self, package: Package, module: str) -> Object:
        """The object of a module whose node is done."""
        node = module_name(package, module)
        found = self.opened.get(node)
        if found is None:
            found = self.opened[node] = self.session.value(node, "dolo", objects.load)
            self.data.update({name: s for name, s in found.symbols.items() if s.kind == "data"})
        return found

    def find(self, name: str) -> Symbol | None:
        """A symbol by name, or None. Literals have no module; whoever refers to one has brought it."""
        if name in self.data:
            return self.data[name]
        package_id, _, path = name.rpartition("/")
        package = self.packages.get(package_id)
        if package is None:
            return None
        parts = path.split("#", 1)[0].split(".")
        for length in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:length])
            known = module in package.modules or module.removeprefix("tests:") in package.tests
            if known:
                symbol = self.object(package, module).symbols.get(name)
                if symbol is not None:
                    return symbol
        return None
