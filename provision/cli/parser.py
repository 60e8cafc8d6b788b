"""The command line: names, flags and examples. Commands are imported when they are run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provision.cli.parser_check import check_commands, check_flags, status_flags
from provision.cli.parser_data import data_commands
from provision.cli.parser_doctor import doctor_commands
from provision.cli.parser_people import people_commands
from provision.cli.parser_time import time_commands
from provision.cli.parts import Adder, Parser, common_options, lazy

if TYPE_CHECKING:
    from provision.cli.parts import Subparsers

_TOP = """\
Your team's own MLflow tracking server: one spec, from this machine to AWS and away again.
"""
_EXAMPLES = """\
examples:
  provision up                    a server for this folder, with or without a provision.yaml
  eval "$(provision env)"         point this shell's MLflow clients at it
  provision check                 try everything that a client does; name what is broken
  provision down                  stop it, keep the data

exit codes: 0 done, 1 failed, 2 bad usage or spec, 3 changes pending, 4 refused by a guard,
5 something missing on this machine, 6 a check failed, 130 interrupted with everything in order
"""

_TUNNEL_PORT = 8443


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = Parser(
        prog="provision",
        description=_TOP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    common = common_options()
    groups = (
        _spec_commands, doctor_commands, _up_commands, _life_commands, data_commands,
        _client_commands, check_commands, _serve_command, people_commands, time_commands,
        _machine_commands, _other_commands,
    )  # fmt: skip
    for add in groups:
        add(commands, common)
    return parser


def _spec_commands(commands: Subparsers, common: Parser) -> None:
    add = Adder(commands, common)
    init = add(
        "init", lazy("spec", "init"), "write a commented provision.yaml",
        "provision init", "provision init --rung team --name churn-course",
        "provision init --rung aws --until 2027-06-30",
    )  # fmt: skip
    init.add_argument(
        "--rung", "--target", dest="rung", metavar="RUNG",
        help="none, local, team, compose, aws or rehearsal; asked for where it is not given",
    )  # fmt: skip
    init.add_argument("--name", help="the stack's name (default: from the folder)")
    init.add_argument("--port", metavar="N", help="the port to listen on")
    init.add_argument("--auth", help="basic (accounts with passwords) or none")
    init.add_argument("--region", metavar="REGION", help="the AWS region, such as eu-west-1")
    init.add_argument("--until", metavar="DATE", help="the last day it is needed")
    init.add_argument("--force", action="store_true", help="replace an existing file")
    add(
        "validate", lazy("spec", "validate"), "say whether the spec is right, with all problems",
        "provision validate", "provision validate -f team.yaml --json",
    )  # fmt: skip
    add(
        "schema", lazy("spec", "schema"), "print the spec's JSON Schema",
        "provision schema > provision.schema.json",
    )  # fmt: skip


def _up_commands(commands: Subparsers, common: Parser) -> None:
    add = Adder(commands, common)
    plan = add(
        "plan", lazy("life", "plan"), "show what up would change in the account; change nothing",
        "provision plan", "provision plan --emulated", "provision plan --json",
    )  # fmt: skip
    up = add(
        "up", lazy("life", "up"), "bring the server up and wait until a client really works",
        "provision up", "provision up --port 5001", "provision up -f team.yaml",
        "provision up --emulated --yes", "provision up --render-only",
    )  # fmt: skip
    for command in (plan, up):
        command.add_argument(
            "--emulated", action="store_true",
            help="target aws: in an emulated account on this machine, for nothing",
        )  # fmt: skip
    _up_flags(up)


def _up_flags(up: Parser) -> None:
    up.add_argument("--port", type=_port, metavar="N", help="listen on this port from now on")
    up.add_argument(
        "--upgrade-database", action="store_true",
        help="back an older MLflow's database up, then migrate it",
    )  # fmt: skip
    up.add_argument(
        "--render-only", action="store_true",
        help="target compose: write the folder that would be run, and run nothing",
    )  # fmt: skip
    up.add_argument("--yes", action="store_true", help="target aws: do not ask before changes")
    up.add_argument(
        "--unasked", action="store_true",
        help="target aws: go on although the account was not asked what doctor asks",
    )  # fmt: skip
    up.add_argument(
        "--replace", action="append", default=[], choices=("database", "bucket"),
        help="target aws: let this be replaced, with what is in it; may be given twice",
    )  # fmt: skip


def _life_commands(commands: Subparsers, common: Parser) -> None:
    add = Adder(commands, common)
    status = add(
        "status", lazy("status", "status"), "show state, address, size and what is in it",
        "provision status", "provision status --watch", "provision status --drift",
        "provision status --json", "provision status --offline",
    )  # fmt: skip
    status_flags(status)
    status.add_argument(
        "--offline", action="store_true", help="as recorded last: ask nobody, answer at once"
    )
    unlock = add(
        "unlock", lazy("unlock", "unlock"),
        "show who holds the lock of a Terraform state; remove it when he is gone",
        "provision unlock", "provision unlock --yes", "provision unlock --json",
    )  # fmt: skip
    unlock.add_argument("--yes", action="store_true", help="do not ask before removing it")
    add("list", lazy("life", "list_stacks"), "show all stacks of this user", "provision list")
    _down_command(add)


def _down_command(add: Adder) -> None:
    down = add(
        "down", lazy("down", "down"), "stop the server; the data stays unless told otherwise",
        "provision down", "provision down --delete-data",
        "provision down --delete-data --archive churn-end --receipt churn.html",
        "provision down --delete-data --by-tag",
    )  # fmt: skip
    down.add_argument("--delete-data", action="store_true", help="also delete runs and artifacts")
    down.add_argument("--yes", action="store_true", help="do not ask before deleting")
    down.add_argument("--archive", metavar="DIR", help="archive it into DIR first")
    _account_flags(down)


def _account_flags(down: Parser) -> None:
    down.add_argument(
        "--receipt", metavar="FILE",
        help="target aws: write the receipt here too (.txt, .json or .html)",
    )  # fmt: skip
    down.add_argument(
        "--by-tag", action="store_true",
        help="target aws: trust neither record nor state; remove what carries the stack's tag",
    )  # fmt: skip
    down.add_argument(
        "--run", dest="of_run", metavar="RUN", help="with --by-tag: which stack of this name"
    )
    down.add_argument(
        "--lift-protection", action="store_true",
        help="target aws: end a database that AWS guards against deletion; a snapshot stays",
    )  # fmt: skip
    down.add_argument(
        "--delete-backups", action="store_true",
        help="target aws: also delete its snapshots and kept backups",
    )  # fmt: skip


def _client_commands(commands: Subparsers, common: Parser) -> None:
    add = Adder(commands, common)
    check = add(
        "check", lazy("check", "check"), "try everything that a client does, layer by layer",
        "provision check", "provision check --size 1GiB", "provision check --json",
        "provision check --client", "provision check --client --print-script > check_client.py",
    )  # fmt: skip
    check_flags(check)
    env = add(
        "env", lazy("client", "env"), "print what points a client at the server",
        'eval "$(provision env)"', "provision env --format fish | source",
        "provision env --format dotenv > .env", "provision env --format conda > environment.yml",
    )  # fmt: skip
    env.add_argument("--format", metavar="FORMAT", help=_formats_help())
    env.add_argument(
        "--show-password", action="store_true",
        help="write the password itself into dotenv and json",
    )  # fmt: skip
    open_ = _open_command(add)
    for command in (check, env, open_):
        command.add_argument(
            "--tunnel", nargs="?", type=_port, const=_TUNNEL_PORT, metavar="N",
            help=f"at the end of a tunnel to this machine's port N ({_TUNNEL_PORT})",
        )  # fmt: skip
    _logs_command(add)


def _open_command(add: Adder) -> Parser:
    open_ = add("open", lazy("client", "open_ui_page"), "open MLflow's UI", "provision open")
    open_.add_argument("--print", action="store_true", help="print the address only")
    return open_


def _logs_command(add: Adder) -> None:
    logs = add(
        "logs", lazy("client", "logs"), "show the logs of the server, its database and its models",
        "provision logs", "provision logs database --lines 200", "provision logs --follow",
    )  # fmt: skip
    logs.add_argument(
        "which", nargs="?",
        help="server, database, supervisor or model-NAME@ALIAS; on AWS server, proxy, boot or "
        "console",
    )  # fmt: skip
    logs.add_argument("-n", "--lines", type=int, default=50, help="how many lines (50)")
    logs.add_argument("--follow", action="store_true", help="go on until interrupted")


def _serve_command(commands: Subparsers, common: Parser) -> None:
    add = Adder(commands, common)
    serve = add(
        "serve", lazy("serve", "serve"), "run a registered model as a service",
        "provision serve models:/churn@champion", "provision serve models:/churn/3 --port 5010",
        "provision serve --list", "provision serve --stop models:/churn@champion",
    )  # fmt: skip
    serve.add_argument("model", nargs="?", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    serve.add_argument("--port", type=_port, metavar="N", help="listen on this port from now on")
    serve.add_argument(
        "--memory", type=_memory, metavar="SIZE",
        help="target aws: what all its versions may use together, such as 800MiB (600MiB)",
    )  # fmt: skip
    what = serve.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show what is served")
    what.add_argument("--stop", action="store_true", help="stop it; it stays stopped")


def _machine_commands(commands: Subparsers, common: Parser) -> None:
    add = Adder(commands, common)
    add(
        "repair", lazy("remote", "repair"),
        "target aws: let the server's machine do all its work again, and say what changed",
        "provision repair", "provision repair --json",
    )  # fmt: skip
    tunnel = add(
        "tunnel", lazy("remote", "tunnel"),
        "target aws: lead a port of this machine to the server, through Session Manager",
        "provision tunnel", "provision tunnel --port 9443",
    )  # fmt: skip
    tunnel.add_argument("--port", type=_port, default=_TUNNEL_PORT, metavar="N",
                        help=f"the port of this machine ({_TUNNEL_PORT})")  # fmt: skip
    ssh = add(
        "ssh", lazy("remote", "ssh"),
        "target aws: a shell on the server's machine, or one command as root",
        "provision ssh", "provision ssh -- systemctl status mlflow",
    )  # fmt: skip
    ssh.add_argument("command", nargs="*", help="run this, and end with its exit code")


def _formats_help() -> str:
    return "bash, zsh, fish, powershell, dotenv, json, conda, requirements (default: your shell)"


def _rehearse_command(add: Adder) -> None:
    rehearse = add(
        "rehearse", lazy("rehearse", "rehearse"),
        "live through a stack's whole life in a rehearsal, and report on it",
        "provision rehearse", "provision rehearse --picture rehearsal.svg --json",
    )  # fmt: skip
    rehearse.add_argument(
        "--no-boot", action="store_true",
        help="boot no machine (no root, no Linux needed): its program runs in a plain folder",
    )  # fmt: skip
    rehearse.add_argument("--picture", metavar="FILE", help="also draw the time line (SVG)")


def _other_commands(commands: Subparsers, common: Parser) -> None:
    add = Adder(commands, common)
    emulate = add(
        "emulate", lazy("emulate", "emulate"), "run an empty, emulated AWS account here",
        "provision emulate", "provision emulate --region us-east-1",
    )  # fmt: skip
    emulate.add_argument(
        "--region", action="append", metavar="REGION",
        help="the region that the printed lines name (eu-west-1); more than once for more",
    )  # fmt: skip
    emulate.add_argument("--faults", action="store_true", help="let it be made to fail")
    _rehearse_command(add)
    add("version", lazy("other", "version"), "print the version", "provision version --json")
    completion = add(
        "completion", lazy("other", "completion"), "print a completion script for your shell",
        "provision completion bash > ~/.local/share/bash-completion/completions/provision",
        "provision completion zsh > ~/.zfunc/_provision",
    )  # fmt: skip
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def _port(text: str) -> int:
    port = int(text) if text.isdigit() else 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return port


def _memory(text: str) -> int:
    from provision.model.units import parse_size  # noqa: PLC0415 - only where it is asked for

    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an amount of memory, such as 800MiB or 1.5GiB"
        ) from error
