"""How much of a run is done at once: threads for doit's tasks, and processes for what takes a processor's time."""

from dataclasses import dataclass

from dolbuild.rules.pool import Pool, cores
from dolbuild.rules.session import Session

WORTH_PROCESSES = 40
"""Nodes that may have to run; with fewer of them a process is not warm before they are done."""

WORTH_THREADS = 4
WAITING = 24
"""Threads of a run that asks a remote: most of them wait for an answer."""


@dataclass(slots=True)
class Parallel:
    """*threads* run tasks (0: the main one alone does); *pool* runs jobs."""

    threads: int
    pool: Pool | None = None

    def close(self) -> None:
        """End the processes."""
        if self.pool is not None:
            self.pool.close()


def arrange(session: Session, nodes: int, wanted: int) -> Parallel:
    """Arrange a run that may have to do so many *nodes*. *wanted* is the number of processes that the user asked for, 0 for as many as
    there are cores."""
    size = wanted or cores()
    remote = session.cache.remote is not None
    parallel = Parallel(0)
    if size > 1 and nodes >= WORTH_PROCESSES:
        parallel.pool = pool = Pool(session.cache.store.base, size)
        parallel.threads = size + 2
        session.run_elsewhere = pool.run
    if nodes >= WORTH_THREADS:  # below that, one thread is as fast
        if remote:
            parallel.threads = max(parallel.threads, WAITING)
        elif wanted > 1:
            parallel.threads = max(parallel.threads, wanted)
    session.deferred = parallel.threads > 0
    return parallel
