"""The prompt form: the template and the words at its free places, from the options."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pez.errors import PezError
from pez.formats.prompts import refuse_file, refuse_near
from pez.methods import method_class
from pez.models import Reader
from pez.options import SearchOptions
from pez.search.init import STARTS
from pez.search.template import (
    Template,
    check_length,
    freeze,
    parse_template,
    words_in_front,
)
from pez.session.styles import style_template, styled, usual_style
from pez.session.words import kept_words, refuse_banned

USUAL = ("auto", "words")  # vocabularies in which function words are left out between commas


@dataclass(frozen=True, eq=False)
class Form:
    """Prompts of one length: their template and their start, from the options. ``words`` says
    which words fit: in ``phrases``, where each stands between commas, none such as "of"; in a
    ``sentence`` these too, though the model's own list of words may lack them. ``only`` are
    the ids (n,) that may be chosen, if not all of the session's.
    """

    template: Template
    init: str | torch.Tensor
    words: str = ""
    only: torch.Tensor | None = None


def starting_point(
    reader: Reader, options: SearchOptions, length: int
) -> tuple[Template, str | torch.Tensor]:
    """The template, and ``auto``, one of STARTS or the ids (k,) at its free places."""
    tokens, init, keep = reader.tokens, options.init, kept_words(options.keep)
    refuse_banned(tokens, keep, options.ban, "--keep")
    refuse_banned(tokens, [options.prompt_template], options.ban, "--template")
    if init in ("auto", *STARTS):
        room = length - kept_length(reader, options, length)
        if room < 1:
            raise PezError(
                f"--keep takes {length - room} tokens, which leaves none of --length {length} to "
                f"search; give --length {length - room + 1} or more, or keep fewer words."
            )
        form = _form(options, length, room, reader.limit)
        keep = [] if _in_phrases(options, length) else keep
        return parse_template(form, tokens, room, keep, reader.limit), init
    ids = _start_ids(reader, init)
    if keep:
        if options.prompt_template.strip() != "{}":
            raise PezError("--keep with a start text needs the plain template; omit one of them.")
        kept = {i for word in keep for i in tokens.encode(word)}
        missing = [w for w in keep if not set(tokens.encode(w)) <= set(ids)]
        if missing:
            raise PezError(f"--keep {missing[0]!r} is not in the start text; add it to --init.")
        check_length(len(ids), reader.limit)
        template = freeze(ids, sorted(kept))
        return template, torch.tensor([ids[n] for n in template.free.tolist()])
    form = (
        _form(options, length, length, reader.limit) if options.style else options.prompt_template
    )
    template = parse_template(form, tokens, length, (), reader.limit)
    if len(ids) > template.slots:
        raise PezError(
            f"the start has {len(ids)} tokens but only {template.slots} places are free; "
            f"give --length {len(ids)} or a shorter start."
        )
    return template, torch.tensor(ids)


def kept_length(reader: Reader, options: SearchOptions, length: int) -> int:
    """How many tokens of the ``length`` the words of ``--keep`` take, which stand in front, with
    the commas behind them if words stand between commas; none for words that the template has,
    nor with a start text, which holds them.
    """
    keep = kept_words(options.keep)
    if options.init not in ("auto", *STARTS):
        return 0
    if _in_phrases(options, length):
        return sum(len(reader.tokens.encode(phrase)) + 1 for phrase in dict.fromkeys(keep))
    return len(words_in_front(options.prompt_template, reader.tokens, keep))


def _in_phrases(options: SearchOptions, length: int) -> bool:
    return options.prompt_template.strip() == "{}" and style_of(options, length) == "phrases"


def _form(options: SearchOptions, length: int, room: int, limit: int) -> str:
    """The given template with the given style in its slots, else that of the style, for ``room``
    free tokens and the commas between them. PezError for a length beyond the model's limit.
    """
    check_length(room, limit)
    style = style_of(options, length)
    if options.prompt_template.strip() != "{}":
        return styled(options.prompt_template, style, room) if style else options.prompt_template
    if not _in_phrases(options, length):
        return style_template(style, room)
    form = style_template(style, room) if room > 2 else "{1}"
    return " , ".join([*dict.fromkeys(kept_words(options.keep)), form])


def style_of(options: SearchOptions, length: int) -> str:
    """The given style, or the method's usual one; none for a template without a given style."""
    if options.style or options.prompt_template.strip() != "{}":
        return options.style
    return usual_style(method_class(options.method).usual_style, length)


def chosen_words(options: SearchOptions, length: int, spoken: bool) -> str:
    """The ``words`` of a :class:`Form`. PezError for a sentence unless a language model reads
    prompts, that is, unless ``spoken``.
    """
    style = style_of(options, length)
    if style == "sentence" and not spoken:
        raise PezError(
            "--style sentence needs a language model that writes it; add --method sentence "
            "or --fluency."
        )
    # only words that were not chosen by the user are left out without a word
    usual = style == "sentence" or (style == "phrases" and options.vocabulary in USUAL)
    return style if usual else ""


def _start_ids(reader: Reader, init: str) -> list[int]:
    if init.startswith("ids:"):
        try:
            ids = [int(i) for i in init.removeprefix("ids:").replace(",", " ").split()]
        except ValueError:
            raise PezError(f"--init {init!r} is not a list of ids; write ids:320,539.") from None
        if bad := [i for i in ids if not 0 <= i < reader.tokens.size or i in reader.tokens.special]:
            raise PezError(f"--init names {bad[0]}, which is not a word id of this model.")
    else:
        refuse_near(init, "--init", ("auto", *STARTS))
        ids = reader.tokens.encode(refuse_file(init, "--init"))
    if not ids:
        raise PezError("--init is empty; give a text, ids, random or words.")
    return ids


def usual_start(words: int, length: int, steps: int) -> str:
    """``pursuit`` where scoring every word (three positions, forward) costs less than one search
    (forward and backward), else the paper's ``random``.
    """
    return "pursuit" if 3 * words <= 2 * steps * (length + 2) else "random"
