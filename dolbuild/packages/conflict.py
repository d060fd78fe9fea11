"""A conflict of versions, told so that a person can follow it."""

from collections.abc import Sequence

from dolbuild.diagnostics import Diagnostic, DiagnosticError
from dolbuild.packages.candidate import Asked, Candidate, Catalogue
from dolbuild.packages.name import Kind, PackageName
from dolbuild.packages.resolve import Cause, Conflict, chain, would_do
from dolbuild.packages.version import compatible_with
from dolbuild.packages.wanted import Versions

MAX_TRIED = 4
"""Requirements of the user's that are tried with other versions, to find out what would satisfy all."""


def explain(conflict: Conflict, asked: Sequence[Asked], catalogue: Catalogue) -> Diagnostic:
    """Who asked for what, what there is, and what would satisfy all."""
    chains = _chains(conflict, catalogue)
    names = {chain_[-1][0].name.id: chain_[-1][0].name for chain_ in chains}
    wanted = list(dict.fromkeys(str(chain_[-1][0].wanted) for chain_ in chains))
    notes = [_sentence(chain_) for chain_ in chains]
    notes += [text for id_ in sorted(names) if (text := _inventory(names[id_], catalogue))]
    if len(names) == 1 and len(wanted) == 1:
        message = f"nothing meets the requirement {next(iter(names.values()))} {wanted[0]}"
    elif len(names) == 1:
        message = f"no version of {next(iter(names.values()))} meets all that is required of it"
    else:
        message = f"no versions of {', '.join(str(names[id_]) for id_ in sorted(names))} fit together"
    told = Diagnostic("E1001", message, hint=_hint(chains, asked, catalogue), notes=tuple(notes))
    return chains[0][0][0].at_its_place(told)


def _inventory(name: PackageName, catalogue: Catalogue) -> str:
    """What there is of a package; empty where nobody can be asked now."""
    try:
        return catalogue.inventory(name)
    except DiagnosticError:
        return ""


def _chains(conflict: Conflict, catalogue: Catalogue) -> list[list[Cause]]:
    """The chains to the causes, each once: of the versions of one package that ask for the same, the newest stands for all."""
    found: dict[tuple[str, str, str], list[Cause]] = {}
    for cause in sorted(conflict.causes, key=_cause_key):
        asked, parent = cause
        key = (asked.name.id, str(asked.wanted), parent.id if parent is not None else asked.where)
        found.setdefault(key, chain(cause, conflict, catalogue))
    return sorted(found.values(), key=lambda chain_: [_cause_key(cause) for cause in chain_])


def _cause_key(cause: Cause) -> tuple[str, str, str, str]:
    asked, parent = cause
    return (asked.where, "" if parent is None else str(parent), asked.name.id, str(asked.wanted))


def _sentence(chain_: Sequence[Cause]) -> str:
    parts = []
    for asked, _ in chain_:
        place = f" ({asked.where})" if asked.where else ""
        parts.append(f"{asked.by}{place} requires {asked}")
    return "; ".join(parts)


def _hint(chains: Sequence[Sequence[Cause]], asked: Sequence[Asked], catalogue: Catalogue) -> str:
    tried: dict[tuple[str, str], Asked] = {}
    for chain_ in chains:
        first = chain_[0][0]
        if first.where and first.name.kind is Kind.REGISTRY and isinstance(first.wanted, Versions):
            tried.setdefault((first.where, first.name.id), first)
    solutions: list[str] = []
    for one in list(tried.values())[:MAX_TRIED]:
        found = would_do(asked, one, catalogue)
        if found is not None:
            solutions.append(_solution(one, found))
    if solutions:
        return f"{' or '.join(solutions[:2])} would satisfy all"
    return "no change of a single requirement would satisfy all" if tried else ""


def _solution(asked: Asked, found: Candidate) -> str:
    return f'`requires {asked.name}: "{compatible_with(found.version)}"` in {asked.where.rpartition(":")[0]}'


__all__ = ["explain"]
