"""The plan as doit tasks, and doit's commands for workspaces. The only module that imports doit.

A node is one task without file dependencies: whether it is up to date is asked of the session, which
compares action keys (``docs/architecture.md``, "doit"). Our commands replace doit's ``run``, ``list``,
``info``, ``clean`` and ``forget`` under their own names, act only where there is a workspace and no
``dodo.py``, and are doit's own everywhere else.
"""

import getopt
import io
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from doit.action import BaseAction
from doit.cmd_base import TaskLoader2
from doit.cmd_clean import Clean as DoitClean
from doit.cmd_forget import Forget as DoitForget
from doit.cmd_info import Info as DoitInfo
from doit.cmd_list import List as DoitList
from doit.cmd_run import Run as DoitRun
from doit.exceptions import TaskError, TaskFailed, UnmetDependency
from doit.task import Task

from dolbuild.deep import deeply, roomy
from dolbuild.diagnostics import DiagnosticError, render
from dolbuild.rules.build import Access, open_session
from dolbuild.rules.caching import Caching
from dolbuild.rules.lastrun import RUN_FILE, RunFile
from dolbuild.rules.node import Group, Node
from dolbuild.rules.options import OF_RUN, OF_WORKSPACE
from dolbuild.rules.output import Recorded, choose
from dolbuild.rules.parallel import arrange
from dolbuild.rules.quick import nothing_to_do, selection_of
from dolbuild.rules.report import Report, kind_of
from dolbuild.rules.runlog import EventLog, write_trace
from dolbuild.rules.session import NONE, Failed, Session
from dolbuild.settings import DOWNLOADS
from dolbuild.terminal import wants_color
from dolbuild.workspace import NO_WORKSPACE, find_root

DEFAULT_TASK = "build"
USAGE = 2
"""Exit status for a command line that cannot be understood."""


# -- tasks -----------------------------------------------------------------------------------------


class NodeAction(BaseAction):  # type: ignore[misc]
    """Does one node. What it has to say goes to the session's events; nothing is printed here."""

    def __init__(self, session: Session, node: Node) -> None:
        self.session = session
        self.node = node
        self.task: Any = None
        self.out = ""
        self.err = ""
        self.result = None
        self.values: dict[str, Any] = {}

    def execute(self, out: Any = None, err: Any = None) -> TaskFailed | TaskError | None:
        try:
            self.session.execute(self.node)
        except Failed as failed:
            text = "\n".join(render(diagnostic) for diagnostic in failed.diagnostics)
            return TaskFailed(text)
        except Exception:
            return TaskError(traceback.format_exc())
        return None


def _up_to_date(session: Session, node: Node) -> Callable[[], bool]:
    return lambda: session.is_up_to_date(node)


def node_task(session: Session, node: Node) -> dict[str, Any]:
    """A node as the arguments of a doit task."""
    return {
        "actions": [NodeAction(session, node)],
        "uptodate": [_up_to_date(session, node)],
        "task_dep": list(node.dependencies),
        "targets": list(node.targets),
        "clean": True,
        "doc": node.doc,
    }


def group_task(group: Group) -> dict[str, Any]:
    return {"actions": None, "task_dep": list(group.nodes), "doc": group.doc or None}


def session_tasks(session: Session, selected: Sequence[str] | None = None) -> list[Task]:
    """The tasks of a session; for *selected* names only those that have to be looked at. A node is shown under the group of its
    kind."""
    plan = session.plan
    if selected is not None and session.cone is not None:
        return _pruned(session, selected)
    tasks = [Task(name, has_subtask=True, **group_task(plan.groups[name])) for name in sorted(plan.groups)]
    for name in sorted(plan.nodes):
        tasks.append(Task(name, subtask_of=name.split(":", 1)[0], **node_task(session, plan.nodes[name])))
    return tasks


