"""The board: the prompt as words that can be clicked, its score, its alternatives, as HTML."""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pez.search.tokens import Tokens
from pez.web.desk import Desk, edited
from pez.web.plot import score_plot
from pez.web.running import Running

# words that begin sentences; others may be names of models and files, which stay as they are
_BEGIN = frozenset(("a", "an", "another", "choose", "every", "no", "the", "there", "this"))
_FLAG = re.compile(r"--([a-z][a-z-]*)")


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "parts"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"data": _data}
    return made


def asset(name: str) -> str:
    """The text of a style sheet or script of the page."""
    return (Path(__file__).parent / "parts" / name).read_text(encoding="utf-8")


def render(name: str, **view: object) -> str:
    """A part of the page as HTML; whatever is filled in is escaped."""
    return _templates().get_template(name).render(**view)


def _data(text: str, kind: str) -> str:
    """A text as an address that holds it, to be saved without a file on the server."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def in_page(error: object) -> str:
    """An error's sentence in the page's terms: its controls have names, not flags."""
    text = _FLAG.sub(lambda found: found[1].replace("-", " "), str(error))
    begins = text.partition(" ")[0] in _BEGIN
    return text[:1].upper() + text[1:] if begins else text


def empty_board(text: str) -> str:
    """The board before the first search."""
    return render("board.html.j2", view="empty", text=text)


def running_board(running: Running, waited: str = "") -> str:
    """The board while a search runs."""
    return render(
        "board.html.j2",
        view="running",
        run=running,
        text=waited or ("" if running.prompt else "Reading the model and the target …"),
        plot=score_plot(running.curve),
    )


def desk_board(desk: Desk, tokens: Tokens, error: str = "") -> str:
    """The board with what is on the desk."""
    found = desk.result
    final = edited(found, desk, tokens) if found else None
    return render(
        "board.html.j2",
        view="desk",
        desk=desk,
        result=final,
        chips=desk.chips(tokens),
        opened=desk.word(tokens, desk.opened) if desk.opened is not None else "",
        prompt=tokens.decode(desk.ids) if desk.ids else "",
        several=[(n, one) for n, one in enumerate(desk.results)] if len(desk.results) > 1 else [],
        error=error,
        plot=score_plot(desk.curve),
    )


def error_board(error: str) -> str:
    """The board with nothing but an error."""
    return render("board.html.j2", view="error", error=error)
