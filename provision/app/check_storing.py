"""The layers of a check that write to a server and read back; all of it is deleted again."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterable, Iterator
from typing import Final

from provision.app.check_session import Session
from provision.app.layers import ProblemError
from provision.model import diagnosis
from provision.model.tracking import TrackingError, dig
from provision.model.units import format_size

# Just above the body size at which nginx refuses by default (client_max_body_size 1m).
_ARTIFACT_BYTES: Final = 1024 * 1024 + 1024
_BLOCK: Final = 1024 * 1024
# 0.1 + 0.2 needs all 53 bits of a double, the other two nearly the whole range of its exponent.
_METRICS: Final = {"exact": 0.1 + 0.2, "tiny": 1.5e-300, "large": -1.7976931348623157e300}
_PARAMS: Final = {"unicode": "naïve 模型 🚀", "quotes": 'it\'s "quoted" \\ % $'}
_TAGS: Final = {"provision.check": "delete me"}
# What mlflow.pyfunc reads first of every model; the check has no code to load behind it.
_MODEL: Final = b"artifact_path: model\nflavors: {}\nmodel_uuid: provision-check\n"
_EXPERIMENTS_AT_ONCE: Final = "1000"


def small_size() -> str:
    """The size of the artifact that every check uploads."""
    return f"{_ARTIFACT_BYTES / 1024:.0f} KiB"


def experiment(session: Session) -> str:
    """Create an experiment."""
    server = session.server
    created = session.experiment_id = server.create_experiment(session.name)
    session.undo.append((f"experiment {created}", lambda: server.delete_experiment(created)))
    return f"created {session.name}"


def run(session: Session) -> str:
    """Log a run, and compare what comes back with what was sent."""
    server = session.server
    run_id = server.create_run(session.experiment_id, session.name).run_id
    session.undo.append((f"run {run_id}", lambda: server.delete_run(run_id)))
    server.log_batch(run_id, _METRICS, _PARAMS, _TAGS)
    stored = session.run = server.get_run(run_id)
    tags = {key: value for key, value in stored.tags.items() if key in _TAGS}
    sent, returned = (_METRICS, _PARAMS, _TAGS), (stored.metrics, stored.params, tags)
    if sent != returned:
        raise ProblemError("run.differs", f"sent {sent!r}, returned {returned!r}")
    return f"{len(_METRICS)} metrics, {len(_PARAMS)} params and {len(_TAGS)} tag, all equal"


def upload(session: Session) -> str:
    """Upload an artifact, if the server is the one that takes it."""
    artifact_uri = session.run.artifact_uri
    problem = diagnosis.of_artifact_root(artifact_uri)
    if problem:
        observed = f"a new run's artifacts go to {artifact_uri}"
        raise ProblemError(problem, observed, artifact_uri=artifact_uri)
    session.content = secrets.token_bytes(_ARTIFACT_BYTES)
    # Noted before it is tried: a failed upload may have left a part behind.
    below = session.folder.rpartition("/")[0]
    session.undo.append((f"artifacts below {below}", lambda: session.server.delete_artifact(below)))
    with _told_more(session, _ARTIFACT_BYTES):
        session.server.upload(_path(session), session.content)
    return f"{small_size()} to {artifact_uri}"


@contextlib.contextmanager
def _told_more(session: Session, size: int) -> Iterator[None]:
    """Where MLflow says no more than 500, ask a server of ours whether its disk has room."""
    try:
        yield
    except TrackingError as error:
        if error.status < 500 or not _lacks_room(session, size):
            raise
        message = f"{error.message}; its disk has less than {size} bytes left"
        body = f"{error.body} no space left on device"
        raise TrackingError(error.kind, message, status=error.status, body=body) from error


def _lacks_room(session: Session, size: int) -> bool:
    with contextlib.suppress(TrackingError):
        facts = session.server.server_status() or {}
        free = (facts.get("machine") or {}).get("disk_free_bytes")
        return free is not None and int(free) < size
    return False


def download(session: Session) -> str:
    """Download it again, and compare."""
    folder, _, name = _path(session).rpartition("/")
    listed = session.server.list_artifacts(folder)
    content = session.server.download(_path(session))
    sent, got = _sha256([session.content]), _sha256([content])
    if sent != got or name not in listed:
        observed = (
            f"sent {len(session.content)} bytes with SHA-256 {sent}, "
            f"got {len(content)} with {got}; "
            f"the folder lists {', '.join(listed) or 'nothing'}"
        )
        raise ProblemError("artifact-download.differs", observed)
    return f"{small_size()}, SHA-256 {got[:12]}..."


def frozen_roots(session: Session) -> str:
    """Look where older experiments keep their artifacts: each keeps what it was created with."""
    reply = session.server.get("experiments/search", max_results=_EXPERIMENTS_AT_ONCE)
    entries = reply.get("experiments", [])
    frozen = {
        str(entry["name"]): str(entry.get("artifact_location", ""))
        for entry in entries
        if diagnosis.of_artifact_root(str(entry.get("artifact_location", "")))
    }
    if frozen:
        names = ", ".join(f"{name} ({where})" for name, where in list(frozen.items())[:3])
        more = f" and {len(frozen) - 3} more" if len(frozen) > 3 else ""
        raise ProblemError("artifact-root.frozen", f"{names}{more}")
    return f"{len(entries)} experiments looked at"


def large(session: Session) -> str:
    """Send an artifact of the wanted size up and down, a block at a time, as clients would."""
    server, direct = session.server, session.endpoint.direct
    path = f"{session.folder}/provision-check-large.bin"
    # The same block again and again: its digest is known without keeping what was sent.
    block = secrets.token_bytes(_BLOCK)
    with _told_more(session, session.large):
        send = server.upload_direct if direct else server.upload_stream
        send(path, session.large, _blocks(block, session.large))
    sent = _sha256(_blocks(block, session.large))
    got = _sha256(server.download_direct(path) if direct else server.download_stream(path))
    if sent != got:
        raise ProblemError("large-artifact.differs", f"sent SHA-256 {sent}, got {got}")
    way = ", straight to and from the store" if direct else ""
    return f"{format_size(session.large)}{way}, SHA-256 {got[:12]}..."


def registry(session: Session) -> str:
    """Register a model, and find its version by an alias."""
    server, name = session.server, session.name
    server.upload(f"{session.folder}/model/MLmodel", _MODEL)
    server.create_registered_model(name)
    session.undo.append((f"registered model {name}", lambda: server.delete_registered_model(name)))
    source = f"{session.run.artifact_uri}/model"
    version = server.create_model_version(name, source, session.run.run_id)
    server.set_alias(name, "champion", version)
    returned = server.version_by_alias(name, "champion")
    if returned != version:
        raise ProblemError(
            "registry.differs", f"set to version {version}, returned version {returned}"
        )
    session.version = version
    return f"version {version} found by its alias"


def load_model(session: Session) -> str:
    """Fetch the registered version's files as `mlflow.*.load_model` does."""
    query = {"name": session.name, "version": session.version}
    where = str(dig(session.server.get("model-versions/get-download-uri", **query), "artifact_uri"))
    folder = where.partition(":")[2].strip("/")
    if diagnosis.of_artifact_root(where) or not session.server.list_artifacts(folder):
        raise ProblemError("model-load.elsewhere", f"its files are said to be at {where}")
    if session.server.download(f"{folder}/MLmodel") != _MODEL:
        raise ProblemError("model-load.differs", f"{where}/MLmodel is not the one that was saved")
    return f"read from {where}"


def clean_up(session: Session) -> str:
    """Delete all that the check has created, the latest first."""
    left: list[str] = []
    total = len(session.undo)
    while session.undo:
        what, delete = session.undo.pop()
        try:
            delete()
        except TrackingError as error:
            left.append(f"{what} ({error.message})")
    if left:
        raise ProblemError("cleanup.left-behind", f"left behind: {'; '.join(left)}")
    return f"deleted {total} things{_forgotten(session)}"


def _forgotten(session: Session) -> str:
    """Empty the trash of this check's experiment; only a server of ours can be asked to."""
    if session.experiment_id:
        with contextlib.suppress(TrackingError):
            session.server.ask("DELETE", f"/provision/check/{session.experiment_id}")
            return ", and emptied the trash of them"
        return "; MLflow's trash keeps the experiment until `mlflow gc`"
    return ""


def _path(session: Session) -> str:
    return f"{session.folder}/provision-check.bin"


def _blocks(block: bytes, size: int) -> Iterator[bytes]:
    whole, rest = divmod(size, len(block))
    for _ in range(whole):
        yield block
    if rest:
        yield block[:rest]


def _sha256(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
