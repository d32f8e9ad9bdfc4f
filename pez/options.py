"""One frozen dataclass of options a verb: what the CLI parses and a Result records."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pez.errors import PezError


def _option(default: Any, text: str, flag: str = "", metavar: str = "") -> Any:
    meta = {"help": text, "flag": flag, "metavar": metavar}
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=meta)
    return field(default=default, metadata=meta)


@dataclass(frozen=True)
class SearchOptions:
    """What every searching verb takes."""

    model: tuple[str, ...] = _option(
        (), "model to search, as architecture/pretrained, local-dir:PATH, hf-hub:NAME or a "
        "shipped name; give it several times to please several at once", metavar="NAME",
    )
    generator: str = _option(
        "", "search for a generator (sd15, sd21, sdxl, sd3, flux): picks its models", "--for", "NAME"
    )
    method: str = _option("pez", "how to search (see pez methods)", metavar="NAME")
    length: int = _option(16, "how many tokens to search", metavar="N")
    steps: int = _option(1000, "steps of one search", metavar="N")
    restarts: int = _option(1, "searches of one target from different starts; the best is kept", metavar="N")
    lr: float = _option(0.1, "learning rate", metavar="X")
    weight_decay: float = _option(0.1, "weight decay", metavar="X")
    schedule: str = _option("constant", "learning rate over the steps: constant, cosine, linear", metavar="NAME")
    batch_size: int = _option(0, "targets seen at each step when there are several; 0 is all", metavar="N")
    vocabulary: str = _option(
        "auto", "tokens that may be chosen: words, ascii, all or a file of words "
        "(auto: the model's own list, else words)", metavar="KIND|FILE",
    )
    ban: tuple[str, ...] = _option((), "a word, or a file of words, that must not appear", metavar="WORD|FILE")
    template: str = _option("{}", 'fixed words and free slots: "a photo of {} in the style of {}"', metavar="TEXT")
    init: str = _option(
        "auto", 'where to start: random, words (the best single ones), a text, or "ids:1,2,3"', metavar="START"
    )
    keep: tuple[str, ...] = _option((), "a word that must stay in the prompt", metavar="WORD")
    seed: int = _option(0, "random seed", metavar="N")
    patience: int = _option(0, "stop a search after so many steps without a better prompt; 0 never", metavar="N")
    seconds: float = _option(0.0, "longest time one search may take; 0 is no limit", metavar="S")
    rows: int = _option(0, "searches side by side; 0 lets memory decide", metavar="N")
    device: str = _option("auto", "auto, cpu, cuda, cuda:1 or mps", metavar="NAME")
    dtype: str = _option("float32", "float32, bfloat16 or float16", metavar="NAME")
    history: bool = _option(False, "record the prompt and score of every step")

    def __post_init__(self) -> None:
        """Raise PezError for numbers that make no sense."""
        for name, least in (("length", 1), ("steps", 1), ("restarts", 1), ("batch_size", 0),
                            ("patience", 0), ("rows", 0), ("seed", 0)):  # fmt: skip
            if getattr(self, name) < least:
                flag = "--" + name.replace("_", "-")
                raise PezError(f"{flag} must be {least} or more, not {getattr(self, name)}.")
        if not self.lr >= 0 or not self.weight_decay >= 0 or not self.seconds >= 0:
            raise PezError("--lr, --weight-decay and --seconds must be 0 or more.")

    def record(self) -> dict[str, Any]:
        """Those options that decide the outcome, as plain JSON values."""
        skip = {"rows", "device", "history"}
        out = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skip}
        return json.loads(json.dumps(out))

    def fingerprint(self) -> str:
        """Equal for two runs that must give the same results."""
        text = json.dumps([type(self).__name__, self.record()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class InvertOptions(SearchOptions):
    """Options of ``pez invert``."""

    together: bool = _option(False, "one prompt for all pictures: a style, a subject")


@dataclass(frozen=True)
class DistillOptions(SearchOptions):
    """Options of ``pez distill``; ``length`` 0 means by ``ratio``."""

    length: int = _option(0, "tokens of the shorter prompt; 0 goes by --ratio", metavar="N")
    ratio: float = _option(0.3, "tokens of the shorter prompt as a share of the long one's", metavar="X")

    def __post_init__(self) -> None:
        """Raise PezError for numbers that make no sense."""
        if self.length < 0:
            raise PezError(f"--length must be 1 or more, not {self.length}.")
        if not 0 < self.ratio <= 1:
            raise PezError(f"--ratio must lie above 0 and at most 1, not {self.ratio}.")


@dataclass(frozen=True)
class MixOptions(SearchOptions):
    """Options of ``pez mix``."""

    image: tuple[str, ...] = _option((), "a picture to match, with a weight: a.jpg=0.7", metavar="FILE[=W]")
    text: tuple[str, ...] = _option((), 'a text to match, with a weight: "oil painting"=0.3', metavar="TEXT[=W]")
    negative: tuple[str, ...] = _option(
        (), 'a text or picture to stay away from, with a weight: "blurry"=0.2', metavar="TEXT|FILE[=W]"
    )


def as_plain(options: SearchOptions) -> dict[str, Any]:
    """All options as a dict."""
    return asdict(options)