def _pruned(session: Session, selected: Sequence[str]) -> list[Task]:
    """The selected names, and below them the nodes that may be stale, with the groups that lead to them."""
    plan = session.plan
    made: dict[str, Task] = {}
    live: dict[str, bool] = {}

    def is_live(name: str) -> bool:
        if name not in live:
            live[name] = add(name)
        return live[name]

    def add(name: str) -> bool:
        """Make the task of a name if there may be something to do for it; whether there is."""
        if name in plan.groups:
            group = plan.groups[name]
            kept = tuple(one for one in group.nodes if is_live(one))
            if not kept and name not in selected:
                return False
            made[name] = Task(name, has_subtask=True, **group_task(replace(group, nodes=kept)))
            return bool(kept)
        if session.is_proven(name) and name not in selected:
            return False
        node = plan.nodes[name]
        arguments = node_task(session, node)
        arguments["task_dep"] = [one for one in node.dependencies if is_live(one)]
        made[name] = Task(name, subtask_of=name.split(":", 1)[0], **arguments)
        return True

    for name in selected:
        is_live(name)
    kinds = {task.subtask_of for task in made.values() if task.subtask_of} - set(made)
    made |= {kind: Task(kind, has_subtask=True, actions=None) for kind in kinds}
    return [made[name] for name in sorted(made)]


def task_dictionaries(session: Session) -> Iterator[dict[str, Any]]:
    """All tasks as a task creator of a ``dodo.py`` yields them."""
    plan = session.plan
    for name in sorted(plan.groups):
        group = plan.groups[name]
        if name not in _KINDS:
            yield {"basename": name, **group_task(group)}
    for name in sorted(plan.nodes):
        kind, rest = name.split(":", 1)
        yield {"basename": kind, "name": rest, **node_task(session, plan.nodes[name])}


_KINDS = ("docs", "fetch", "interface", "manifest", "module", "spirit", "system", "test")


# -- loading ---------------------------------------------------------------------------------------


class WorkspaceLoader(TaskLoader2):  # type: ignore[misc]
    """Loads the tasks of the workspace around the current folder."""

    cmd_options = OF_WORKSPACE

    def __init__(self) -> None:
        super().__init__()
        self.session: Session | None = None
        self.report: Report | None = None
        self.selected: list[str] | None = None
        self.always = False
        self.release = False
        self.access = Access(fetch=False)
        self.caching = Caching(remote=False)

    def setup(self, opt_values: Any) -> None:
        self.release = bool(opt_values.get("release"))
        offline, locked = bool(opt_values.get("offline")), bool(opt_values.get("locked"))
        self.access = replace(self.access, offline=offline, locked=locked)
        download = str(opt_values.get("download") or "")
        if download and download not in DOWNLOADS:
            raise getopt.GetoptError(f"--download takes {', '.join(DOWNLOADS)}, not {download}")
        asks = self.caching.remote and not offline and not opt_values.get("no_remote")
        self.caching = Caching(asks, download or None)

    def load_doit_config(self) -> dict[str, Any]:
        return {"default_tasks": [DEFAULT_TASK]}

    def load_tasks(self, cmd: Any, pos_args: list[str]) -> list[Task]:
        session = self.open()
        names = pos_args or [DEFAULT_TASK]
        known = all(name in session.plan.nodes or name in session.plan.groups for name in names)
        self.selected = names if isinstance(cmd, DoitRun) and known else None
        return session_tasks(session, self.selected)

    def open(self) -> Session:
        """The session of this run."""
        if self.session is None:
            root = find_root(Path.cwd())
            if root is None:
                raise NoWorkspace
            os.chdir(root)
            self.session = open_session(root, release=self.release, access=self.access, caching=self.caching)
            if self.always:
                self.session.cone = None
        return self.session


def tell(text: str) -> None:
    """Say what is being done before the build begins."""
    sys.stderr.write(f"{text}\n")


class NoWorkspace(Exception):
    """There is no workspace around the current folder."""


def _workspace_loader(given: Any) -> Any:
    """Our loader where a workspace is meant, else the one that doit chose."""
    if isinstance(given, WorkspaceLoader):
        return given
    plain = type(given).__name__ == "DodoTaskLoader"
    if plain and not Path("dodo.py").exists() and find_root(Path.cwd()) is not None:
        return WorkspaceLoader()
    return given


