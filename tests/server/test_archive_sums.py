"""The list of an archive's files, as coreutils writes and reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import RefusedError
from provision.server.archive import sums

DIGEST = "a" * 64


@pytest.mark.parametrize(
    "name", ["plain", " spaces ", "new\nline", "back\\slash", "\\n", "both\\\n\r", "é", "\udcff"]
)
def test_every_name_survives(tmp_path: Path, name: str) -> None:
    (tmp_path / "list").write_bytes(sums.line(f"mlartifacts/{name}", DIGEST))
    assert list(sums.read(tmp_path / "list")) == [(f"mlartifacts/{name}", DIGEST)]


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "mlartifacts/../../up", ""])
def test_no_line_leads_out_of_the_archive(tmp_path: Path, path: str) -> None:
    (tmp_path / "list").write_bytes(sums.line("good", DIGEST) + sums.line(path, DIGEST))
    with pytest.raises(RefusedError, match="list:2 is no line"):
        list(sums.read(tmp_path / "list"))
