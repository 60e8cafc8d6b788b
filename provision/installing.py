"""How to install what is optional, into the environment that this very program runs in."""

from __future__ import annotations

import shlex
import sys


def install_extra(name: str) -> str:
    """The command that adds the extra `name` ("rehearsal").

    It names this program's own Python: on a clone that is `.venv`'s, not the one of the PATH. pip
    adds the extras of a distribution that is installed already without looking for it elsewhere.
    """
    return f'{shlex.quote(sys.executable)} -m pip install "provision-mlflow[{name}]"'
