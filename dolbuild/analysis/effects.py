"""Where effects come from: the chain of calls from a function to what has the effect.

Whether a call is allowed is decided where it stands (`dolbuild.analysis.targets`); this only explains it.
"""

from dolbuild.syntax import tree as t

_LONGEST = 6
"""Steps of a chain that are shown."""


class Effects:
    """The functions of one file, to follow calls in."""

    def __init__(self, items: list[t.Item]) -> None:
        self.functions: dict[str, t.Function] = {}
        waiting = list(items)
        while waiting:
            item = waiting.pop()
            if isinstance(item, t.Function):
                self.functions.setdefault(item.name, item)
            elif isinstance(item, t.Module):
                waiting += item.items
            elif isinstance(item, t.Gene | t.Impl | t.System):
                waiting += item.members

    def chain(self, name: str) -> tuple[str, ...]:
        """What a function calls that has effects, one step a line."""
        steps: list[str] = []
        seen: set[str] = set()
        while name in self.functions and name not in seen and len(steps) < _LONGEST:
            seen.add(name)
            function = self.functions[name]
            if function.body is None:
                steps.append(f"`{name}` is a function of the host")
                break
            following = self._first_effect(function.body)
            if following is None:
                steps.append(f"`{name}` is declared `sex`")
                break
            steps.append(f"`{name}` calls `{following}`")
            name = following
        return tuple(steps)

    def _first_effect(self, node: t.Node) -> str | None:
        for part in t.walk(node):
            if isinstance(part, t.Call):
                called = _called(part.callee)
                known = self.functions.get(called)
                if (known is not None and known.effectful) or called.startswith("@"):
                    return called
        return None


def _called(node: t.Node) -> str:
    if isinstance(node, t.Name | t.Member):
        return node.name
    return node.text if isinstance(node, t.AtPath) else ""
