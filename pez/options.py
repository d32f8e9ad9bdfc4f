"""One frozen dataclass of options a verb: what the CLI parses and a Result records."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from os.path import isfile
from typing import Any, ClassVar

from pez.errors import PezError
from pez.files import MOST_TEXT, open_plain, user_path
from pez.formats.values import as_kind, check_numbers, check_range

MARGIN = 0.002  # of a cosine: what a word may add and still be called redundant
# method settings with a flag of their own; None (not given) means the method's own value
SETTINGS = ("lr", "weight_decay", "schedule", "batch_size")


def _option(
    default: Any, text: str, flag: str = "", metavar: str = "", kind: type | None = None
) -> Any:
    meta = {"help": text, "flag": flag, "metavar": metavar, "kind": kind or type(default)}
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=meta)
    return field(default=default, metadata=meta)


@dataclass(frozen=True)
class SearchOptions:
    """The options of every searching verb."""

    objective: ClassVar[str] = "match"
    usual_model: ClassVar[str] = ""  # of a verb whose models are no CLIPs
    usual_passes: ClassVar[int] = 0  # of one search, if --steps is 0; 0 is the method's own steps
    unused: ClassVar[tuple[str, ...]] = ()  # fields that a verb has no flag for

    model: tuple[str, ...] = _option(
        (),
        "model to search, as architecture/pretrained, local-dir:PATH, hf-hub:owner/name, a "
        "shipped name, or one of transformers: clip:PATH, clip:owner/name, t5:PATH, t5:owner/name "
        "(a hub id may name its revision: owner/name@revision); give it several times to search "
        "for several at once",
        metavar="NAME",
    )
    generator: str = _option(
        "",
        "search for a generator (mini-sd, sd15, sd21, sdxl, sd3, sd35, flux): picks its models",
        "--for",
        "NAME",
    )
    method: str = _option("pursuit", "how to search (see pez methods)", metavar="NAME")
    set: tuple[str, ...] = _option(
        (), "an option of the method (see pez methods)", metavar="NAME=VALUE"
    )
    length: int = _option(
        16,
        "tokens of the prompt that --template does not fix, words to keep included; auto (0) stops "
        "when more do not help",
        metavar="N|auto",
    )
    style: str = _option(
        "",
        "form of the prompt: words (in a row), phrases (words between commas), caption or sentence "
        "(by a language model: with --method sentence or vgd, or --fluency); commas and articles "
        "count for --length; with --template the form within its slots (sentence for sentence, "
        "phrases for pursuit from 7 tokens on, else words; none with --template)",
        metavar="NAME",
    )
    steps: int = _option(0, "steps of one search; 0 is the method's own number", metavar="N")
    also_negative: bool = _option(
        False, "find a negative prompt too: what the prompt says and the target does not show"
    )
    restarts: int = _option(
        1, "searches of one target from different starts; the best is kept", metavar="N"
    )
    top: int = _option(
        1,
        "prompts to give for each target, best first: those of as many restarts, without repeats",
        metavar="N",
    )
    lr: float | None = _option(
        None, "learning rate, of methods that have one (see pez methods)", "", "X", float
    )
    weight_decay: float | None = _option(
        None, "weight decay, of methods that have one (see pez methods)", "", "X", float
    )
    schedule: str | None = _option(
        None,
        "learning rate over the steps, of methods that have schedules (see pez methods): "
        "constant, cosine, linear",
        metavar="NAME",
        kind=str,
    )
    batch_size: int | None = _option(
        None,
        "targets seen at each step when there are several, of methods that can choose (see pez "
        "methods); 0 is all",
        metavar="N",
        kind=int,
    )
    vocabulary: str = _option(
        "auto",
        "tokens that may be chosen: words (whole English words and names), whole (whole words of "
        "any language, and fragments), ascii, all or a file of words (auto: the model's own "
        "list, else words)",
        metavar="KIND|FILE",
    )
    ban: tuple[str, ...] = _option(
        (), "a word, or a file of words, that must not appear", metavar="WORD|FILE"
    )
    template: str = _option(
        "{}", 'fixed words and free slots: "a photo of {} in the style of {}"', metavar="TEXT"
    )
    init: str = _option(
        "auto",
        "where to start: random, words (the best single ones), pursuit (those that match best "
        'together), a text, or "ids:1,2,3" (auto: pursuit where that is cheap, else random)',
        metavar="START",
    )
    keep: tuple[str, ...] = _option(
        (), "a word, or a file of words, that must stay in the prompt", metavar="WORD|FILE"
    )
    fluency: float = _option(
        0.0,
        "how much fluency counts: this times the language model's nats per token is "
        "subtracted from the score; try 0.03 to 0.3",
        metavar="X",
    )
    language_model: str = _option(
        "",
        "causal language model of transformers, by hub id or folder, or smollm2, that --fluency "
        "and some methods read; also reports the prompt's perplexity (mini-lm for shipped models, "
        "else distilbert/distilgpt2)",
        metavar="NAME",
    )
    seed: int = _option(0, "random seed", metavar="N")
    patience: int = _option(
        0, "stop a search after this many steps without a better prompt; 0 never", metavar="N"
    )
    seconds: float = _option(
        0.0,
        "longest time one search may take once models and pictures are loaded, the rating of words "
        "included; 0 is no limit",
        metavar="S",
    )
    rows: int = _option(0, "searches run in one batch; 0 fits the memory", metavar="N")
    device: str = _option("auto", "auto, cpu, cuda, cuda:1 or mps", metavar="NAME")
    dtype: str = _option("float32", "float32, bfloat16 or float16", metavar="NAME")
    history: bool = _option(False, "record the prompt and score of every step")

    def __post_init__(self) -> None:
        """Raise PezError for values of the wrong type or out of range."""
        for option in fields(self):
            value = getattr(self, option.name)
            if value is not None or option.default is not None:
                plain = as_kind(option.name, value, option.metadata["kind"])
                object.__setattr__(self, option.name, plain)
        least = {"restarts": 1, "top": 1}
        for name in ("length", "steps", "restarts", "top", "patience", "rows", "seed"):
            check_range(name, getattr(self, name), least.get(name, 0))
        object.__setattr__(self, "restarts", max(self.restarts, self.top))
        check_numbers({"fluency": self.fluency, "seconds": self.seconds} | self.given)

    @property
    def prompt_template(self) -> str:
        """The fixed words and free slots of the prompt itself."""
        return self.template

    @property
    def given(self) -> dict[str, Any]:
        """Those of :data:`SETTINGS` that were given, for the method."""
        values = {name: getattr(self, name) for name in SETTINGS}
        return {name: value for name, value in values.items() if value is not None}

    def record(self) -> dict[str, Any]:
        """Those options that decide the outcome, as plain JSON values, and what is in the
        word lists that they name. Those of :data:`SETTINGS` that were not given are omitted;
        :func:`pez.methods.record_of` reports what a method uses instead. So is a ``top`` of 1.
        """
        skip = {"rows", "device", "history", *SETTINGS}
        out = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skip}
        out |= self.given
        if self.top == 1:  # as results of versions without it
            del out["top"]
        named = [text.partition("=")[2].strip() for text in self.set]  # a bank, phrases
        listed = (self.vocabulary, *self.ban, *self.keep, *named)
        digests = {path: _digest(path, MOST_TEXT) for path in listed}
        if lists := {path: digest for path, digest in digests.items() if digest}:
            out["lists"] = lists
        return json.loads(json.dumps(out))

    def fingerprint(self) -> str:
        """Equal for two runs that must give the same results."""
        text = json.dumps([type(self).__name__, self.record()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class InvertOptions(SearchOptions):
    """Options of ``pez invert``."""

    together: bool = _option(False, "one prompt for all pictures: a style, a subject")
    objective: str = _option(  # type: ignore[assignment]
        "match",
        "what makes a prompt good",
        metavar="NAME",
    )


@dataclass(frozen=True)
class DistillOptions(SearchOptions):
    """Options of ``pez distill``; ``length`` 0 means by ``ratio``."""

    length: int = _option(
        0, "tokens of the shorter prompt; auto (0) means by --ratio", metavar="N|auto"
    )
    ratio: float = _option(
        0.3, "tokens of the shorter prompt as a share of the long one's", metavar="X"
    )
    readable: bool = _option(
        False,
        "a shorter prompt that reads well: --method sentence --style sentence, which need a "
        "language model (--language-model)",
    )

    def __post_init__(self) -> None:
        """Raise PezError for numbers out of range, and for a method or a style that writes no
        sentence where one is to be readable.
        """
        super().__post_init__()
        if self.readable:
            for name, usual in (("method", DistillOptions.method), ("style", "")):
                given = getattr(self, name)
                if given not in (usual, "sentence"):
                    raise PezError(
                        f"--readable writes a sentence, which --{name} {given} does not; omit one "
                        "of them."
                    )
                object.__setattr__(self, name, "sentence")
        if not 0 < self.ratio <= 1:
            raise PezError(f"--ratio must be above 0 and at most 1, not {self.ratio}.")
        if self.length and self.ratio != DistillOptions.ratio:
            raise PezError("--length and --ratio both say how long; give one of them.")

    def record(self) -> dict[str, Any]:
        """As of every search; ``readable`` only where it is asked for."""
        out = super().record()
        if not self.readable:  # as results of versions without it
            del out["readable"]
        return out


@dataclass(frozen=True)
class MixOptions(SearchOptions):
    """Options of ``pez mix``."""

    image: tuple[str, ...] = _option(
        (), "a picture to match, with a weight: a.jpg=0.7", metavar="FILE[=W]"
    )
    text: tuple[str, ...] = _option(
        (), 'a text to match, with a weight: "oil painting"=0.3', metavar="TEXT[=W]"
    )
    negative: tuple[str, ...] = _option(
        (),
        'a text or picture to stay away from, with a weight: "blurry"=0.2',
        metavar="TEXT|FILE[=W]",
    )


def _digest(path: str, most: int = 1 << 40) -> str:
    """The identity of a file's content; empty if it is not a readable file. PezError for one of
    over ``most`` bytes.
    """
    try:
        place = user_path(path)
        if not isfile(place):
            return ""
        with open_plain(place, most) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return ""


def as_plain(options: SearchOptions) -> dict[str, Any]:
    """All options as a dict."""
    return asdict(options)
