"""The synthetic world on which the small shipped models are trained.

A scene is one or two things (colour emoji of Debian's ``fonts-noto-color-emoji``)
before a background, drawn in one of seven styles at 64 x 64 pixels, with captions
from several grammars. Everything is a pure function of a ``numpy`` generator.

`pictures.py` draws the scenes.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

SIZE = 64  # pixels a side

# emoji and the names a caption may use; the first is the thing's own name
THINGS_TABLE = """
🐶 dog puppy|🐱 cat kitten|🐭 mouse|🐰 rabbit bunny|🦊 fox|🐻 bear|🐼 panda
🐯 tiger|🦁 lion|🐮 cow|🐷 pig|🐸 frog|🐵 monkey|🐔 chicken
🐧 penguin|🦆 duck|🦅 eagle|🦉 owl|🦇 bat|🐴 horse|🦄 unicorn
🐝 bee|🦋 butterfly|🐌 snail|🐞 ladybug|🕷️ spider|🐢 turtle|🐍 snake serpent
🐙 octopus|🦀 crab|🐠 fish|🐬 dolphin|🐳 whale|🦈 shark|🐊 crocodile
🦓 zebra|🐘 elephant|🦏 rhino|🐪 camel|🦒 giraffe|🦘 kangaroo|🐑 sheep lamb
🦢 swan|🦩 flamingo|🐿️ squirrel|🐉 dragon|🦕 dinosaur|🌵 cactus|🌲 pine
🌴 palm|🍁 maple|🍄 mushroom|🌹 rose|🌷 tulip|🌻 sunflower|🎃 pumpkin
🍎 apple|🍐 pear|🍋 lemon|🍌 banana|🍉 watermelon|🍇 grapes|🍓 strawberry
🍒 cherry|🍍 pineapple|🥝 kiwi|🍅 tomato|🍆 eggplant|🥑 avocado|🥦 broccoli
🌽 corn|🥕 carrot|🥐 croissant|🥨 pretzel|🧀 cheese|🥞 pancakes|🍔 burger hamburger
🍟 fries|🍕 pizza|🌮 taco|🍿 popcorn|🍣 sushi|🍩 donut doughnut|🍪 cookie biscuit
🎂 cake|🍫 chocolate|🍯 honey|☕ coffee|🍷 wine|🍺 beer|🚗 car automobile
🚕 taxi cab|🚌 bus|🚑 ambulance|🚜 tractor|🏍️ motorcycle|🚲 bicycle bike|🚂 train
✈️ airplane plane|🚁 helicopter|🚀 rocket|⛵ boat yacht|🚢 ship|⚓ anchor|🏠 house home
🏰 castle|⛺ tent|⛪ church|🌋 volcano|⌚ watch|💻 laptop|📷 camera
📺 television|📻 radio|⏰ clock|💡 bulb|🕯️ candle|📚 books|✂️ scissors
🔑 key|🧲 magnet|🎈 balloon|🎁 gift present|🎸 guitar|🎹 piano|🎺 trumpet
🎻 violin|🥁 drum|⚽ football|🏀 basketball|🏆 trophy|👑 crown|💍 ring
💎 diamond|👓 glasses|👕 shirt|👗 dress|👢 boot|🎒 backpack|☂️ umbrella
🎩 hat|🧣 scarf|🧤 gloves|🧦 socks|🪑 chair|🛏️ bed|🛁 bathtub
🤖 robot|👻 ghost|👽 alien|💀 skull|⛄ snowman|🎅 santa|🤡 clown
❤️ heart|⭐ star|🌈 rainbow|🔥 fire flames|🌍 globe earth|🪁 kite|🧩 puzzle
🧺 basket|🛡️ shield|🗡️ dagger|💣 bomb|🐚 shell|🦷 tooth|🧠 brain
""".replace("\n", "|")
THINGS: dict[str, str] = {}  # name -> emoji
NAMES: dict[str, tuple[str, ...]] = {}  # name -> every word a caption may use
for _entry in filter(None, (e.strip() for e in THINGS_TABLE.split("|"))):
    _char, *_words = _entry.split()
    THINGS[_words[0]] = _char
    NAMES[_words[0]] = tuple(_words)

# plain colours: RGB in 0..255
COLOURS = {
    "red": (205, 45, 45),
    "orange": (240, 140, 40),
    "yellow": (245, 220, 70),
    "green": (60, 165, 75),
    "blue": (50, 90, 205),
    "purple": (130, 65, 165),
    "pink": (245, 160, 195),
    "brown": (125, 85, 55),
    "gray": (135, 135, 138),
    "white": (246, 246, 246),
}
PLACES = {  # background scenes and the words for them
    "sky": ("sky", "clouds"),
    "sea": ("sea", "ocean", "waves"),
    "grass": ("grass", "meadow", "lawn"),
    "night": ("night", "stars", "midnight"),
    "sand": ("sand", "desert", "dunes"),
    "snow": ("snow", "winter"),
    "sunset": ("sunset", "dusk"),
    "forest": ("forest", "woods"),
}
BACKGROUNDS: dict[str, tuple[str, ...]] = {c: (c,) for c in COLOURS} | PLACES
BACKGROUNDS["gray"] = ("gray", "grey")
STYLES = {
    "photo": ("photo", "photograph", "photography"),
    "watercolor": ("watercolor", "watercolour"),
    "sketch": ("sketch", "pencil", "drawing"),
    "pixel": ("pixel", "pixels"),
    "neon": ("neon", "glowing"),
    "vintage": ("vintage", "retro"),
    "oil": ("oil", "canvas"),
}
STYLE_PHRASES = {
    "photo": ("photo", "photograph", "colour photo", "photography"),
    "watercolor": ("watercolor", "watercolour painting", "watercolor painting"),
    "sketch": ("sketch", "pencil sketch", "pencil drawing", "drawing"),
    "pixel": ("pixel art", "pixel picture", "pixels"),
    "neon": ("neon art", "neon sign", "glowing neon", "glowing picture"),
    "vintage": ("vintage picture", "retro poster", "vintage print", "vintage postcard"),
    "oil": ("oil painting", "oil on canvas", "canvas painting"),
}
SIZES = {"small": ("small", "tiny", "little"), "large": ("large", "big", "huge")}
SPOTS = {"left": ("left",), "right": ("right",), "top": ("top",), "bottom": ("bottom",)}
FILLERS = [
    "a",
    "the",
    "of",
    "in",
    "on",
    "and",
    "with",
    "at",
    "by",
    "very",
    "nice",
    "style",
    "picture",
    "image",
    "art",
    "background",
    "beautiful",
    "scene",
    "one",
    "two",
    "this",
    "some",
    "single",
    "plain",
    "painting",
    "print",
    "poster",
]


@dataclass(frozen=True)
class Scene:
    """What a picture shows: the ground truth for its captions."""

    things: tuple[str, ...]  # one or two names of THINGS
    background: str
    style: str
    size: str = ""  # "", "small" or "large": of a single thing
    spot: str = ""  # "", "left", "right", "top" or "bottom": of a single thing

    def words(self) -> dict[str, tuple[str, ...]]:
        """Attribute -> every word that truly describes this scene."""
        return {
            "thing": tuple(w for t in self.things for w in NAMES[t]),
            "background": BACKGROUNDS[self.background],
            "style": STYLES[self.style],
            "size": SIZES.get(self.size, ()),
            "spot": SPOTS.get(self.spot, ()),
        }


def sample_scene(rng: Generator, two: float = 0.25) -> Scene:
    """Draw a scene; ``two`` is the share of scenes with two things."""
    names = list(THINGS)
    background = pick(rng, list(BACKGROUNDS))
    style = pick(rng, list(STYLES))
    if rng.random() < two:
        a, b = rng.choice(len(names), 2, replace=False)
        return Scene((names[a], names[b]), background, style)
    thing = names[rng.integers(len(names))]
    size = pick(rng, ["", "small", "large"])
    spot = "" if size == "large" else pick(rng, ["", "", "left", "right", "top", "bottom"])
    return Scene((thing,), background, style, size, spot)


def caption(scene: Scene, rng: Generator) -> str:
    """One caption of ``scene`` from a random grammar: a sentence or, one time in five, keywords."""
    return keywords(scene, rng) if rng.random() < 0.2 else sentence(scene, rng)


def sentence(scene: Scene, rng: Generator) -> str:
    """A caption in one of several sentence forms."""
    things = [pick(rng, NAMES[t]) for t in scene.things]
    background = pick(rng, BACKGROUNDS[scene.background])
    size = pick(rng, SIZES[scene.size]) if scene.size and rng.random() < 0.5 else ""
    spot = pick(rng, SPOTS[scene.spot]) if scene.spot and rng.random() < 0.5 else ""
    style = pick(rng, STYLE_PHRASES[scene.style])
    nouns = [f"{_article(w, rng)} {w}" for w in things]
    if size:
        nouns[0] = f"a {size} {things[0]}"
    subject = nouns[0]
    if len(nouns) == 2:
        subject += pick(rng, (" and ", " next to ", " with ", " beside ")) + nouns[1]
    if scene.background in COLOURS:
        where = pick(rng, (f"on a {background} background", f"on {background}"))
        where = pick(rng, (where, f"in front of a {background} wall", f"{background} background"))
    elif scene.background in ("sky", "sunset", "night", "forest", "snow"):
        where = f"{pick(rng, ('in the', 'against the', 'in'))} {background}"
    else:
        where = f"{pick(rng, ('on the', 'in the', 'by the'))} {background}"
    if spot:
        where = f"{pick(rng, ('on the', 'at the'))} {spot} {where}"
    forms = (
        f"a {style} of {subject} {where}",
        f"{subject} {where}, {style}",
        f"{style} of {subject}, {where}",
        f"{subject} {where} in {style} style",
        f"{style}: {' and '.join(things)} {where}",
        f"{where} {subject}, a {style}",
    )
    return pick(rng, forms)


def keywords(scene: Scene, rng: Generator, fillers: int = 3) -> str:
    """True words of ``scene`` in random order, mixed with up to ``fillers`` filler words."""
    words = scene.words()
    chosen = [pick(rng, NAMES[t]) for t in scene.things]
    chosen += [pick(rng, words["background"]), pick(rng, words["style"])]
    chosen += [pick(rng, words[k]) for k in ("size", "spot") if words[k] and rng.random() < 0.4]
    while rng.random() < 0.35:  # more words for something already named, as in searched prompts
        chosen.append(pick(rng, words[pick(rng, ["thing", "background", "style"])]))
    chosen += [pick(rng, FILLERS) for _ in range(rng.integers(fillers + 1))]
    rng.shuffle(chosen)
    return pick(rng, (" ", " ", ", ")).join(chosen)


def wrong_caption(scene: Scene, rng: Generator) -> str:
    """A hard negative: a caption or word list with one or two attributes replaced."""
    kind = rng.random()
    things, background, style = list(scene.things), scene.background, scene.style
    if kind < 0.6 or kind > 0.92:
        things[rng.integers(len(things))] = _other(rng, list(THINGS), scene.things)
    if 0.6 <= kind < 0.76 or kind > 0.96:
        background = _other(rng, list(BACKGROUNDS), (background,))
    if kind >= 0.76:
        style = _other(rng, list(STYLES), (style,))
    other = Scene(tuple(things), background, style, scene.size, scene.spot)
    if rng.random() < 0.5:
        return caption(other, rng)
    text = keywords(other, rng)
    if rng.random() < 0.3:  # a right word beside the wrong one does not make it right
        text += " " + pick(rng, list(THINGS))
    return text


def all_words() -> list[str]:
    """Every word a caption can contain, sorted."""
    words: set[str] = set(FILLERS) | {"an", "to", "next", "beside", "front", "wall", "against"}
    for table in (NAMES, BACKGROUNDS, STYLES, STYLE_PHRASES, SIZES, SPOTS):
        for phrases in table.values():
            words.update(w for phrase in phrases for w in phrase.split())
    return sorted(words)


def pick(rng: Generator, options):
    """One of ``options``."""
    return options[int(rng.integers(len(options)))]


def _other(rng: Generator, options: list[str], but: tuple[str, ...]) -> str:
    return pick(rng, [o for o in options if o not in but])


def _article(word: str, rng: Generator) -> str:
    if rng.random() < 0.15:
        return "the"
    return "an" if word[0] in "aeiou" else "a"
