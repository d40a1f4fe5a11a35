"""The fonts of the pages, from two pinned packages, so that pages are reproducible on every machine.

- matplotlib 3.10.7 has DejaVu Sans, DejaVu Serif, DejaVu Sans Mono and STIX, which resembles Times;
- justmytype-intl-cjk 0.1.0 has Noto Sans SC (SIL Open Font License), in every weight.

    python3 -m pip install pillow==13.0.0 numpy==2.4.6
    python3 -m pip install --no-deps matplotlib==3.10.7 justmytype-intl-cjk==0.1.0

The packages are not imported: only their font files are read.
"""

import functools
import importlib.util
import sys
from pathlib import Path

from PIL import ImageFont

DEJAVU = "matplotlib/mpl-data/fonts/ttf"
NOTO = "justmytype_intl_cjk/fonts/ofl/notosanssc/NotoSansSC[wght].ttf"

# By name: the path below site-packages, and the weight of a variable font.
FACES = {
    "sans": (f"{DEJAVU}/DejaVuSans.ttf", None),
    "bold": (f"{DEJAVU}/DejaVuSans-Bold.ttf", None),
    "serif": (f"{DEJAVU}/DejaVuSerif.ttf", None),
    "mono": (f"{DEJAVU}/DejaVuSansMono.ttf", None),
    "times": (f"{DEJAVU}/STIXGeneral.ttf", None),
    "italic": (f"{DEJAVU}/STIXGeneralItalic.ttf", None),
    "chinese": (NOTO, 400),
    "chinese light": (NOTO, 300),
    "chinese bold": (NOTO, 700),
}


@functools.cache
def font(name, pixels):
    """Returns the font with this name, with a line height of about `pixels`."""
    relative, weight = FACES[name]
    # The basic layout engine of FreeType: another one would place the same text a little differently.
    face = ImageFont.truetype(installed(relative), pixels, layout_engine=ImageFont.Layout.BASIC)
    if weight:
        face.set_variation_by_axes([weight])
    return face


@functools.cache
def installed(relative):
    """Returns the path of a package's file. Exits with installation instructions if it is missing."""
    package = importlib.util.find_spec(relative.split("/")[0])
    for folder in package.submodule_search_locations if package else ():
        path = Path(folder).parent / relative
        if path.is_file():
            return str(path)
    sys.exit(
        f"the font {relative} is missing; install it with:\n"
        "    python3 -m pip install --no-deps matplotlib==3.10.7 justmytype-intl-cjk==0.1.0"
    )


@functools.cache
def has(name, character):
    """Whether the font has a glyph for this character."""
    face = font(name, 32)
    return character.isspace() or bytes(face.getmask(character)) != bytes(face.getmask("\U0010fffe"))
