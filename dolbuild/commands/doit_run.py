"""``doit``'s own ``run`` command with our verbs, so that ``doit exec`` is ``dolbuild exec``."""

from dolbuild.commands.main import VERBS
from dolbuild.rules.doit_adapter import Run as WorkspaceRun


class Run(WorkspaceRun):
    """The ``run`` command that doit loads by entry point."""

    verbs = VERBS
