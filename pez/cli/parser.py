"""The verbs and their options, built without loading torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, NoReturn

from pez.cli.generate_arguments import add_attention, add_generate
from pez.cli.look_arguments import add_explain, add_neighbours, add_score, add_tokens
from pez.cli.serve_arguments import add_serve
from pez.errors import PezError
from pez.generation.options import GenerateOptions
from pez.objectives import about
from pez.options import DistillOptions, InvertOptions, MixOptions, SearchOptions
from pez.session.classify_options import ClassifyOptions
from pez.version import __version__
from pez.workers.choose import add_workers

EXAMPLES = """examples:
  pez demo                                  try it, offline, on shipped photographs
  pez invert cat.jpg                        a prompt for a picture
  pez invert photos/ --output prompts.jsonl a folder; resumes where it stopped
  pez invert a.jpg b.jpg --together --template "a tiger in the style of {}"
  pez distill "a long prompt ..." --ratio 0.3
  pez mix --image a.jpg=0.7 --text "oil painting"=0.3 --negative blurry=0.2
  pez generate "a red boot" --generator mini-sd
  pez classify reviews.csv --labels negative,positive --shots 16
  pez score cat.jpg "a photo of a cat" "a dog"
  pez explain cat.jpg "a photo of a cat"    what each word adds
"""


class _Given(argparse.Action):
    """The value of an option. PezError for an empty one, as of a shell's variable that is not set:
    ``--output "$FILE"`` would keep nothing. A text to avoid may be none.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Set it."""
        if option_string and self.dest != "negative" and not str(values).strip():
            raise PezError(
                f"{option_string} has an empty value; give one, or omit {option_string}."
            )
        setattr(namespace, self.dest, self.joined(getattr(namespace, self.dest, None), values))

    def joined(self, before: Any, value: Any) -> Any:
        """The value of an option that is given once."""
        return value


class _Added(_Given):
    """An option that may be given several times: the list of its values."""

    def joined(self, before: Any, value: Any) -> Any:
        """The list with one more."""
        return [*(before or ()), value]


class _Parser(argparse.ArgumentParser):
    """Reports a usage error like any bad input: in one sentence, without a page of options."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.register("action", None, _Given)
        self.register("action", "append", _Added)

    def error(self, message: str) -> NoReturn:
        raise PezError(f"{message}; see {self.prog} --help.")


def make_parser() -> argparse.ArgumentParser:
    """All verbs and their options; built without loading torch."""
    parser = _Parser(
        prog="pez",
        description="Prompts you can read, found by gradient.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pez {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")

    def verb(name: str, text: str, run: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=_lazy(run))
        return sub

    invert = verb("invert", "a readable prompt for a picture, a folder or a style", "invert")
    invert.add_argument(
        "sources",
        nargs="+",
        metavar="IMAGE|FOLDER|URL|-",
        help="pictures (- is stdin), folders of them and addresses",
    )
    _add_options(invert, InvertOptions)
    add_workers(invert)
    _add_files(_add_output(invert))
    distill = verb("distill", "a shorter prompt that means the same to the model", "distill")
    distill.add_argument(
        "text",
        metavar="TEXT|FILE|-",
        help="a text, or a file or stdin: one a line, or JSON lines or CSV with a prompt",
    )
    _add_options(distill, DistillOptions)
    add_workers(distill)
    _add_output(distill)
    mix = verb("mix", "one prompt from several pictures and texts by weight", "mix")
    _add_options(mix, MixOptions)
    _add_output(mix)
    classify = verb("classify", "a prompt that makes a language model label texts", "classify")
    classify.add_argument(
        "data",
        metavar="DATA",
        help="CSV, TSV, JSON lines or parquet with a text and a label in each row, or sst2, "
        "ag_news or amazon_polarity of the hub",
    )
    _add_options(classify, ClassifyOptions)
    _add_output(classify)
    add_score(verb("score", "the cosine of each prompt with a picture", "score"))
    add_explain(verb("explain", "what each word of a prompt adds to its score", "explain"))
    add_tokens(
        verb(
            "tokens",
            "how the tokenizer splits a text into tokens and chunks, and what exceeds the limit",
            "tokens",
        )
    )
    near = "the tokens nearest to words in the embedding space"
    add_neighbours(verb("neighbours", near, "neighbours"))
    models = verb("models", "models that can be searched", "models")
    models.add_argument("--json", action="store_true", help="one JSON object a line")
    methods = verb("methods", "ways to search", "methods")
    methods.add_argument("--json", action="store_true", help="one JSON object a line")
    datasets = verb("datasets", "data sets that can be evaluated on", "datasets")
    datasets.add_argument("--json", action="store_true", help="one JSON object a line")
    generate = verb("generate", "pictures of prompts, by any diffusers pipeline", "generate")
    add_generate(generate, lambda: _add_options(generate, GenerateOptions, "drawing"))
    attention = verb(
        "attention", "where in a drawn picture each word of its prompt is attended to", "attention"
    )
    add_attention(attention, lambda: _add_options(attention, GenerateOptions, "drawing"))
    from pez.cli.evaluate_arguments import add_evaluate, add_report, add_similarity

    add_evaluate(verb("evaluate", "carry out a plan: methods, pictures, scores", "evaluate"))
    add_similarity(verb("similarity", "how similar two pictures are under a judge", "similarity"))
    add_report(verb("report", "a page of what pez evaluate measured, and its tables", "report"))
    add_serve(verb("serve", "a page in the browser that does all this", "serve"))
    comfy = verb("comfy", "put the nodes of pez into a ComfyUI", "comfy")
    comfy.add_argument("folder", metavar="FOLDER", help="of ComfyUI, or its custom_nodes")
    demo = verb("demo", "invert shipped photographs with a shipped model, offline", "demo")
    demo.add_argument("--output", default="pez-demo", metavar="FOLDER", help="where the page goes")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="which drawn picture (0)")
    return parser


