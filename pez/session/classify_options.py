"""The options of ``pez classify``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pez.errors import PezError
from pez.formats.wording import BEHIND, Wording
from pez.options import SearchOptions, _digest, _option


@dataclass(frozen=True)
class ClassifyOptions(SearchOptions):
    """Options of ``pez classify``. The prompt has no fixed words of its own: they belong into the
    ``template`` of the whole.
    """

    objective: ClassVar[str] = "labels"
    usual_model: ClassVar[str] = "smollm2"
    usual_passes: ClassVar[int] = 200
    unused: ClassVar[tuple[str, ...]] = (
        *("generator", "style", "also_negative", "top", "language_model", "rows"),
    )

    model: tuple[str, ...] = _option(
        (),
        "language model to search: smollm2, any causal model or encoder-decoder (T5) of "
        "transformers by hub id or folder, or a GGUF file (smollm2)",
        metavar="NAME",
    )
    labels: str = _option(
        "",
        "the labels, separated by commas: by name as in the data, or what numbers mean in their "
        "order (the data's own names)",
        metavar="NAMES",
    )
    label_words: str = _option(
        "",
        "words that stand for the labels beside a text, in the same order (the labels themselves)",
        metavar="WORDS",
    )
    template: str = _option(
        BEHIND,
        "where text, prompt and label stand; parts that touch are separated by a blank",
        metavar="TEXT",
    )
    shots: int = _option(16, "examples of each label to search with", metavar="N")
    validation: int = _option(
        64, "further examples of each label, by which the best prompt is chosen", metavar="N"
    )
    test_size: int = _option(300, "texts that prompts are measured on at last", metavar="N")
    test_file: str = _option(
        "",
        "file of the texts to measure on (else rows that were not searched with)",
        metavar="FILE",
    )
    text_column: str = _option(
        "", "column of texts; with both columns as numbers there is no head line", metavar="NAME"
    )
    label_column: str = _option("", "column of labels", metavar="NAME")
    data_seed: int = _option(0, "which examples are drawn", metavar="N")
    length: int = _option(5, "words of the prompt", metavar="N")
    restarts: int = _option(
        3, "searches from different starts; the best by validation is kept", metavar="N"
    )
    finalists: int = _option(
        4, "best prompts of each search that are compared by validation", metavar="N"
    )
    random: int = _option(
        8, "random prompts to compare with: the best of them by validation is measured", metavar="N"
    )
    manual: tuple[str, ...] = _option(
        (), "a prompt by hand to compare with, or a file of them", metavar="TEXT|FILE"
    )
    prompt: str | None = _option(
        None,
        "measure this prompt, or that of a file or of tuned embeddings, instead of searching one",
        "",
        "TEXT|FILE",
        str,
    )
    fluency: float = _option(
        0.0,
        "weight of the prompt's own words in the loss, from 0 to below 1: (1 - X) task + X nats a "
        "token (0.003 in the paper)",
        metavar="X",
    )
    dtype: str = _option(
        "auto",
        "float32, bfloat16 or float16; on a CPU bfloat16 is used for the products of the search "
        "alone, and prompts are measured in float32 (auto: so where the CPU is faster at it)",
        metavar="NAME",
    )
    style: str = _option("words", "words in a row", metavar="NAME")

    def __post_init__(self) -> None:
        """Raise PezError for values of the wrong type or out of range."""
        for name in ("labels", "label_words"):
            if isinstance(listed := getattr(self, name), list | tuple):  # as Python has them
                object.__setattr__(self, name, _joined(name, listed))
        super().__post_init__()
        usual = {f.name: f.default for f in fields(self) if f.name in self.unused}
        for name, default in usual.items():
            if getattr(self, name) != default:
                raise PezError(f"{name} does not apply to classify; leave it out.")
        least = {"shots": 1, "validation": 1, "test_size": 1, "finalists": 1, "length": 1}
        for name in (*least, "random", "data_seed"):
            value, low = getattr(self, name), least.get(name, 0)
            if value < low or value > 10**6:
                bound = f"{low} or more" if value < low else "a million at most"
                raise PezError(f"--{name.replace('_', '-')} must be {bound}, not {value}.")
        if not self.fluency < 1:
            raise PezError(f"--fluency must be below 1, not {self.fluency}: it is a share.")
        if len(self.model) > 1:
            raise PezError("pez classify searches one language model; give --model once.")
        for name in ("labels", "label_words"):
            text = getattr(self, name)
            if text and not all(part.strip() for part in text.split(",")):
                option = f"--{name.replace('_', '-')}"
                raise PezError(f"{option} {text!r} has an empty part; name one label a part.")
        words, names = self.names(self.label_words), self.names(self.labels)
        if words and names and len(words) != len(names):
            raise PezError(
                f"--label-words has {len(words)} words for {len(names)} labels; give one each."
            )
        Wording.of(self.template)

    @staticmethod
    def names(text: str) -> tuple[str, ...]:
        """The parts of a list with commas."""
        return tuple(part.strip() for part in text.split(",") if part.strip())

    @property
    def wording(self) -> Wording:
        """The template, read."""
        return Wording.of(self.template)

    @property
    def prompt_template(self) -> str:
        """The prompt itself has no fixed words."""
        return "{}"

    def record(self) -> dict[str, Any]:
        """As for every search, without what does not apply, and with the identity of files."""
        skip = {*self.unused, "style"}
        out = {name: value for name, value in super().record().items() if name not in skip}
        if self.prompt is None:
            del out["prompt"]
        files = (*self.manual, self.test_file, *([self.prompt] if self.prompt else []))
        digests = {path: _digest(path) for path in files}
        if lists := {path: digest for path, digest in digests.items() if digest}:
            out["lists"] = out.get("lists", {}) | lists
        return out


def _joined(name: str, listed: Sequence[Any]) -> str:
    """A list of labels or words as a text with commas. PezError for a comma within one."""
    parts = [str(part) for part in listed]
    if bad := [part for part in parts if "," in part]:
        raise PezError(f"{name} has {bad[0]!r}; a comma separates them, so none may have one.")
    return ",".join(parts)
