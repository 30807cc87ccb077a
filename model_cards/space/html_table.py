"""A table that scrolls in its own box where the screen is narrow, and is read out with its headers."""

from __future__ import annotations

import html
from collections.abc import Sequence

# The colours are the theme's, so that the table follows it into the dark. Without `contain` the page would grow to the
# width of its widest table.
TABLE_CSS = """
.scrolled-table { overflow-x: auto; contain: inline-size; }
.scrolled-table table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.scrolled-table caption { text-align: left; font-weight: 600; padding: 0.5rem 0; color: var(--body-text-color); }
.scrolled-table th, .scrolled-table td {
  padding: 0.4rem 0.7rem; text-align: left; white-space: nowrap; color: var(--body-text-color);
  border: 0; border-bottom: 1px solid var(--border-color-primary);
}
.scrolled-table tbody th { font-weight: 500; }
"""


def html_table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """``rows`` as an HTML table; every text is shown as it stands, whatever signs it holds.

    Args:
        caption: what the table shows.
        headers: of the columns.
        rows: each as long as ``headers``; the first cell of a row is its header.
    """
    head = "".join(f'<th scope="col">{html.escape(header)}</th>' for header in headers)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>{"".join(f"<td>{html.escape(cell)}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    label = html.escape(caption, quote=True)
    table = f"<table><caption>{label}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scrolled-table" role="region" aria-label="{label}" tabindex="0">{table}</div>'
