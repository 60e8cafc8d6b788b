"""What RDS does to a database with the superuser that it keeps for itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import psycopg2


class Superuser(ABC):
    """Statements as the superuser, each in a connection of its own."""

    @abstractmethod
    def connected(self) -> Any:
        """A new connection (`psycopg2`). Raises `psycopg2.OperationalError` where none answers."""

    def tell(self, statement: str, *values: str) -> None:
        """Run one statement."""
        connection = self.connected()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether the server takes statements."""
        try:
            self.tell("select 1")
        except psycopg2.OperationalError:
            return False
        return True

    def set_password(self, user: str, password: str) -> None:
        """Change a role's password, as a rotation does."""
        self.tell(f'alter role "{user}" password %s', password)
