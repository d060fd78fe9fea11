"""The search for versions that fit together: policy and messages around `resolvelib`, which does the search.

One version of each package is taken, for the whole workspace. The newest that fits is preferred; which one that is
when several packages compete is decided by their names, so that the answer never depends on an order of files.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib.resolvers import Resolution

from dolbuild.diagnostics import DiagnosticError
from dolbuild.packages.candidate import Asked, Candidate, Catalogue
from dolbuild.packages.name import Kind
from dolbuild.packages.wanted import Versions

MAX_ROUNDS = 200_000

SECONDS = 120.0
"""After which a search is given up (servers have their time in it)."""

Cause = tuple[Asked, Candidate | None]


class Conflict(Exception):
    """No versions fit together. *causes* are the requirements that the search stopped at, with who has them; *asked* is
    every requirement that it met, by package id."""

    def __init__(self, causes: tuple[Cause, ...], asked: Mapping[str, tuple[Cause, ...]]) -> None:
        super().__init__(", ".join(str(requirement) for requirement, _ in causes))
        self.causes = causes
        self.asked = asked


class TooHard(Exception):
    """The search was given up."""


def resolve(asked: Sequence[Asked], catalogue: Catalogue, seconds: float = SECONDS) -> dict[str, Candidate]:
    """Versions for everything that is asked for, directly or not, by package id. Raises Conflict, and TooHard when it takes
    longer than some *seconds*."""
    reporter = _Reporter()
    provider = _Provider(catalogue, time.monotonic() + seconds)
    search: Any = Resolution(provider, reporter)
    ordered = sorted(asked, key=lambda one: (one.name.id, str(one.wanted), one.where))
    try:
        mapping = search.resolve(ordered, max_rounds=MAX_ROUNDS).mapping
    except ResolutionImpossible as error:
        causes = tuple((cause.requirement, cause.parent) for cause in error.causes)
        raise Conflict(causes, {id_: tuple(all_) for id_, all_ in reporter.asked.items()}) from None
    except ResolutionTooDeep:
        raise TooHard from None
    return _reached(ordered, mapping, provider)


def _reached(asked: Sequence[Asked], mapping: Mapping[str, Candidate], provider: "_Provider") -> dict[str, Candidate]:
    """What is asked for in the end. resolvelib leaves in its mapping what only a rejected version had asked for, and its own
    way of taking that out recurses without end where packages require each other."""
    found: dict[str, Candidate] = {}
    waiting = [one.name.id for one in asked]
    while waiting:
        id_ = waiting.pop()
        if id_ not in found:
            found[id_] = mapping[id_]
            waiting += [one.name.id for one in provider.get_dependencies(mapping[id_])]
    return dict(sorted(found.items()))


class _Provider(AbstractProvider):  # type: ignore[type-arg]
    """What resolvelib asks about our packages."""

    def __init__(self, catalogue: Catalogue, deadline: float) -> None:
        self.catalogue = catalogue
        self.deadline = deadline
        self._met: dict[tuple[Any, str, str], bool] = {}
        self._requirements: dict[Candidate, Sequence[Asked]] = {}
        self._found: dict[str, dict[Candidate, None]] = {}

    def identify(self, requirement_or_candidate: Asked | Candidate) -> str:
        if isinstance(requirement_or_candidate, Asked):
            return requirement_or_candidate.name.id
        return requirement_or_candidate.id

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],
        information: Mapping[str, Iterator[Any]],
        backtrack_causes: Sequence[Any],
    ) -> tuple[bool, str]:
        """What made the search turn back is decided first; otherwise the order of names."""
        caused = any(
            cause.requirement.name.id == identifier or (cause.parent is not None and cause.parent.id == identifier)
            for cause in backtrack_causes
        )
        return (not caused, identifier)

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Asked]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> Callable[[], Iterator[Candidate]] | Sequence[Candidate]:
        if time.monotonic() > self.deadline:
            raise TooHard
        wanted = list(requirements[identifier])
        excluded = list(incompatibilities[identifier])
        if wanted:
            found = self._candidates(wanted)
            known = self._found.setdefault(identifier, {})
            known.update(dict.fromkeys(found))
        else:
            # no one asks for it any more, but resolvelib has not forgotten it
            found = list(self._found.get(identifier, ()))
        return [
            candidate
            for candidate in found
            if candidate not in excluded and all(self.is_satisfied_by(one, candidate) for one in wanted)
        ]

    def _candidates(self, asked: Sequence[Asked]) -> Sequence[Candidate]:
        try:
            return self.catalogue.candidates(asked[0].name, [one.wanted for one in asked])
        except DiagnosticError as error:
            written = min(asked, key=lambda one: (not one.where, one.where))
            raise DiagnosticError(*map(written.at_its_place, error.diagnostics)) from None

    def is_satisfied_by(self, requirement: Asked, candidate: Candidate) -> bool:
        if requirement.name.kind is not Kind.REGISTRY:
            return self.catalogue.meets(requirement.wanted, candidate)
        key = (requirement.wanted, candidate.id, candidate.version)
        met = self._met.get(key)
        if met is None:
            met = self._met[key] = self.catalogue.meets(requirement.wanted, candidate)
        return met

    def get_dependencies(self, candidate: Candidate) -> Sequence[Asked]:
        found = self._requirements.get(candidate)
        if found is None:
            found = self._requirements[candidate] = self.catalogue.requirements(candidate)
        return found


class _Reporter(BaseReporter):  # type: ignore[type-arg]
    """Remembers who asked for what, for the explanation of a conflict."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, dict[Cause, None]] = {}

    def adding_requirement(self, requirement: Asked, parent: Candidate | None) -> None:
        self.asked.setdefault(requirement.name.id, {})[(requirement, parent)] = None


def chain(cause: Cause, conflict: Conflict, catalogue: Catalogue) -> list[Cause]:
    """How a requirement came about: from one that a user wrote down to it."""
    found = [cause]
    seen: set[str] = set()
    while (parent := found[0][1]) is not None and parent.id not in seen:
        seen.add(parent.id)
        above = [
            one
            for one in conflict.asked.get(parent.id, ())
            if catalogue.meets(one[0].wanted, parent) and (one[1] is None or one[1].id not in seen)
        ]
        if not above:
            break
        found.insert(0, min(above, key=lambda one: (one[1] is not None, one[0].where, str(one[0]))))
    return found


ANYTHING = Versions(">=0")
"""Every version that is no pre-release."""


def would_do(asked: Sequence[Asked], relaxed: Asked, catalogue: Catalogue) -> Candidate | None:
    """What version of the package would fit if a requirement of the user's allowed any, or None."""
    others = [one for one in asked if one is not relaxed]
    try:
        found = resolve([*others, Asked(relaxed.name, ANYTHING, relaxed.by)], catalogue, 3.0)
    except (Conflict, TooHard, DiagnosticError):
        return None
    return found[relaxed.name.id]


__all__ = ["Conflict", "TooHard", "chain", "resolve", "would_do"]
