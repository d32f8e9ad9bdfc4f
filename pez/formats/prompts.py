"""Prompts from files of any kind, and what a word on the command line means: a text, or a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from os.path import isdir, lexists
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.files import user_path
from pez.formats.documents import as_json, json_object
from pez.formats.tables import read_table
from pez.formats.text import as_text, check_text, read_text

COLUMNS = ("prompt", "text")  # which hold a prompt, the first that is there
_TEXTS = ("txt", "csv", "tsv", "json", "jsonl", "ndjson", "toml", "yaml", "yml", "md", "parquet")
_WEIGHTS = ("safetensors", "pt", "pth", "bin", "ckpt", "npy", "npz")
_PICTURES = (
    *("png", "jpg", "jpeg", "jpe", "jp2", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic"),
    *("heif", "tga", "ico", "ppm", "qoi", "psd", "svg"),
)
_ENDS = re.compile(rf"\.({'|'.join((*_TEXTS, *_WEIGHTS, *_PICTURES))})$", re.IGNORECASE)
_JSON = (".jsonl", ".ndjson", ".json")


def names_file(text: str) -> bool:
    """Whether a text is meant as a file: it is there, it ends as files do (``.txt``), or it is one
    word with a slash. A text with a comma is a prompt, however it ends.
    """
    plain = text.strip()
    if plain and "\0" not in plain and (lexists(text) or lexists(user_path(text))):
        return True
    if not plain or "://" in plain or "\n" in plain:
        return False
    one_word = not any(c.isspace() for c in plain)
    if one_word and ("/" in plain or os.sep in plain):
        return True
    return bool(_ENDS.search(plain)) and "," not in plain


def names_weights(name: str) -> bool:
    """Whether a name ends as files of weights do."""
    return name.lower().endswith(tuple(f".{end}" for end in _WEIGHTS))


def file_or_text(text: str, option: str) -> Path | None:
    """The file that ``text`` names, or None if it is a text. PezError if it looks like a file's
    name, but there is none: nothing that was meant as a file is taken literally.
    """
    if not names_file(text):
        return None
    place = user_path(text)
    where = f"{option} {text}".strip()
    if isdir(place):
        if "/" in text or os.sep in text:
            raise PezError(f"{where} is a folder; name a file in it.")
        return None  # a word may have the name of a folder that happens to be here
    if not lexists(place):
        raise PezError(f"{where} looks like a file, and does not exist; check its name.")
    return place


def refuse_file(text: str, option: str) -> str:
    """``text`` for an option that takes no file; PezError if it names one."""
    if file_or_text(text, option):
        raise PezError(f"{option} {text} is a file, and {option} takes a text; give its words.")
    return text


def read_prompts(source: str | Path) -> list[str]:
    """The prompts in a file: those of the column ``prompt``, else ``text``, of JSON lines (such as
    ``--output`` writes) and CSV; the lines of any other text. PezError if there are none.
    """
    if str(source).lower().endswith((".csv", ".tsv")):
        return _filled([text for _, text in _of_table(source)], str(source))
    give = "give UTF-8 text, one prompt a line"
    return prompts_of(read_text(source, give, pipe=True), str(source))


def prompts_of(text: str, where: str) -> list[str]:
    """The prompts in a text, as :func:`read_prompts`; ``where`` names it in errors."""
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if where.lower().endswith(".json") and isinstance(rows := _whole(text), list):
        found = [_of_entry(row, f"{where}, entry {n}") for n, row in enumerate(rows, 1)]
        return _filled(found, where)
    if where.lower().endswith(_JSON) or (lines and _is_object(lines[0][1])):
        found = [_of_row(line, f"{where}, line {n}") for n, line in lines]
        return _filled(found, where)
    return _filled([check_text(line.strip(), f"{where}, line {n}:") for n, line in lines], where)


def stdin_prompts(data: bytes) -> list[str]:
    """The prompts on standard input, as in a file."""
    where = "standard input"
    return prompts_of(as_text(data, where, "give UTF-8 text, one prompt a line"), where)


def words_of(path: Path, option: str) -> list[str]:
    """The words of a text file, which blanks, line ends or commas separate."""
    text = read_text(path, f"{option} takes UTF-8 text, one word a line", pipe=True)
    return text.replace(",", " ").split()


def phrases_of(path: Path, option: str) -> list[str]:
    """The phrases of a text file, which line ends or commas separate. PezError for none."""
    text = read_text(path, f"{option} takes UTF-8 text, one phrase a line", pipe=True)
    found = [part.strip() for line in text.split("\n") for part in line.split(",")]
    return _filled([part for part in found if part], f"{option} {path}")


def refuse_near(text: str, option: str, known: Sequence[str]) -> None:
    """PezError for a word so close to one of the ``known`` words of an option that takes texts too
    that it is more likely misspelt than meant.
    """
    word = text.strip()
    near = get_close_matches(word.casefold(), known, 1, 0.82) if word.isalpha() else []
    if near and word not in known:
        raise PezError(
            f"{option} {text!r}: did you mean {near[0]}? A text so close to it needs a second word."
        )


def _is_object(line: str) -> bool:
    try:
        return line.lstrip().startswith("{") and isinstance(as_json(line), dict)
    except ValueError:
        return False


def _whole(text: str) -> Any:
    """The value of a whole JSON document: an object alone counts as a list of one."""
    try:
        found = as_json(text)
    except ValueError:
        return None
    return [found] if isinstance(found, dict) else found


def _of_entry(entry: Any, where: str) -> str:
    if not isinstance(entry, dict | str):
        raise PezError(f'{where}: it is neither a text nor an object with a "prompt"; correct it.')
    return prompt_of(entry if isinstance(entry, dict) else {"prompt": entry}, where)


def _of_row(line: str, where: str) -> str:
    row = json_object(line, where, 'give an object with a "prompt" a line')
    return prompt_of(row, where)


def _of_table(source: str | Path) -> Iterator[tuple[int, str]]:
    rows = read_table(source, "give a CSV file with a column prompt")
    _, names = next(rows)
    kept = {name: name.lower() for name in names}
    if not set(COLUMNS) & set(kept.values()):
        there = ", ".join(names)
        raise PezError(f"{source} has the columns {there}; it needs prompt (or text).")
    for line, row in rows:
        yield line, prompt_of({kept[k]: v for k, v in row.items()}, f"{source}, line {line}")


def prompt_of(row: dict[str, Any], where: str) -> str:
    """The prompt of a row with names in lower case; PezError, which begins with ``where``."""
    name = next((name for name in COLUMNS if name in row), None)
    if name is None:
        raise PezError(f'{where}: there is no "prompt" (or "text"); add it.')
    text = row[name]
    if not isinstance(text, str) or not text.strip():
        raise PezError(f"{where}: the {name} is {str(text)[:60]!r}, not a text; correct it.")
    return check_text(text.strip(), f"{where}:")


def _filled(texts: list[str], where: str) -> list[str]:
    if not texts:
        raise PezError(f"{where} holds no text; give one prompt a line.")
    return texts
