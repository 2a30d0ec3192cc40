"""`completion bash|zsh|fish`: a script that lets the shell complete commands and options.

It is made of the parsers themselves, so that it knows every option that --help does.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping

from rtcvoice.cli.output import write_line
from rtcvoice.cli.parser import Parser

__all__ = ["SHELLS", "add_completion", "run", "script"]

SHELLS = ("bash", "zsh", "fish")


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the shell to complete in."""
    parser.description = """\
Print a script that lets your shell complete the commands and options of
rtcvoice, as the program of that name.

examples:
  source <(rtcvoice completion bash)              in ~/.bashrc
  source <(rtcvoice completion zsh)               in ~/.zshrc, after compinit
  rtcvoice completion fish > FILE      ~/.config/fish/completions/rtcvoice.fish
"""
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")


async def run(options: argparse.Namespace) -> int:
    """Print the script, of what `options.parsers` and `options.summaries` give."""
    write_line(sys.stdout, script(options.shell, options.parsers(), options.summaries()))
    return 0


def script(shell: str, parsers: Mapping[str, Parser], summaries: Mapping[str, str]) -> str:
    """Return the script for a shell, of the parsers of all commands by name."""
    return _fish(parsers, summaries) if shell == "fish" else _bash(parsers, zsh=shell == "zsh")


def _bash(parsers: Mapping[str, Parser], *, zsh: bool) -> str:
    """Return the script for bash; zsh understands it by its own means."""
    commands = " ".join([*parsers, "help"])
    cases, choices = [], dict[str, str]()
    for name, parser in parsers.items():
        words = [word for each in parser.shown for word in each.option_strings]
        for action in parser.shown:
            values = " ".join(map(str, action.choices or ()))
            if not action.option_strings:
                words += values.split()
            elif values:
                choices[f"{name} {action.option_strings[-1]}"] = values
        cases.append(f"        {name}) words={shlex.quote(' '.join(words))} ;;")
    chosen = [
        f'        {shlex.quote(key)}) COMPREPLY=($(compgen -W {shlex.quote(values)} -- "$cur"));'
        " return ;;"
        for key, values in choices.items()
    ]
    lines = [
        *(["autoload -U +X bashcompinit && bashcompinit"] if zsh else []),
        "_rtcvoice() {",
        '    local cur="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
        "    local command=talk word words",
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        '        case "$word" in -v*|--verbose) continue ;; esac',
        f'        case " {commands} " in *" $word "*) command=$word ;; esac',
        "        break",
        "    done",
        '    case "$command $before" in',
        *chosen,
        "    esac",
        '    case "$command" in',
        f"        help) words={shlex.quote(' '.join(parsers))} ;;",
        *cases,
        "    esac",
        f'    [ "$COMP_CWORD" = 1 ] && words="$words {commands}"',
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        '    case "$cur" in -*) ;; *) [ "$COMP_CWORD" = 1 ] ||'
        ' COMPREPLY+=($(compgen -f -- "$cur")) ;; esac',
        "}",
        "complete -o filenames -F _rtcvoice rtcvoice",
    ]
    return "\n".join(lines)


def _fish(parsers: Mapping[str, Parser], summaries: Mapping[str, str]) -> str:
    others = " ".join(name for name in parsers if name != "talk")
    lines = []
    for name, summary in summaries.items():
        told = shlex.quote(summary)
        lines.append(f"complete -c rtcvoice -n __fish_use_subcommand -a {name} -d {told}")
    for name, parser in parsers.items():
        seen = f"__fish_seen_subcommand_from {name}"
        if name == "talk":  # also where no command is named
            seen = f"not __fish_seen_subcommand_from {others}"
        lines += [_fish_option(seen, action) for action in parser.shown]
    return "\n".join(lines)


def _fish_option(seen: str, action: argparse.Action) -> str:
    parts = ["complete -c rtcvoice", f"-n {shlex.quote(seen)}"]
    parts += [
        f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}"
        for word in action.option_strings
    ]
    if action.choices:
        parts.append(f"-x -a {shlex.quote(' '.join(map(str, action.choices)))}")
    elif action.nargs != 0:
        parts.append("-r")
    told = (action.help or "").replace("%%", "%")
    return " ".join([*parts, f"-d {shlex.quote(told)}"])
