"""What one person gets to connect: files for each shell, a notebook cell, and one page.

Pure: texts in, texts by file name out. All of them hold the person's password.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from string import Template
from typing import Final, NamedTuple

from provision.model import clients
from provision.model.client_script import SCRIPT, filled
from provision.model.clients import BesideScript, Value, quote_dotenv
from provision.model.endpoint import Endpoint
from provision.model.people import Person, Role
from provision.model.secrets import Secret

Shown = Value | BesideScript
PAGE: Final = "connect.html"
CELL: Final = "notebook_cell.py"
CA: Final = "ca.pem"
_USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
_PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 - a variable's name
_CERTIFICATE: Final = "MLFLOW_TRACKING_SERVER_CERT_PATH"
# Answered without an account, but not under a wrong host name (mlflow/server/security_utils.py).
_PROBE: Final = "/static-files/favicon.ico"
_WORKS: Final = "Connected to"

_SHELLS: Final = {"mlflow.sh": "bash", "mlflow.fish": "fish", "mlflow.ps1": "powershell"}
_LINES: Final = (
    ("Linux and macOS (bash, zsh)", "sh", "source ./mlflow.sh"),
    ("Windows (PowerShell)", "ps1", ". .\\mlflow.ps1"),
    ("fish", "fish", "source mlflow.fish"),
)


@dataclass(frozen=True)
class Handout:
    """One person's way in. `endpoint` names the address that this person uses.

    Without `password`, the person has it already or gets it by another way. `ca` is the text of the
    certificate authority, where the server has one of its own.
    """

    person: Person
    endpoint: Endpoint
    password: Secret | None
    ca: str = ""

    @property
    def has_account(self) -> bool:
        """Whether the server asks who comes."""
        return self.endpoint.credentials is not None


class Templates(NamedTuple):
    """The texts that hand-outs are filled into: the page, the cell, the check of a client."""

    page: str
    cell: str
    check: str


def files(handout: Handout, templates: Templates) -> dict[str, str]:
    """All files by name."""
    values = _variables(handout)
    stale = clients.stale_variables(handout.endpoint)
    made = {name: clients.SHELLS[shell](values, stale) for name, shell in _SHELLS.items()}
    made["mlflow.env"] = _dotenv(values)
    made[CELL] = notebook_cell(handout, templates.cell)
    plain = replace(handout.endpoint, credentials=None, ca_file=None)
    made["requirements.txt"] = clients.render_requirements(plain)
    made["environment.yml"] = clients.render_conda(plain)
    if handout.ca:
        made[CA] = handout.ca
    made[SCRIPT] = filled(templates.check, handout.endpoint.uri)
    made[PAGE] = render_page(handout, templates)
    return made


def _variables(handout: Handout) -> dict[str, Shown]:
    plain = replace(handout.endpoint, credentials=None, ca_file=None)
    values: dict[str, Shown] = dict(clients.client_variables(plain))
    if handout.has_account:
        values[_USERNAME] = handout.person.username
        if handout.password is not None:
            values[_PASSWORD] = handout.password.reveal()
    if handout.ca:
        values[_CERTIFICATE] = BesideScript(CA)
    if handout.person.experiment and handout.has_account and _works_in_one(handout.person):
        values["MLFLOW_EXPERIMENT_NAME"] = handout.person.experiment
    return values


def _works_in_one(person: Person) -> bool:
    return person.role is Role.STUDENT or bool(person.team)


def _dotenv(values: Mapping[str, Shown]) -> str:
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    lines = [f"{name}={quote_dotenv(name, value)}" for name, value in texts.items()]
    if _CERTIFICATE in values:
        lines += ["# for programs that run in the folder of this file:", f"{_CERTIFICATE}={CA}"]
    return "\n".join(lines) + "\n"


_LOG: Final = Template("""\
experiment = client.get_experiment_by_name($own)
run = client.create_run(experiment.experiment_id, run_name="connection check")
client.log_metric(run.info.run_id, "works", 1.0)
client.delete_run(run.info.run_id)""")
_READ: Final = "client.search_experiments(max_results=1)"


def notebook_cell(handout: Handout, template: str) -> str:
    """Python that connects, tries it out and says so."""
    values = _variables(handout)
    student = handout.has_account and handout.person.role is Role.STUDENT
    own = _LOG.substitute(own=_python(handout.person.username))
    return Template(template).substitute(
        stale=_python([n for n in clients.stale_variables(handout.endpoint) if n not in values]),
        values="\n".join(f"    {_python(n)}: {_expression(v)}," for n, v in values.items()),
        check=own if student else _READ,
        version=_python(handout.endpoint.mlflow_version),
        works=_python(works(handout)),
    )


def _expression(value: Shown) -> str:
    if isinstance(value, BesideScript):
        return f"os.path.abspath({_python(value.name)})"
    return _python(str(value))


def _python(value: str | Sequence[str]) -> str:
    """A literal: JSON's texts and lists are Python's too."""
    return json.dumps(value)


def works(handout: Handout) -> str:
    """What the notebook cell prints when everything works."""
    who = f" as {handout.person.username}" if handout.has_account else ""
    return f"{_WORKS} {handout.endpoint.uri}{who}"


def render_page(handout: Handout, templates: Templates) -> str:
    """The page for one person, from the template; every value in it is escaped."""
    person, endpoint = handout.person, handout.endpoint
    return Template(templates.page).substitute(
        title=escape(f"Your way into {endpoint.name}"),
        subtitle=escape(_subtitle(handout)),
        facts=_facts(handout),
        probe=escape(endpoint.uri + _PROBE),
        requirement=escape(f"mlflow=={endpoint.mlflow_version}"),
        shells="\n".join(_shell_figure(*line) for line in _LINES),
        cell=_cell(handout, templates.cell),
        works=escape(works(handout)),
        uri=escape(endpoint.uri),
        login=", with the name and password above." if handout.has_account else ".",
        reach=_reach(handout),
        mine=escape(f" (yours: {person.experiment})" if person.experiment else ""),
    )


def _cell(handout: Handout, template: str) -> str:
    """The cell with the password blurred; what is copied is whole."""
    text = escape(notebook_cell(handout, template))
    if handout.password is None:
        return text
    password = escape(handout.password.reveal())
    return text.replace(password, f'<span class="secret hidden">{password}</span>')


def _subtitle(handout: Handout) -> str:
    person = handout.person
    name = person.name or person.username
    return f"For {name}, to log and see machine-learning runs with MLflow."


def _facts(handout: Handout) -> str:
    person = handout.person
    rows = [("Server", f"<code>{escape(handout.endpoint.uri)}</code>")]
    if handout.has_account:
        rows += [
            ("User", f"<code>{escape(person.username)}</code>"),
            ("Password", _secret(handout)),
        ]
    if person.team:
        rows.append(("Team", escape(person.team)))
    if person.experiment and handout.has_account and _works_in_one(person):
        rows.append(("Experiment", f"<code>{escape(person.experiment)}</code>"))
    if person.role is Role.GUEST:
        rows.append(("May", "read everything, and change nothing"))
    return "".join(f"<dt>{term}</dt><dd>{value}</dd>" for term, value in rows)


def _secret(handout: Handout) -> str:
    if handout.password is None:
        return "the one that you have already"
    text = escape(handout.password.reveal())
    button = '<button type="button" data-show="">Show</button>'
    return f'<code id="password" class="secret hidden">{text}</code> {button}'


def _shell_figure(title: str, name: str, line: str) -> str:
    button = f'<button type="button" data-copy="shell-{name}">Copy</button>'
    caption = f"<figcaption><span>{escape(title)}</span>{button}</figcaption>"
    return f'<figure>{caption}<pre id="shell-{name}">{escape(line)}</pre></figure>'


def _reach(handout: Handout) -> str:
    if not handout.ca:
        return ""
    return "A browser may warn of the certificate; MLflow knows it from <code>ca.pem</code>."
