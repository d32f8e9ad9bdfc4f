"""What a caller from Python gives, checked, and what the caller gets back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from pez.errors import Interrupted, PezError, PezWarning
from pez.formats.values import shown
from pez.methods.settings import as_texts
from pez.models import Reader
from pez.options import SearchOptions
from pez.result import Result
from pez.session.session import Watch, model_names

Warn = Callable[[str], None]
O = TypeVar("O", bound=SearchOptions)  # noqa: E741


def checked_reader(reader: Any, options: SearchOptions) -> Reader | None:
    """The caller's model, if one is given. PezError if it is none, or not the one that the options
    name.
    """
    if reader is None:
        return None
    if not isinstance(reader, Reader):
        raise PezError(f"reader must be a model from pez.load_model, not {shown(reader)}.")
    if options.model and (named := " + ".join(model_names(options))) != reader.name:
        raise PezError(f"reader is {reader.name}, but model names {named}; omit one of them.")
    return reader


def checked_options(kind: type[O], given: O | None, settings: dict[str, Any]) -> O:
    """The given options, or those of keyword settings. PezError for both, unknown ones and wrong
    values.
    """
    if given is not None:
        if not isinstance(given, kind):
            raise PezError(f"options must be a {kind.__name__}, not {shown(given)}.")
        if settings:
            raise PezError(f"give {sorted(settings)[0]} either in options or beside it, not both.")
        return given
    names = {field.name for field in fields(kind)}
    if unknown := set(settings) - names:
        unused = kind.unused if issubclass(kind, SearchOptions) else ()
        serving = sorted(names - set(unused))
        raise PezError(f"unknown option {sorted(unknown)[0]!r}; there are {', '.join(serving)}.")
    plain = dict(settings)
    if isinstance(plain.get("set"), str | list | dict):
        plain["set"] = as_texts(plain["set"])
    return kind(**plain)


def collect(
    names: Sequence[str], watch: Watch | None, work: Callable[[Watch], Any]
) -> list[Result | PezError]:
    """What ``work`` reports to its watch, for each of the inputs by name: a result, or why there is
    none. PezError if there is none at all, Interrupted at Ctrl-C.
    """
    given = watch or Watch()
    found: dict[int, Result | PezError] = {}

    def result(place: int, one: Result) -> None:
        found[place] = one
        if given.result:
            given.result(place, one)

    def failed(place: int, error: PezError) -> None:
        found[place] = error
        if given.failed:
            given.failed(place, error)
        else:
            warn_caller(str(error))

    several = len(names) > 1 or given.failed
    stop = given.stop
    stop.by_interrupt = True
    try:
        work(replace(given, result=result, failed=failed if several else None))
    except KeyboardInterrupt:
        stop.interrupted = True
    finally:
        stop.by_interrupt = False
    if stop.interrupted:
        stop.interrupted = False
        raise Interrupted([found.get(n) or _too_early(name) for n, name in enumerate(names)])
    if not any(isinstance(one, Result) for one in found.values()):
        errors = [one for one in found.values() if isinstance(one, PezError)]
        raise errors[0] if errors else PezError("stopped before the first prompt was found.")
    return [found.get(n) or _too_early(name) for n, name in enumerate(names)]


def _too_early(name: str) -> PezError:
    return PezError(f"stopped before a prompt was found for {name}.")


def first(results: Sequence[Result | PezError]) -> Result:
    """The only result."""
    (one,) = results
    assert isinstance(one, Result)  # else it was raised
    return one


def tell(notes: Sequence[str], warn: Warn | None) -> None:
    """Tell each of the notes once."""
    for note in dict.fromkeys(filter(None, notes)):
        if warn:
            warn(note)


def warn_caller(text: str) -> None:
    """What a caller should know though all goes on, as a PezWarning."""
    warnings.warn(text, PezWarning, stacklevel=2)


def checked_watch(given: Any) -> Watch | None:
    """The caller's watch. PezError if it is none."""
    if given is not None and not isinstance(given, Watch):
        raise PezError(f"watch must be a pez.session.session.Watch, not {shown(given)}.")
    return given


def checked_function(given: Any, what: str) -> Any:
    """A function of the caller's. PezError if it is none."""
    if given is not None and not callable(given):
        raise PezError(f"{what} must be a function of a text, not {shown(given)}.")
    return given
