"""The ``mmppvit`` command: its subcommands, imported when they are asked for, and exit codes."""
from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

import mmppvit
from mmppvit.cli.errors import report_fault, user_message
from mmppvit.utils.printable import printable

__all__ = ['COMMANDS', 'main']

# What ends with which code; scripts may trust them.
DONE, FOUND, WRONG_INPUT, FAULT, INTERRUPTED = 0, 1, 2, 70, 130

# Section -> command -> what it does. Help of the whole needs no import of any of them.
SECTIONS = {
    'Seal data sets': {
        'keygen': 'Make a key, or show the fingerprint of one.',
        'check-annotations': 'Check COCO jsons: what is wrong, and what will be corrected.',
        'seal': 'Seal a COCO data set, or a folder of images.',
        'verify': 'Check a sealed data set.',
        'repair': 'Make a sealed data set whole that lost its manifest or files.',
        'pack': 'Put a sealed data set into a few tar shards.',
        'rekey': 'Put a sealed data set under another key.',
        'names': 'Show which plain image each sealed file was.',
        'restore': 'Bring plain images back, where the scheme lost nothing.',
    },
    'Measure what they hide': {
        'attack': 'Attack a sealed data set and report what leaks.',
        'attack-contents': 'Tell what sealed images show from their patches in any order.',
        'attack-boxes': 'Put shuffled patches into the boxes they belong to.',
        'attack-host': 'Attack a two-party training as its host could.',
        'attack-tokens': 'Invert the tokens of a backbone half.',
        'attack-gradients': 'Attack the gradients of a client in federated training.',
        'compare-reports': 'Compare two reports of `mmppvit attack`.',
        'compare': "Compare schemes: the detector's mAP against the best attack.",
    },
    'Train and evaluate': {
        'adapt': 'Make an MMDetection config one for encrypted images.',
        'plan': 'Choose a scheme for a budget, by a table of trainings.',
        'compare-plans': 'Compare plans: what schemes cost by the size of objects.',
        'train': 'Train a detector.',
        'test': 'Evaluate a detector.',
        'browse': "Draw what a config's pipeline makes of its images.",
        'convert': 'Convert a checkpoint of another vision transformer.',
        'probe': 'Measure how much of pretrained weights survives encryption.',
        'distill': 'Adapt pretrained weights to encrypted images, without labels.',
        'rewrite-checkpoint': 'Make a checkpoint of stock MMEngine loadable without pickle.',
        'crop-objects': 'Cut out the objects of a COCO data set, for a classifier.',
        'train-classifier': 'Train a classifier on encrypted images.',
        'train-protector-classifier': 'Train a protector for frozen classifiers.',
    },
    'Divide the work': {
        'split': 'Divide a detector into a backbone for a host and the rest.',
        'run-split': 'Run the two halves of a divided detector.',
        'host': 'Train a backbone for an owner, on patches without their order.',
        'owner': 'Prepare for training with a host: certificates, patches.',
        'join': 'Put both halves of a two-party training together.',
        'export': 'Export a protector or a detector to ONNX, or a sealed data set.',
    },
    'Get started': {
        'demo': 'Seal, train, detect and attack, on synthetic images.',
        'doctor': 'Examine the installation.',
    },
}
COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}
# What an attacker may see, and the command that attacks it: ``mmppvit attack --view NAME``.
VIEWS = {'files': 'attack', 'host': 'attack-host', 'gradients': 'attack-gradients'}


class LazyGroup(click.Group):
    """Imports ``mmppvit.cli.cmd_NAME`` when NAME is run, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return import_module(f'mmppvit.cli.cmd_{name.replace("-", "_")}').command

    def resolve_command(self, ctx: click.Context, args: list[str]
                        ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith('-'):
            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f'did you mean {close[0]}?' if close else f'choose from {", ".join(COMMANDS)}'
            raise click.UsageError(f'no command {args[0]}: {hint}', ctx)
        if args and args[0] == 'attack':
            args = _of_view(args, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()), col_spacing=2)


@click.group(cls=LazyGroup, context_settings=dict(help_option_names=['-h', '--help']),
             no_args_is_help=False, invoke_without_command=True)
@click.version_option(mmppvit.__version__, prog_name='mmppvit')
@click.pass_context
def program(ctx: click.Context) -> None:
    """Object detection on images that people cannot read.

    \b
    mmppvit keygen owner.key
    mmppvit seal --img-dir images --ann boxes.json --out sealed --scheme mix+center+shuffle \\
        --key-file owner.key
    mmppvit COMMAND --help    examples and options of a command

    Exit status: 0 all is done; 1 finished, and something was skipped or found; 2 wrong input, named
    in one line; 130 interrupted; 70 a fault of mmppvit, with its traceback.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _of_view(args: list[str], ctx: click.Context) -> list[str]:
    """``attack --view host ...`` is ``attack-host ...``, which has options of its own."""
    for i, word in enumerate(args):
        name, equals, view = word.partition('=')
        if name == '--view':
            end = i + 1 if equals else i + 2
            view = view if equals else ''.join(args[i + 1:end])
            if view not in VIEWS:
                raise click.UsageError(f'--view {view}: choose from {", ".join(VIEWS)}', ctx)
            return [VIEWS[view], *args[1:i], *args[end:]]
    return args


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        args (Sequence[str], optional): Without the program's name; default: those of this process.

    Returns:
        int: The exit code. Nothing but ``SystemExit`` of code that was called is raised.
    """
    args = list(sys.argv[1:] if args is None else args)
    try:
        code = program.main(args, prog_name='mmppvit', standalone_mode=False)
        sys.stdout.flush()  # here, where a closed pipe can still be handled
    except (KeyboardInterrupt, click.Abort):  # click has ended the line already
        click.echo('interrupted', err=True)
        return INTERRUPTED
    except BrokenPipeError:  # as of `mmppvit ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FOUND
    except Exception as error:
        message = user_message(error)
        if message is None:
            report_fault(error)
            return FAULT
        click.echo(f'error: {printable(message)}', err=True)
        return WRONG_INPUT
    return code if isinstance(code, int) else DONE
