"""Tables that are sorted by the links of their headers: ?by=COLUMN&order=asc|desc.

Here: reading what is wanted, sorting rows, the links. Not here: which columns there are (`..._page.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

ASCENDING, DESCENDING = "asc", "desc"


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table that can be sorted by it."""

    name: str
    title: str
    descends: bool = True
    """Whether the first click puts the highest on top."""
    is_number: bool = True
    sorts: bool = True


@dataclass(frozen=True, slots=True)
class Order:
    """What a table is sorted by, and what else its address asks for."""

    by: str
    descends: bool
    asked: Mapping[str, str]
    """The rest of the query, but for the number of a page."""

    def aria(self, column: Column) -> str | None:
        """What `aria-sort` says of a column; None of those that the table is not sorted by."""
        return None if column.name != self.by else "descending" if self.descends else "ascending"

    def link(self, column: Column) -> str:
        """The query that sorts by the column; by the one that it is sorted by already, the other way round."""
        descends = not self.descends if column.name == self.by else column.descends
        order = DESCENDING if descends else ASCENDING
        return "?" + urlencode({**self.asked, "by": column.name, "order": order})


def read_order(request: Request, columns: Sequence[Column], default: str) -> tuple[Order, list[str]]:
    """What is wanted, by the column `default` if nothing is; and what is wrong with it, in words."""
    asked = dict(request.query_params)
    asked.pop("page", None)
    by, order, told = asked.pop("by", ""), asked.pop("order", ""), []
    by_name = {column.name: column for column in columns if column.sorts}
    if by and by not in by_name:
        told.append(f"There is no column {by[:40]!r} to sort by; there are {', '.join(by_name)}.")
    if order not in {"", ASCENDING, DESCENDING}:
        told.append(f"The order is {ASCENDING} or {DESCENDING}, not {order[:40]!r}.")
    column = by_name.get(by, by_name[default])
    descends = order == DESCENDING if order in {ASCENDING, DESCENDING} else column.descends
    return Order(column.name, descends, asked), told


def sorted_by(rows: Sequence[Mapping[str, Any]], order: Order) -> list[Mapping[str, Any]]:
    """Those without a value come last, either way; equal ones stay as they are."""
    there = sorted(
        (row for row in rows if row[order.by] is not None), key=lambda row: row[order.by], reverse=order.descends
    )
    return [*there, *(row for row in rows if row[order.by] is None)]
