"""Writes the pages that are made from the table of findings: `make findings`."""

from __future__ import annotations

from pathlib import Path

from provision.model.findings.pages import pages

ROOT = Path(__file__).parents[1]


def main() -> None:
    made = pages()
    folder = ROOT / "docs/troubleshooting"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        if f"docs/troubleshooting/{old.name}" not in made:
            old.unlink()
    for path, text in made.items():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
