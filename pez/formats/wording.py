"""How a text, a prompt and a label stand together: ``{text}{prompt}{label}``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pez.errors import PezError

SLOTS = ("text", "prompt", "label")
BEHIND = "{text}{prompt}{label}"
_SLOT = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Wording:
    """A template in ``parts``: words as they are typed, and the names of SLOTS.

    What fills a slot stands after a blank, unless it begins the whole or the template has white
    space there. So ``{text}{prompt}{label}`` and ``{text} {prompt} {label}`` are the same. A prompt
    has a blank before it even at the beginning where the tokenizer reads words otherwise (``lead``
    of :meth:`fill`), so that its first word is read as the others are.
    """

    parts: tuple[tuple[str, str], ...]  # ("typed", words) or (slot, "")

    @classmethod
    def of(cls, template: str) -> Wording:
        """Read a template. PezError unless it has each slot once, the label at its end."""
        pieces = _SLOT.split(template)
        parts: list[tuple[str, str]] = []
        for n, piece in enumerate(pieces):
            if n % 2:
                if piece not in SLOTS:
                    raise PezError(
                        f"--template has {{{piece}}}; its places are {{text}}, {{prompt}} and "
                        "{label}."
                    )
                parts.append((piece, ""))
            elif piece:
                if "{" in piece or "}" in piece:
                    raise PezError(f"--template {template!r} has a stray brace; write {{text}}.")
                parts.append(("typed", piece))
        names = [name for name, _ in parts]
        for slot in SLOTS:
            if names.count(slot) != 1:
                count = "no" if slot not in names else "more than one"
                raise PezError(f"--template {template!r} has {count} {{{slot}}}; give each once.")
        if names[-1] != "label":
            raise PezError(
                f"--template {template!r} goes on behind {{label}}, which a model that reads "
                "from left to right does not see; put {label} last."
            )
        return cls(tuple(parts))

    @property
    def prompt_leads(self) -> bool:
        """Whether the prompt stands before the text."""
        names = [name for name, _ in self.parts]
        return names.index("prompt") < names.index("text")

    def fill(self, text: str, prompt: str, label: str = "", lead: str = "") -> str:
        """The whole text. An empty prompt or label leaves no blank behind; ``lead`` is what stands
        before a prompt that begins the whole.
        """
        given = {"text": text, "prompt": prompt, "label": label}
        out = ""
        for name, typed in self.parts:
            piece = typed if name == "typed" else given[name]
            if not piece:
                continue
            if name != "typed" and out and not out[-1].isspace():
                out += " "
            elif name == "prompt" and not out:
                out += lead
            out += piece
        return out
