"""What a search returns; JSON in and out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pez.formats.documents import as_json


@dataclass(frozen=True)
class Result:
    """One found prompt.

    ``ids`` and ``score`` are of the returned text: tokenised afresh and read by the model's
    whole plain forward. The score is a cosine (of ``classify`` minus a loss, see
    :mod:`pez.objectives.labels`); for several targets the sum of weight times cosine,
    divided by the sum of the weights above 0, so that with targets to avoid it may be above 1.
    ``targets`` names what was matched; ``steps`` are those of the winning
    row. ``seconds`` are this prompt's share of the time, from the reading of its target on: what
    several prompts share is divided among them, so that the seconds of a run's results add up to
    the time it took after its models were loaded (with workers, to the sum of theirs).

    ``passes`` counts the text-tower passes of all restarts that were done. Passes before the first
    step (rating words or a bank) count in full for each prompt of a batch that shares them; words
    whose features an earlier search or run left in the cache are counted apart, as ``cached``, as
    are forward passes of a method's draft, as ``draft``, and passes of a language model in the
    search, as ``language``. ``options`` are those of the search, with
    the method's effective settings under ``settings``. ``notes`` say what of the target the model
    did not read.

    ``alternatives`` are the best prompts of different restarts, best first, this one included, each
    as ``{"prompt": ..., "score": ...}`` and scored as it is: as many as ``top`` asks for, fewer if
    restarts found the same; none if it asks for one.

    ``figures`` are what else was measured of the prompt and beside it, such as how well it
    classifies (:mod:`pez.session.classifying`); none for most verbs.

    A soft prompt has no text: ``prompt`` and ``score`` are then of the nearest words, while
    ``soft_score`` is what the ``embeddings`` themselves reach, one tensor (k, w) a model for
    the free places. They are in memory only; :func:`pez.session.embeddings.save_embeddings` writes
    them.
    """

    prompt: str
    ids: list[int]
    score: float
    model: str
    method: str
    targets: list[str]
    steps: int
    seconds: float
    seed: int
    key: str = ""  # identity of the target, by content
    passes: dict[str, int] = field(default_factory=dict)  # forward, backward, and others
    options: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, str] | None = None  # name -> hash of each model's; None in older files
    history: list[dict[str, Any]] | None = None
    interrupted: bool = False  # the search was stopped before its budget
    finished: float = 0.0  # when, in seconds since 1970
    soft_score: float | None = None  # of continuous embeddings, not of the prompt
    negative: str | None = None  # the negative prompt, with --also-negative
    perplexity: float | None = None  # of the prompt, by a language model if one was named
    notes: list[str] = field(default_factory=list)
    alternatives: list[dict[str, Any]] = field(default_factory=list)  # prompt and score
    figures: dict[str, Any] = field(default_factory=dict)
    embeddings: tuple[Any, ...] | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> str:
        """One line; ``history`` only if it was recorded, never the embeddings."""
        fields = asdict(replace(self, embeddings=None))
        del fields["embeddings"]
        for name in ("weights", "history", "soft_score", "negative", "perplexity"):
            if fields[name] is None:
                del fields[name]
        for name in ("notes", "alternatives", "figures"):
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Result:
        """The inverse of :meth:`to_json`. ValueError or TypeError for any other line."""
        found = as_json(line, constants=True)  # a perplexity may be infinite
        if not isinstance(found, dict) or "embeddings" in found:
            raise ValueError("it is not an object of a result")
        result = cls(**found)
        for name, kind in _KINDS.items():
            value = getattr(result, name)
            number = kind in (int, float) and isinstance(value, bool)
            if number or not isinstance(value, (int, float) if kind is float else kind):
                raise ValueError(f"its {name} is of another type")
        for name, kind in _KINDS_OR_NONE.items():
            if not isinstance(getattr(result, name), kind | None):
                raise ValueError(f"its {name} is of another type")
        if not all(isinstance(target, str) for target in result.targets):
            raise ValueError("its targets are no texts")
        if not all(map(_is_alternative, result.alternatives)):
            raise ValueError("its alternatives are no prompts with scores")
        return result


def _is_alternative(found: Any) -> bool:
    """Whether it is a prompt with its score."""
    if not isinstance(found, dict) or found.keys() != {"prompt", "score"}:
        return False
    score = found["score"]
    is_number = isinstance(score, int | float) and not isinstance(score, bool)
    return isinstance(found["prompt"], str) and is_number


_KINDS: dict[str, type] = {
    **dict.fromkeys(("prompt", "model", "method", "key"), str),
    **dict.fromkeys(("ids", "targets", "alternatives"), list),
    **dict.fromkeys(("score", "seconds", "finished"), float),
    **dict.fromkeys(("steps", "seed"), int),
    **{"passes": dict, "options": dict, "figures": dict, "interrupted": bool},
}
_KINDS_OR_NONE: dict[str, Any] = {
    **{"weights": dict, "history": list, "negative": str},
    **dict.fromkeys(("soft_score", "perplexity"), float | int),
}