class _JournalState:
    """Stands where doit would keep a database: the journal has it all. ``forget`` reaches the journal."""

    def __init__(self, loader: WorkspaceLoader) -> None:
        self.loader = loader
        self.name = "journal"
        self._values: dict[str, dict[str, Any]] = {}

    def set(self, task: str, name: str, value: Any) -> None:
        self._values.setdefault(task, {})[name] = value

    def get(self, task: str, name: str) -> Any:
        return self._values.get(task, {}).get(name)

    def in_(self, task: str) -> bool:
        return task in self._values

    def remove(self, task: str) -> None:
        self._values.pop(task, None)
        if self.loader.session is not None:
            self.loader.session.journal.forget(task)

    def remove_all(self) -> None:
        self._values.clear()
        session = self.loader.session
        if session is not None:
            for name in list(session.journal.entries):
                session.journal.forget(name)

    def dump(self) -> None:
        """Nothing is left to write."""


# -- commands --------------------------------------------------------------------------------------


class _WorkspaceCommand:
    """What our commands share; mixed in before doit's command of the same name."""

    loader: Any
    config_vals: dict[str, Any]
    cmdparser: Any

    def __init__(self, task_loader: Any, **arguments: Any) -> None:
        super().__init__(task_loader=_workspace_loader(task_loader), **arguments)  # type: ignore[call-arg]
        if self.ours:
            self.config_vals.update({"backend": "dolbuild", "dep_file": os.devnull})
            self._cmdparser = None

    @property
    def ours(self) -> bool:
        """Whether this is a workspace of ours rather than a project of doit's own kind."""
        return isinstance(getattr(self, "loader", None), WorkspaceLoader)

    def get_backends(self) -> dict[str, Any]:
        backends: dict[str, Any] = super().get_backends()  # type: ignore[misc]
        if self.ours:
            backends["dolbuild"] = lambda *_, **__: _JournalState(self.loader)
            self.cmdparser["backend"].choices["dolbuild"] = "the journal of the workspace"
        return backends

    def parse_execute(self, in_args: list[str]) -> int:
        if not self.ours:
            return int(super().parse_execute(in_args) or 0)  # type: ignore[misc]
        try:
            reordered = self._options_first(in_args)
            return int(super().parse_execute(reordered) or 0)  # type: ignore[misc]
        except NoWorkspace:
            sys.stderr.write(NO_WORKSPACE)
            return USAGE
        except DiagnosticError as error:
            color = wants_color(sys.stderr)
            for diagnostic in error.diagnostics:
                sys.stderr.write(render(diagnostic, color=color) + "\n")
            return 1
        except BrokenPipeError:
            close_output()
            return 1
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            sys.stderr.write(f"error: {where}{error.strerror or error}\n")
            return 1
        except getopt.GetoptError as error:
            sys.stderr.write(f"error: {error.msg}\n")
            return USAGE
        except Exception as error:
            if type(error).__module__.startswith("doit"):
                missing = getattr(error, "not_found", None)
                text = f"there is no task `{missing}`" if missing else str(error).split("\n", 1)[0]
                sys.stderr.write(f"error: {text}\nThe tasks of this workspace are shown by `list --all`.\n")
                return USAGE
            raise

    def _options_first(self, arguments: list[str]) -> list[str]:
        """doit stops reading options at the first task name; users do not."""
        options, rest = getopt.gnu_getopt(arguments, self.cmdparser.get_short(), self.cmdparser.get_long())
        flat = [part for pair in options for part in pair if part]
        return [*flat, *rest]


class _Reporter:
    """doit's view of a `Report`."""

    desc = "what dolbuild says"

    def __init__(self, report: Report) -> None:
        self.report = report

    def initialize(self, tasks: Any, selected_tasks: Any) -> None: ...

    def get_status(self, task: Any) -> None: ...

    def execute_task(self, task: Any) -> None: ...

    def add_success(self, task: Any) -> None: ...

    def add_failure(self, task: Any, fail: Any) -> None:
        if isinstance(fail, UnmetDependency):
            if task.actions:
                self.report.skip(task.name)
        elif not isinstance(fail, TaskFailed):
            self.report.crash(task.name, fail.message if isinstance(fail.message, str) else str(fail))

    def skip_uptodate(self, task: Any) -> None:
        if task.actions:
            self.report.up_to_date(task.name)

    def skip_ignore(self, task: Any) -> None: ...

    def cleanup_error(self, exception: Any) -> None: ...

    def runtime_error(self, msg: str) -> None:
        self.report.crash("doit", msg)

    def teardown_task(self, task: Any) -> None: ...

    def complete_run(self) -> None:
        if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
            self.report.session.close()
        self.report.finish()


