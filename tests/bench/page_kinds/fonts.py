"""The fonts that pages are set in: out of two pinned packages, so that the same pages can be made anywhere.

- matplotlib 3.10.7 brings DejaVu Sans, DejaVu Serif, DejaVu Sans Mono and STIX, which looks like Times;
- justmytype-intl-cjk 0.1.0 brings Noto Sans SC (SIL Open Font License), in every weight.

    python3 -m pip install pillow==13.0.0 numpy==2.4.6
    python3 -m pip install --no-deps matplotlib==3.10.7 justmytype-intl-cjk==0.1.0

Neither is imported: only their files are read.
"""

import functools
import importlib.util
import sys
from pathlib import Path

from PIL import ImageFont

DEJAVU = "matplotlib/mpl-data/fonts/ttf"
NOTO = "justmytype_intl_cjk/fonts/ofl/notosanssc/NotoSansSC[wght].ttf"

# By name: the file under the folder that packages are installed in, and the weight, where a font has several.
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
    """The face of that name, `pixels` high from one line's top to the next's, more or less."""
    relative, weight = FACES[name]
    # Kerning and shaping by FreeType alone: another library would set the same text a little differently.
    face = ImageFont.truetype(installed(relative), pixels, layout_engine=ImageFont.Layout.BASIC)
    if weight:
        face.set_variation_by_axes([weight])
    return face


@functools.cache
def installed(relative):
    """The path of a package's file. Ends the process with the remedy where there is none."""
    package = importlib.util.find_spec(relative.split("/")[0])
    for folder in package.submodule_search_locations if package else ():
        path = Path(folder).parent / relative
        if path.is_file():
            return str(path)
    sys.exit(
        f"the font {relative} is missing; install what brings it:\n"
        "    python3 -m pip install --no-deps matplotlib==3.10.7 justmytype-intl-cjk==0.1.0"
    )


@functools.cache
def has(name, character):
    """Whether the face draws that character, and not the sign for an unknown one."""
    face = font(name, 32)
    return character.isspace() or bytes(face.getmask(character)) != bytes(face.getmask("\U0010fffe"))
