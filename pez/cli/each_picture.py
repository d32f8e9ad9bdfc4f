"""``pez generate FILE --image FOLDER``: each prompt of a file, drawn from the picture it is of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pez.errors import PezError
from pez.files import user_path
from pez.formats.pictured import read_pictured
from pez.formats.prompts import file_or_text
from pez.generation.options import GenerateOptions
from pez.generation.painter import Painter
from pez.generation.pipelines import open_painter, with_options


def by_picture(sources: Sequence[str], folder: str) -> dict[Path, list[str]]:
    """The prompts of files by their pictures, which are those of the same path or name in
    ``folder``. PezError for a text that is no file, and for a picture that the folder does not
    have.
    """
    found: dict[Path, list[str]] = {}
    held = user_path(folder)
    for source in sources:
        file = file_or_text(source, "")
        if file is None:
            raise PezError(
                f"--image {folder} is a folder, for a file of prompts with a picture each; give "
                "such a file, or one picture as --image."
            )
        for prompt, name, where in read_pictured(file):
            parts = Path(name).parts  # as much of the path as the folder has: names may repeat
            places = (held.joinpath(*parts[n:]) for n in range(len(parts)))
            picture = next((place for place in places if place.is_file()), None)
            if picture is None:
                raise PezError(f"{where}: its picture {name} is not in {folder}; put it there.")
            found.setdefault(picture, []).append(prompt)
    return found


def opener() -> Callable[[GenerateOptions], Painter]:
    """Opens a generator once; with other pictures it is the same models."""
    held: list[Painter] = []

    def opened(options: GenerateOptions) -> Painter:
        held[:] = [with_options(held[0], options) if held else open_painter(options)]
        return held[0]

    return opened


def with_picture(options: GenerateOptions, picture: Path) -> GenerateOptions:
    """The options for one of the pictures."""
    return replace(options, image=str(picture))
