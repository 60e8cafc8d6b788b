"""The tables in the README of each module and stack, made from variables.tf and outputs.tf.

`python -m tests.terraform.readme` renews them; a test fails while they are stale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TERRAFORM = Path(__file__).parents[2] / "terraform"
_START, _END = "<!-- tables: python -m tests.terraform.readme -->\n", "<!-- end of the tables -->"
_EXAMPLE = re.compile(r"^```hcl\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One `variable` or `output` block as `terraform fmt` writes it."""

    name: str
    body: str

    def value(self, key: str) -> str:
        """The expression after `key =`, on one line; empty when it is not there."""
        pattern = rf"^  {key} += (.*?)(?=^  [\w#]|\Z)"
        found = re.search(pattern, self.body, re.MULTILINE | re.DOTALL)
        lines = found.group(1).split("\n") if found else []
        return _joined([line.strip() for line in lines if line.strip()])

    def text(self, key: str) -> str:
        """The text after `key =`, without its quotes."""
        return self.value(key)[1:-1].replace('\\"', '"')


def blocks(file: Path) -> list[Block]:
    """The blocks of a file, in its order."""
    text = file.read_text(encoding="utf-8")
    found = re.finditer(
        r'^(?:variable|output) "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL
    )
    return [Block(match.group(1), match.group(2)) for match in found]


def rendered(folder: Path) -> str:
    """Both tables of one module or stack."""
    inputs = ["| input | type | default | meaning |", "|---|---|---|---|"]
    inputs += [_input(block) for block in blocks(folder / "variables.tf")]
    outputs = ["| output | meaning |", "|---|---|"]
    outputs += [f"| `{b.name}` | {b.text('description')} |" for b in blocks(folder / "outputs.tf")]
    return "\n".join([*inputs, "", *outputs, ""])


def documented(text: str, tables: str) -> str:
    """A README's text with these tables between its marks."""
    before, rest = text.split(_START)
    return f"{before}{_START}{tables}{rest[rest.index(_END) :]}"


def example(folder: Path) -> str:
    """The one example in a README, which a test plans."""
    (found,) = _EXAMPLE.findall((folder / "README.md").read_text(encoding="utf-8"))
    return str(found)


def _input(block: Block) -> str:
    default = block.value("default")
    shown = f"`{default}`" if default else "required"
    return f"| `{block.name}` | `{block.value('type')}` | {shown} | {block.text('description')} |"


def _joined(lines: list[str]) -> str:
    """Lines of HCL as one, with semicolons between the attributes of an object."""
    text = ""
    for line in lines:
        between = "; " if text and text[-1] not in "{[(," and line[0] not in "}])" else " "
        text += between + line if text else line
    return re.sub(r" +", " ", text)


def main() -> None:
    """Renew every README."""
    for readme in _TERRAFORM.glob("*/*/README.md"):
        text = readme.read_text(encoding="utf-8")
        readme.write_text(documented(text, rendered(readme.parent)), encoding="utf-8")


if __name__ == "__main__":
    main()