class Run(_WorkspaceCommand, DoitRun):  # type: ignore[misc]
    """``run``, which is also what ``doit build`` and ``doit test`` are."""

    verbs: ClassVar[dict[str, Callable[[list[str]], int]]] = {}
    """Commands of ours that are no task, filled in by the command line."""

    doc_purpose = "run tasks"
    cmd_options = (*DoitRun.cmd_options, *OF_RUN)

    def __init__(self, **arguments: Any) -> None:
        self._json = self._quiet = False
        self._events = ""
        self._profile = ""
        super().__init__(**arguments)
        if self.ours:
            self.config_vals.update({"par_type": "thread", "continue": True})
            self._cmdparser = None

    def parse_execute(self, in_args: list[str]) -> int:
        if self.ours and in_args and in_args[0] in self.verbs:
            return self.verbs[in_args[0]](in_args[1:])
        if self.ours and (told := nothing_to_do(in_args, os.environ)) is not None:
            sys.stdout.write(told)
            return 0
        return super().parse_execute(in_args)

    def _selected(self, params: Any, names: list[str]) -> list[str]:
        """``build x y`` means x and y; a member's name stands for its nodes of that kind."""
        if len(names) < 2 or names[0] not in ("build", "check", "docs", "test"):
            return names
        self.loader.setup(params)
        plan = self.loader.open().plan
        kinds = {
            "build": ("spirit", "system"),
            "check": ("module", "manifest"),
            "docs": ("docs",),
            "test": ("test",),
        }[names[0]]
        selected: list[str] = []
        for name in names[1:]:
            prefixes = tuple(f"{kind}:{name}/" for kind in kinds)
            exact = {f"{kind}:{name}" for kind in kinds}
            found = [node for node in sorted(plan.nodes) if node in exact or node.startswith(prefixes)]
            selected += [name] if name in plan.nodes or name in plan.groups else found or [name]
        return selected

    def execute(self, params: Any, args: list[str]) -> Any:
        self._json, self._quiet = bool(params.get("json")), bool(params.get("quiet"))
        if self.ours:
            here = Path.cwd()
            self._events, self._profile = (
                str(here / params[name]) if params.get(name) else "" for name in ("events", "profile")
            )
            self.loader.caching = Caching()
            self.loader.access = replace(self.loader.access, fetch=True, tell=tell)
            self.loader.always = bool(params.get("always"))
            if params["num_process"] < 0:
                sys.stderr.write("error: -n takes a number of tasks, 0 or more\n")
                return USAGE
            args = self._selected(params, args)
            if params.get("affected"):
                args = self._affected(params, args)
                if not args:
                    if not self._quiet:
                        told = f"nothing to do: nothing that {params['affected']} does not have reaches this\n"
                        sys.stdout.write(told)
                    return 0
        return super().execute(params, args)

    def _affected(self, params: Any, names: list[str]) -> list[str]:
        """The nodes of ``build``, ``check`` or ``test`` that changes since a revision reach."""
        task = names[0] if names else DEFAULT_TASK
        if len(names) > 1 or task not in ("build", "check", "test"):
            raise getopt.GetoptError("--affected goes with `build`, `check` or `test` alone")
        from dolbuild.rules.affected import affected
        from dolbuild.rules.revision import changed_since

        self.loader.setup(params)
        session = self.loader.open()
        return list(affected(session, changed_since(session.root, params["affected"])).nodes(task))

    def _execute(
        self,
        outfile: Any,
        verbosity: Any = None,
        always: bool = False,
        continue_: bool = False,
        reporter: Any = "console",
        num_process: int = 0,
        par_type: str = "process",
        single: bool = False,
        auto_delayed_regex: bool = False,
        force_verbosity: bool = False,
        failure_verbosity: int = 0,
        pdb: bool = False,
    ) -> int:
        session = self.loader.session if self.ours else None
        report = parallel = log = None
        if session is not None and reporter == "console":
            session.always = always
            planned, proven = self._planned(session)
            nodes = planned.total()
            out = outfile if isinstance(outfile, io.TextIOWrapper) else sys.stdout
            outputs = [choose(out, sys.stderr, os.environ, machine=self._json, quiet=self._quiet)]
            if self._events:
                log = EventLog(Path(self._events), session.cache.record)
                outputs.append(Recorded(log))
            if nodes:
                outputs.append(RunFile(session.root / RUN_FILE))
            report = Report(session, outputs, proven=proven, planned=planned)
            self.loader.report = report
            reporter = _Reporter(report)
            parallel = arrange(session, nodes, num_process)
            num_process = parallel.threads
        try:
            with roomy():
                status = super()._execute(
                outfile, verbosity, always, continue_, reporter, num_process, par_type, single,
                auto_delayed_regex, force_verbosity, failure_verbosity, pdb,
            )  # fmt: skip
        finally:
            if parallel is not None:
                parallel.close()
            if report is not None:
                report.close()
        if report is None or session is None:
            return int(status)
        if log is not None:
            named = self.loader.selected or sorted(session.plan.nodes)
            reached = session.plan.reached(named)
            log.close(name for name in reached if name in session.verified or session.is_proven(name))
        if self._profile:
            write_trace(Path(self._profile), report.events)
        failed = bool(report.failed or status)
        complete: dict[str, int] = {}
        if (
            not failed
            and not report.diagnostics
            and self.loader.selected is not None
            and not single
            and session.download != NONE
        ):
            complete[selection_of(self.loader.selected, ["--locked"] if self.loader.access.locked else [])] = (
                report.total
            )
        session.leave(complete)
        return 1 if failed else 0

    def _planned(self, session: Session) -> tuple[Counter[str], int]:
        """How many nodes of each kind are looked at in this run, and how many need not be."""
        names = [task.name for task in self.task_list if task.actions]
        selected = self.loader.selected
        if selected is not None and session.cone is None:
            reached = session.plan.reached(selected)
            names = [name for name in names if name in reached]
        planned = Counter(map(kind_of, names))
        proven = 0 if selected is None or session.cone is None else session.count(selected) - planned.total()
        return planned, proven


