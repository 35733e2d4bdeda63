"""``roar completion``: what Tab offers, for ``roar`` and behind ``git roar``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

# Behind `git roar` the shell's own completion of git looks for a function of this name and calls it.
_BEHIND_GIT = {
    "bash": """
_git_roar() {
    local first=$((${__git_cmd_idx:-1} + 1))
    local -a COMP_WORDS=(roar "${words[@]:first}")
    local COMP_CWORD=$((cword - first + 1))
    _roar_completion roar
}
""",
    "zsh": """
_git-roar() {
    _roar_completion
}
""",
    "fish": """
function _git_roar_completion
    set -l words (commandline -cp | string replace -r '^\\s*git\\s+' '')
    for line in (env _ROAR_COMPLETE=fish_complete COMP_WORDS=$words COMP_CWORD=(commandline -t) roar)
        set -l parts (string split "," -- $line)
        if test $parts[1] = "plain"
            echo $parts[2]
        else
            __fish_complete_path (commandline -t)
        end
    end
end
complete --no-files --command git --condition '__fish_seen_subcommand_from roar' --arguments "(_git_roar_completion)"
""",
}


@click.command(
    "completion",
    epilog="\b\nExamples:\n"
    "  roar completion bash >> ~/.bash_completion\n"
    "  roar completion zsh > ~/.zfunc/_roar\n"
    "  roar completion fish > ~/.config/fish/completions/roar.fish",
)
@click.argument("shell", type=click.Choice(sorted(_BEHIND_GIT)))
def command(shell: str) -> None:
    """Print the script that makes Tab complete `roar` and `git roar` in a shell."""
    from roar.cli.main import cli

    maker = get_completion_class(shell)
    assert maker is not None
    click.echo(maker(cli, {}, "roar", "_ROAR_COMPLETE").source() + _BEHIND_GIT[shell], nl=False)
