"""Writes the measured ratios into the README, between its two marks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import RESULTS, table

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- figures: python bench/readme.py -->\n", "<!-- end of figures -->"


def results(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return value


def figures() -> str:
    server, start, cli = results("server"), results("start"), results("cli")
    rows = [
        [
            f"Eight clients log runs, {case}, against `mlflow server`",
            f"{found['ratios']['speed']:.1f} times the requests",
            f"{found['ratios']['memory']:.2f} times the memory",
        ]
        for case, found in server["results"].items()
    ]
    start_text = f"{start['ratio']:.2f} times the time of `mlflow server` to its first answer"
    rows.append(["`provision up` to a passing check, new database", start_text, ""])
    help_text = f"{cli['provision --help']['ratio']:.1f} times a bare Python"
    mlflow_text = f"`mlflow --version`: {cli['mlflow --version']['ratio']:.0f} times"
    rows.append(["`provision --help`", help_text, mlflow_text])
    check = results("check")
    mlflow = f"MLflow's client: {'' if check['dead']['mlflow_ended'] else 'more than '}"
    mlflow += f"{check['dead']['mlflow_s']:.0f} s to its error"
    own = f"{check['healthy']['beyond_s']:.2f} s beyond the server's own answers"
    rows.append(["`provision check`, a healthy server", own, ""])
    dead = f"answered in {check['dead']['check_s']:.1f} s"
    rows.append(["`provision check --client`, an address that drops packets", dead, mlflow])
    archive = f"{results('archive')['ratio']:.0f} times as fast as the REST-based export tool"
    rows.append(["`provision archive`, 10,000 runs with 50 metrics each", archive, ""])
    return table(["what", "measured", ""], [*rows, emptying(), *hosts()]) + "\n"


def emptying() -> list[str]:
    """A bucket on its way out."""
    found = results("emptying")
    return [
        "Emptying a bucket with 50,000 versions, imitated latency",
        f"{found['against_terraform']:.1f} times as fast as Terraform's `force_destroy`",
        f"{found['against_s5cmd']:.2f} times the time of s5cmd",
    ]


def hosts() -> list[list[str]]:
    """What was measured on machines that booted in a lab."""
    boot, memory = results("boot"), results("memory")
    least = next(row for row in memory["rows"] if not row["refused"])
    boot_text = f"{1 / boot['ratio']:.2f} times the CPU of the common recipe"
    recipe = "`apt upgrade`, `pip install`, `mlflow server`"
    peak = max(row["peak"] / row["size"] for row in memory["rows"])
    memory_text = f"at most {peak:.0%} of the memory, nothing killed"
    return [
        ["A machine on AWS, rehearsed: boot to a passing check", boot_text, recipe],
        [f"The same under load, from {least['size'] // 1024} GiB up", memory_text, ""],
        through_its_server(),
    ]


def through_its_server() -> list[str]:
    """A large artifact on its way through such a machine."""
    found = results("through")
    return [
        "1 GB up and down through its server, no AWS credentials",
        f"{found['ratio']:.1f} times the time of `artifacts: direct`",
        f"{found['rise']:.2f} times its size of memory",
    ]


def with_figures(text: str) -> str:
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + figures() + END + tail


if __name__ == "__main__":
    README.write_text(with_figures(README.read_text(encoding="utf-8")), encoding="utf-8")