class List(_WorkspaceCommand, DoitList):  # type: ignore[misc]
    """``list``, without the groups that are only ours."""


class Info(_WorkspaceCommand, DoitInfo):  # type: ignore[misc]
    """``info``."""

    def _execute(self, pos_args: list[str], hide_status: bool = False) -> int:
        names = {task.name for task in self.task_list}
        if self.ours and len(pos_args) == 1 and pos_args[0] not in names:
            sys.stderr.write(
                f"error: '{pos_args[0]}' is not a task\nThe tasks of this workspace are shown by `list`.\n"
            )
            return USAGE
        result: int = super()._execute(pos_args, hide_status)
        return 0 if self.ours else result

    @staticmethod
    def get_reasons(reasons: Any) -> str:
        text: str = DoitInfo.get_reasons(reasons)
        return "\n".join(line for line in text.split("\n") if "<function _up_to_date" not in line)


class Clean(_WorkspaceCommand, DoitClean):  # type: ignore[misc]
    """``clean``: removes built files; what the store knows stays."""


class Forget(_WorkspaceCommand, DoitForget):  # type: ignore[misc]
    """``forget``: with what a task depends on; without a name, everything."""

    def _execute(self, forget_sub: bool, forget_disable_default: bool, forget_all: bool) -> None:
        if not self.ours:
            super()._execute(forget_sub, forget_disable_default, forget_all)
            return
        super()._execute(True, False, forget_all or self.sel_default_tasks)


def run_doit(arguments: list[str]) -> int:
    """doit's command line for the workspace around the current folder, with our loader chosen."""
    from doit.doit_cmd import DoitMain

    class Main(DoitMain):  # type: ignore[misc]
        BIN_NAME = "dolbuild"

        def get_cmds(self) -> Any:
            commands = super().get_cmds()
            for command in (Run, List, Info, Clean, Forget):
                commands[command.__name__.lower()] = command
            return commands

    loader = WorkspaceLoader()
    try:
        return deeply(lambda: int(Main(loader, config_filenames=()).run(arguments) or 0))
    except KeyboardInterrupt:  # the run is left behind in its thread, and with it what it shows
        if loader.report is not None:
            loader.report.close()
        raise


def close_output() -> None:
    """Point the output at nothing: whoever read it has gone, and Python would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
