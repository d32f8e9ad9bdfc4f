"""The demo's page: one self-contained HTML file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from pez.cli.demo.drawn import PICTURES, Drawn
from pez.cli.demo.photographs import TRIED, Found
from pez.datasets.samples import Sample


def demo_page(
    found: Sequence[Found], names: tuple[str, str], original: Sample, drawn: Sequence[Drawn]
) -> str:
    """The page as text; ``names`` are the searched model and the judge."""
    loader = FileSystemLoader(Path(__file__).parent)
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"file": _file, "picture": _picture, "signed": _signed}
    searched, judge = names
    view = {
        "found": found,
        "searched": searched,
        "judge": judge,
        "first": sum(one.prompt.rank == 1 for one in found),
        "captions_first": sum(one.caption.rank == 1 for one in found),
        "seconds": sum(one.result.seconds for one in found),
        "tried": TRIED,
        "original": original,
        "drawn": drawn,
        "pictures": PICTURES,
    }
    return made.get_template("page.html.j2").render(view)


def _file(path: Path) -> str:
    kind = "png" if path.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _picture(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _signed(value: float) -> str:
    """With three decimals and a real minus sign."""
    return f"{value:+.3f}".replace("-", "−")
