"""Where the data of one stack is, as the programs that copy it need to know. Standard library only.

No field is a secret: a PostgreSQL URL names libpq's password file, an account's password is in a
file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Place:
    """One store: its database, its accounts, its artifact folder.

    `served` says how the database names artifacts below that folder: as `mlflow-artifacts:/...`
    or as `file://` URIs. With `own_files`, locations elsewhere on this disk are the user's own and
    belong to the store; behind a server they are paths on other people's machines. `admin` is the
    account whose password the stack itself keeps in `admin_password_file`.

    Artifacts in S3 (`s3://BUCKET/...`) are in this `region` and belong to the account `owner`;
    `environment` replaces the AWS settings of the process, for an emulated account. A
    `database_url` that is an S3 URI too names a copy (SQLite) that the server's machine put there;
    it is worked on in `scratch`, a folder of this machine.
    """

    name: str
    database_url: str
    artifacts: str
    users_url: str | None = None
    served: bool = True
    own_files: bool = False
    admin: str = ""
    admin_password_file: str = ""
    region: str = ""
    owner: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    scratch: str = ""

    @property
    def in_bucket(self) -> bool:
        """Whether its artifacts are in S3."""
        return self.artifacts.startswith("s3://")

    @property
    def is_ferried(self) -> bool:
        """Whether its databases are copies in a bucket."""
        return self.database_url.startswith("s3://")

    def to_json(self) -> dict[str, Any]:
        """As it is sent to the program."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Place:
        """What was sent; unknown fields are an error."""
        unknown = value.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown fields of a place: {', '.join(sorted(unknown))}")
        return cls(**value)
