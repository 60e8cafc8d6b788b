"""The receipt as a page: one file without anything from elsewhere, to keep and to print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from provision.model.receipt import Kept, Receipt, Thing, head, kept_sum, price, verdict
from provision.model.usage import sentences

_STYLE: Final = """\
:root { color-scheme: light; --ink: #1d2733; --dim: #5d6b7a; --line: #d9dfe6; --paper: #fff;
  --good: #14683f; --good-back: #e4f4eb; --bad: #9b1c1c; --bad-back: #fbe9e9; }
* { box-sizing: border-box; }
body { margin: 0; background: #eef1f4; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 54rem; margin: 2rem auto; padding: 2.5rem 3rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 8px; }
header { display: flex; gap: 2rem; justify-content: space-between; align-items: flex-start;
  border-bottom: 2px solid var(--ink); padding-bottom: 1rem; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.2; }
header p { margin: .2rem 0 0; color: var(--dim); }
.stamp { flex: none; padding: .4rem .9rem; border-radius: 6px; font-weight: 600;
  white-space: nowrap; color: var(--good); background: var(--good-back);
  border: 1px solid currentColor; }
.stamp.bad { color: var(--bad); background: var(--bad-back); }
h2 { margin: 2rem 0 .5rem; font-size: 1.05rem; }
dl { display: grid; grid-template-columns: 7rem 1fr; gap: .25rem 1rem; margin: 1.2rem 0 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: .87rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 500; } td.number { text-align: right; white-space: nowrap; }
th.number { text-align: right; } code { font: .92em ui-monospace, Consolas, monospace; }
ul { margin: 0; padding-left: 1.1rem; } .verdict { font-size: 1.05rem; font-weight: 600; }
footer { margin-top: 2.5rem; color: var(--dim); font-size: .8rem; }
@media (max-width: 40rem) { main { margin: 0; padding: 1.25rem; border: 0; border-radius: 0; }
  header { flex-direction: column; gap: .75rem; } }
@media print { body { background: none; font-size: 10.5pt; } main { max-width: none; margin: 0;
  padding: 0; border: 0; } tr, h2 { break-inside: avoid; } h2 { break-after: avoid; }
  .stamp { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  @page { margin: 18mm; } }
"""


def page(receipt: Receipt) -> str:
    """The whole document."""
    title = f"Receipt: {receipt.stack} was taken down"
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<main>\n",
            *_body(receipt),
            "</main>\n</body>\n</html>\n",
        )
    )


def _body(receipt: Receipt) -> Iterator[str]:
    yield _header(receipt)
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in head(receipt))
    yield f"<dl>\n{''.join(rows)}</dl>\n"
    yield _left(receipt)
    yield _kept(receipt)
    if receipt.usage is not None:
        yield "<h2>What it was</h2>\n" + _list(sentences(receipt.usage))
    yield _existed(receipt)
    if receipt.unknown:
        yield "<h2>Named by AWS' index of tags, never made by provision</h2>\n"
        yield _list(receipt.unknown)
    yield _footer(receipt)


def _header(receipt: Receipt) -> str:
    word, style = ("nothing left", "") if receipt.complete else ("not complete", " bad")
    return (
        f"<header>\n<div><h1>{escape(receipt.stack)}</h1>\n"
        f"<p>Receipt of a teardown, {escape(receipt.begun_at[:10])}</p></div>\n"
        f'<div class="stamp{style}">{word}</div>\n</header>\n'
    )


def _left(receipt: Receipt) -> str:
    said = f'<h2>What is left</h2>\n<p class="verdict">{escape(_capital(verdict(receipt)))}</p>\n'
    return said + (_things(receipt.left) if receipt.left else "")


def _kept(receipt: Receipt) -> str:
    said = f"<h2>Kept on purpose: {escape(kept_sum(receipt))}</h2>\n"
    if not receipt.kept:
        return said
    rows = "".join(_kept_row(item) for item in receipt.kept)
    columns = ("what", "name", "why, and what deletes it", "a month")
    return said + _table(columns, rows)


def _kept_row(item: Kept) -> str:
    way = f"<br><code>{escape(item.delete)}</code>" if item.delete else ""
    return (
        f"<tr><td>{escape(item.thing.what)}</td><td>{escape(item.thing.name)}</td>"
        f'<td>{escape(item.why)}{way}</td><td class="number">{escape(price(item))}</td></tr>\n'
    )


def _existed(receipt: Receipt) -> str:
    number = len(receipt.existed)
    said = f"<h2>What existed: {number} {'thing' if number == 1 else 'things'}</h2>\n"
    if not receipt.emptied.is_nothing:
        said += f"<p>In the bucket: {escape(str(receipt.emptied))}.</p>\n"
    return said + (_things(receipt.existed) if receipt.existed else "")


def _things(things: Sequence[Thing]) -> str:
    rows = "".join(
        f"<tr><td>{escape(t.what)}</td><td>{escape(t.name)}</td>"
        f"<td><code>{escape(t.id)}</code></td><td>{escape(t.created[:10])}</td></tr>\n"
        for t in things
    )
    return _table(("what", "name", "id", "made"), rows)


def _table(columns: Sequence[str], rows: str) -> str:
    names = "".join(
        f'<th class="number">{c}</th>' if c == "a month" else f"<th>{c}</th>" for c in columns
    )
    return f"<table>\n<thead><tr>{names}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"


def _list(lines: Iterable[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{escape(line)}</li>\n" for line in lines) + "</ul>\n"


def _footer(receipt: Receipt) -> str:
    dated = f" Prices: list prices of {receipt.prices_as_of}, in US dollars, before taxes."
    said = "Written by provision after it had asked each service of AWS what it still holds."
    return f"<footer><p>{said}{escape(dated) if receipt.prices_as_of else ''}</p></footer>\n"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
