"""How long the command line takes to start, against a bare Python and the tools beside it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from common import in_turn, machine_line, table, write

ROUNDS = 15
LIMIT = 4.0
NEIGHBOURS = {"mlflow --version": ["mlflow", "--version"]}


def main() -> None:
    provision = str(Path(sys.executable).parent / "provision")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "provision --help": [provision, "--help"],
        "provision version": [provision, "version"],
        **{
            name: [str(Path(sys.executable).parent / command[0]), *command[1:]]
            for name, command in NEIGHBOURS.items()
            if shutil.which(command[0], path=str(Path(sys.executable).parent))
        },
    }
    times = in_turn(list(commands.values()), ROUNDS)
    floor = times[0]
    rows, data = [], {}
    for name, measured in zip(commands, times, strict=True):
        ratio = measured.wall_median / floor.wall_median
        rows.append(
            [
                f"`{name}`",
                f"{measured.wall_median * 1000:.0f}",
                f"{measured.cpu_median * 1000:.0f}",
                f"{ratio:.1f}",
            ]
        )
        data[name] = {"wall_s": measured.wall_median, "cpu_s": measured.cpu_median, "ratio": ratio}
    text = (
        "# Start of the command line\n\n"
        f"{machine_line()}. Medians of {ROUNDS} whole processes, in turn. "
        f"Target: at most {LIMIT:.0f} times a bare Python.\n\n"
        + table(["command", "wall ms", "CPU ms", "times a bare Python"], rows)
        + "\n"
    )
    write("cli", text, data)


if __name__ == "__main__":
    main()
