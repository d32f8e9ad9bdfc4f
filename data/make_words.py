"""Write data/words/english.txt: the English words and names that prompts may use.

    apt-get install scowl wordnet-base
    python data/make_words.py [--scowl FOLDER] [--wordnet FOLDER]

data/words/README.md describes the sources and why they are cut where they are.
"""

from __future__ import annotations

import argparse
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import open_clip

from pez.search.tokens import Tokens

HERE = Path(__file__).parent / "words"
SIZES = (10, 20, 35, 40, 50, 55, 60, 70)  # SCOWL's, the most common words first
SPELLINGS = ("english", "american", "british", "variant_1")
EVERYDAY, COMMON = 35, 60  # words up to these sizes: always listed; listed if whole in CLIP
NAMES = 50  # SCOWL's names up to this size are always listed
ARTISTS = {"painter", "old_master", "sculptor", "printmaker", "photographer", "architect"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scowl", type=Path, default=Path("/usr/share/dict/scowl"))
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    args = parser.parse_args()
    everyday = scowl(args.scowl, ["words"], EVERYDAY)
    common = scowl(args.scowl, ["words"], COMMON)
    names = scowl(args.scowl, ["upper", "proper-names"], NAMES)
    more_names = scowl(args.scowl, ["upper", "proper-names"], COMMON)
    artists = set(wordnet_artists(args.wordnet / "data.noun"))
    rare = (common | more_names) & clip_words()
    listed = {w for w in everyday if len(w) > 2} | {w for w in names | rare | artists if len(w) > 3}
    listed = (listed - hand_list("dropped")) | hand_list("added")
    text = "\n".join(sorted(listed))
    (HERE / "english.txt").write_text(text + "\n", encoding="utf-8")
    for name, words in (("everyday", everyday), ("names", names), ("artists", artists)):
        print(f"{name}: {len(words & listed):,}")
    print(f"less common, whole in CLIP: {len((rare & listed) - everyday - names - artists):,}")
    print(f"added by hand: {len(hand_list('added')):,}, dropped: {len(hand_list('dropped')):,}")
    print(f"in all {len(listed):,} words, {len(listed & clip_words()):,} of them whole in CLIP")


def scowl(folder: Path, kinds: Iterable[str], most: int) -> set[str]:
    """Lower-case words of SCOWL's lists up to size ``most``, without possessives and hyphens."""
    found: set[str] = set()
    for kind in kinds:
        for spelling in SPELLINGS:
            for size in SIZES:
                path = folder / f"{spelling}-{kind}.{size}"
                if size <= most and path.is_file():
                    found.update(path.read_text(encoding="latin-1").split())
    return set(plain(found))


def wordnet_artists(path: Path) -> Iterator[str]:
    """The parts, in lower case, of the names of WordNet's painters, sculptors and other artists.

    A line of data.noun (wndb(5WN)): offset, file, type, number of words (hex), each word with a
    number, number of pointers, each pointer as sign, offset, part of speech and source. ``@i``
    points from an instance to its class.
    """
    classes: set[str] = set()
    instances: list[tuple[list[str], set[str]]] = []
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):  # the licence
            continue
        fields = line.split("|")[0].split()
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        pointers = fields[5 + 2 * int(fields[3], 16) :]
        above = {
            offset
            for sign, offset in zip(pointers[::4], pointers[1::4], strict=True)
            if sign == "@i"
        }
        if ARTISTS & set(words):
            classes.add(fields[0])
        if above:
            instances.append((words, above))
    for words, above in instances:
        if above & classes:
            yield from plain(part for word in words for part in word.split("_"))


def plain(words: Iterable[str]) -> Iterator[str]:
    """The words that are letters only, in lower case, each also without its accents."""
    for word in words:
        if word.isalpha():
            yield word.lower()
            yield without_accents(word.lower())


def without_accents(word: str) -> str:
    parts = unicodedata.normalize("NFKD", word)
    return "".join(c for c in parts if not unicodedata.combining(c))


def hand_list(name: str) -> set[str]:
    """The words of added.txt or dropped.txt."""
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.split()}


def clip_words() -> set[str]:
    """The tokens of CLIP that stay whole words when typed."""
    tokens = Tokens(open_clip.SimpleTokenizer(), 77)
    return {tokens.decode([i]) for i in tokens.whole_words().tolist()}


if __name__ == "__main__":
    main()
