"""``dolbuild completion bash|zsh``: a script that completes commands, options, and names of the workspace."""

import sys

from dolbuild.commands.opening import WrongUsage, flags, guarded

USAGE = "dolbuild completion bash|zsh"
BUILDS = ("build", "check", "docs", "test", "fetch")
OPTIONS = {
    "build": "--release --json --locked --offline --no-remote --download= --affected= --events= --profile= --continue",
    "exec": "--release --allow-read= --allow-write= --allow-net --allow-env --state= --keep",
    "up": "--release --host= --port= --state= --keep= --accept-loss --no-sync --time-limit=",
    "graph": "--dot --mermaid --json --svg --output=", "query": "--dot --mermaid --json",
    "why": "--json --release", "affected": "--since --json", "fmt": "--check", "doctor": "--json",
}  # fmt: skip
NAMES = {
    "exec": "kind(spirit, all) + kind(system, all)", "up": "kind(system, all)", "why": "all", "info": "all",
    "build": "kind(spirit, all) + kind(system, all)", "publish": "kind(spirit, all)",
}  # fmt: skip
"""What stands behind a command: a question to the graph. ``exec``, ``up`` and ``publish`` want names without their kind."""

BARE = ("exec", "up", "publish")
WORDS = {"cache": "stats gc verify clear", "new": "workspace spirit system", "completion": "bash zsh"}

BASH = """# completion of dolbuild: source <(dolbuild completion bash)
_dolbuild() {
    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W '{commands}' -- "$current"))
        return
    fi
    case $command in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    [ "${#COMPREPLY[@]}" -eq 1 ] && [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    [ "${#COMPREPLY[@]}" -eq 0 ] && COMPREPLY=($(compgen -f -- "$current"))
    declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$current"
    return 0
}
complete -F _dolbuild dolbuild
"""


def run(arguments: list[str]) -> int:
    """Print a script; gives the exit status."""

    def command() -> int:
        _, rest = flags(arguments, (), USAGE)
        if rest not in (["bash"], ["zsh"]):
            raise WrongUsage(USAGE)
        head = "autoload -U +X bashcompinit && bashcompinit\n" if rest == ["zsh"] else ""
        sys.stdout.write(head + script())
        return 0

    return guarded(command)


def script() -> str:
    """The script for bash; zsh runs it, too."""
    from dolbuild.commands.main import VERBS

    commands = sorted({*VERBS, *BUILDS, "list", "info", "clean", "forget", "help"})
    cases: list[str] = []
    for name in commands:
        options = OPTIONS.get("build" if name in BUILDS else name, "")
        words = f"{options} {WORDS.get(name, '')}".strip()
        asked = NAMES.get(name)
        if asked is None and not words:
            continue
        lines = [f"        {name})", f"            words='{words}'"]
        if asked is not None:
            cut = " | sed 's/^[a-z]*://'" if name in BARE else ""
            lines += [
                "            [[ $current == -* ]] ||",
                f"""                words="$words $(command "${{COMP_WORDS[0]}}" query '{asked}' 2>/dev/null{cut})\"""",
            ]
        cases.append("\n".join([*lines, "            ;;"]))
    return BASH.replace("{commands}", " ".join(commands)).replace("{cases}", "\n".join(cases))
