"""``dolbuild affected --since REV``: what the changes since a revision reach."""

import json
import sys

from dolbuild.commands.opening import WrongUsage, flags, guarded, root_here, tell
from dolbuild.rules.affected import affected
from dolbuild.rules.build import Access, open_session
from dolbuild.rules.revision import changed_since

USAGE = "dolbuild affected --since REV [--json]"


def run(arguments: list[str]) -> int:
    """Run the command; gives the exit status."""

    def command() -> int:
        options, rest = flags(arguments, ("--since=", "--json"), USAGE)
        if rest or "--since" not in options:
            raise WrongUsage(f"`affected` takes a revision to compare with; {USAGE}")
        root = root_here()
        changed = changed_since(root, options["--since"])
        session = open_session(root, access=Access(tell=tell))
        try:
            found = affected(session, changed)
        finally:
            session.close()
        if "--json" in options:
            value = {"since": options["--since"], **found.to_json()}
            sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
            return 0
        if found.whole:
            sys.stdout.write(f"everything, since {found.whole} changed\n")
        for kind, names in (("member", found.members), ("module", found.modules)):
            sys.stdout.writelines(f"{kind:<7} {name}\n" for name in names)
        for name in (*found.links, *found.tests):
            kind, _, rest_of = name.partition(":")
            sys.stdout.write(f"{kind:<7} {rest_of}\n")
        if not found.members:
            sys.stdout.write("nothing\n")
        return 0

    return guarded(command)