def _lazy(name: str) -> Callable[[argparse.Namespace], int]:
    """The function ``name`` of pez.cli.commands, imported only when it runs."""

    def run(args: argparse.Namespace) -> int:
        from pez.cli import commands

        return getattr(commands, name)(args)

    return run


def _add_options(
    parser: argparse.ArgumentParser,
    kind: type[SearchOptions | GenerateOptions],
    title: str = "search",
) -> None:
    """One flag for each field of an options dataclass."""
    group = parser.add_argument_group(title)
    unused = kind.unused if issubclass(kind, SearchOptions) else ()
    for field in fields(kind):
        if field.name in unused:
            continue
        default = field.default if field.default is not MISSING else ()
        flag = field.metadata["flag"] or "--" + field.name.replace("_", "-")
        text, metavar = field.metadata["help"], field.metadata["metavar"] or None
        text += f": {about()}" if field.name == "objective" else ""
        if isinstance(default, tuple):
            group.add_argument(flag, dest=field.name, action="append", metavar=metavar, help=text)
        elif default is False:
            group.add_argument(flag, dest=field.name, action="store_true", help=text)
        else:
            shown = f"{text} ({default})" if default not in (None, "", 0, 0.0) else text
            group.add_argument(
                flag,
                dest=field.name,
                type=length if field.name == "length" else field.metadata["kind"],
                default=default,
                metavar=metavar,
                help=shown,
            )


def length(text: str) -> int:
    """A number of tokens; ``auto`` is 0."""
    return 0 if text == "auto" else int(text)


def _add_output(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json", action="store_true", help="one JSON object a line instead of the prompt"
    )
    group.add_argument(
        "--output",
        default="",
        metavar="FILE",
        help="also append results to this file, as JSON lines",
    )
    group.add_argument(
        "--output-embeddings",
        default="",
        metavar="FILE",
        help="also write the embeddings of --method soft, as a textual-inversion file "
        "(safetensors); for several inputs a folder of one file each, named after its picture",
    )
    group.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    return group


def _add_files(group: argparse._ArgumentGroup) -> None:
    """What is written of pictures."""
    group.add_argument(
        "--csv",
        default="",
        metavar="FILE",
        help="also write image, prompt and score to this table; a row for each prompt of --top",
    )
    group.add_argument(
        "--txt",
        action="store_true",
        help="also write each prompt as NAME.txt beside its picture, as captions for training",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="--txt replaces what another run or you wrote"
    )
