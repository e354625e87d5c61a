"""The HTML pages of reports: templates of this folder, one frame round all of them."""

from __future__ import annotations

from importlib.resources import files
from typing import Any


def html_page(template: str, values: dict[str, Any]) -> str:
    """A page that asks nobody for anything; the template escapes every value that it is not told to trust.

    Args:
        template: name of a file of this folder that extends ``page_base.html``.
        values: what it shows, all of it: a name that is missing is an error.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    room = files("c2vl_lab.bench")
    loader = FunctionLoader(lambda name: (room / name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = (room / "report_page.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=style, **values)


def checkout(commit: str) -> str:
    """The line that brings back the code of a report; empty where its commit is not known.

    Args:
        commit: as a manifest names it, perhaps with a remark behind it.
    """
    name, _, remark = commit.partition(" ")
    if not name:
        return ""
    return f"git checkout {name}" + (f"  # the report was made {remark}" if remark else "")
