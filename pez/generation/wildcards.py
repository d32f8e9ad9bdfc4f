r"""Prompts drawn by lot, as the extension "Dynamic Prompts" of A1111's web UI writes them.

``{red|blue}`` is one of its variants, ``{3::red|blue}`` red three times as often,
``{2$$red|blue|green}`` two of them, ``{1-2$$ and $$red|blue}`` one or two with " and " between.
``__colours__`` is a line of the file colours.txt in a folder of the user's. The lot is drawn by the
seed of the picture and by the text, so that a seed always draws the same variant.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from pathlib import Path

from pez.errors import PezError
from pez.files import user_path
from pez.formats.text import read_text
from pez.generation.schedule import MOST_DEEP, pairs, split_at

_FILE = re.compile(r"(?<![\\\w])__([^\W_][\w.\- ]*?(?:/[^\W_][\w.\- ]*?)*)__(?!\w)")
_COUNT = re.compile(r"\s*(\d+)(?:-(\d+))?\$\$(?:((?:[^$|{}\\]|\$(?!\$))*)\$\$)?")
_ODDS = re.compile(r"\s*(\d{1,9}\.?\d*|\.\d+)::")
MOST_CHOICES = 10_000


def is_by_lot(text: str) -> str:
    """The first part of a prompt that is drawn by lot, or names a file of lines; "" if none is."""
    ends = pairs(text, "{}")
    within = ends | pairs(text, "[]")
    for n in sorted(ends):
        if next(split_at(text, "|", n + 1, ends[n], within), None) is not None:
            return text[n : ends[n] + 1]
    found = _FILE.search(text)
    return found.group() if found else ""


def drawn_by_lot(text: str, seed: int, folder: str = "") -> str:
    """``text`` with one variant for each ``{a|b}`` and a line for each ``__file__`` of ``folder``;
    one without these stays itself. PezError for a file that is not there or has no lines.
    """
    if "{" not in text and "__" not in text:
        return text
    digest = hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).digest()
    return _Lot(random.Random(digest), folder).draw(text, 0)


@dataclass
class _Lot:
    """One picture's choices; ``left`` is how many more it may have."""

    dice: random.Random
    folder: str
    left: int = MOST_CHOICES

    def draw(self, text: str, depth: int) -> str:
        """``text`` with everything chosen; ``depth`` counts variants within variants."""
        self.left -= 1
        if depth > MOST_DEEP or self.left < 0:
            raise PezError(f"{text[:60]!r} has variants within variants without end; correct it.")
        ends = pairs(text, "{}")
        within = ends | pairs(text, "[]")
        out: list[str] = []
        n = 0
        while n < len(text):
            if text[n] == "\\":
                out.append(text[n : n + 2])
                n += 2
                continue
            if n in ends:
                cuts = list(split_at(text, "|", n + 1, ends[n], within))
                spans = zip([n + 1, *(c + 1 for c in cuts)], [*cuts, ends[n]], strict=True)
                variants = [text[a:b] for a, b in spans]
                if len(variants) > 1:
                    out.append(self._one(variants, depth))
                    n = ends[n] + 1
                    continue
            elif (found := _FILE.match(text, n)) is not None:
                out.append(self.draw(self._line(found[1]), depth + 1))
                n = found.end()
                continue
            out.append(text[n])
            n += 1
        return "".join(out)

    def _one(self, variants: list[str], depth: int) -> str:
        """The variant or variants that are chosen."""
        least = most = 1
        between = ", "
        if count := _COUNT.match(variants[0]):
            least, most = int(count[1]), int(count[2] or count[1])
            between = between if count[3] is None else count[3]
            variants = [variants[0][count.end() :], *variants[1:]]
        odds = [_ODDS.match(variant) for variant in variants]
        weights = [float(found[1]) if found else 1.0 for found in odds]
        texts = [
            variant[found.end() if found else 0 :].strip()
            for variant, found in zip(variants, odds, strict=True)
        ]
        left = [n for n, weight in enumerate(weights) if weight > 0]
        if not 0 <= least <= most or most > len(left):
            raise PezError(
                f"{{{'|'.join(variants)[:60]}}} has {len(left)} variants to choose from, "
                f"not {most}."
            )
        chosen: list[int] = []
        for _ in range(self.dice.randint(least, most)):
            (pick,) = self.dice.choices(left, [weights[n] for n in left])
            left.remove(pick)
            chosen.append(pick)
        return between.join(self.draw(texts[n], depth + 1) for n in chosen)

    def _line(self, name: str) -> str:
        """A line of the file that ``__name__`` names."""
        if not self.folder:
            raise PezError(
                f"__{name}__ is a line of a file in other tools; give the folder of {name}.txt as "
                "--wildcards, or --literal."
            )
        path = Path(user_path(self.folder)) / f"{name}.txt"
        if not path.is_file():
            raise PezError(f"there is no {name}.txt in {self.folder} for __{name}__.")
        lines = [
            line.strip()
            for line in read_text(path, "give UTF-8 text, one variant a line").split("\n")
        ]
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise PezError(f"{path} has no lines for __{name}__; write one variant a line.")
        return self.dice.choice(lines)
