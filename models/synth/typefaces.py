"""Which free typefaces may stand for a plate's lettering, and where they come from.

Two sources: Debian's font packages (installed by firmware_scripts/workstation.sh) and packages of the npm registry that
carry one open family each (`python -m models.synth.typefaces` brings them into build/fonts).  All are free; none is
committed.  Faces named in HELD_OUT are never trained with: they measure how well reading carries over to new lettering.
"""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path

from models.train.places import BUILD

FONTS = BUILD.parent / "fonts"
DEBIAN_PLATE = (
    "RG2014B.ttf", "RG2014C.ttf", "RG2014D.ttf", "RG2014E.ttf", "OSP-DIN.ttf", "osifont.ttf",
    "DejaVuSansCondensed-Bold.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansCondensed.ttf",
    "LiberationSansNarrow-Bold.ttf", "LiberationSansNarrow-Regular.ttf", "LiberationSans-Bold.ttf",
    "LiberationMono-Bold.ttf", "NotoSans-Bold.ttf", "NotoSansMono-Bold.ttf", "NotoSansDisplay-Bold.ttf",
    "NotoSans-Regular.ttf", "BebasNeue-Regular.otf", "BebasNeue.otf", "Inter-Bold.otf", "Inter-SemiBold.otf",
    "Play-Bold.ttf", "B612-Bold.ttf", "Roboto-Bold.ttf", "RobotoCondensed-Bold.ttf", "RobotoCondensed-Regular.ttf",
    "Roboto-Medium.ttf", "LeagueMono-Bold.otf", "LeagueMono-CondensedBold.otf", "Dosis-Bold.otf",
    "Dosis-SemiBold.otf", "Comfortaa-Bold.ttf", "Lato-Bold.ttf", "Cantarell-Bold.otf", "OpenSans-CondBold.ttf",
    "YanoneKaffeesatz-Bold.otf", "AveriaSansGWF-Bold.ttf", "FreeSansBold.ttf", "OpenSans-Semibold.ttf",
    "NationalPark-Heavy.otf", "NationalPark-Regular.otf", "NimbusSans-Bold.otf", "NimbusSansNarrow-Bold.otf",
    "NimbusSansNarrow-Regular.otf", "Jura-Bold.otf", "Jura-SemiBold.otf", "Cabin-Bold.otf", "Hack-Bold.ttf",
    "JetBrainsMono-Bold.ttf", "FiraCode-Bold.ttf", "Karla-Bold.otf", "Manrope-Bold.ttf", "Mplus1Code-Bold.otf",
    "MplusCode50-Bold.otf", "Quicksand-Bold.ttf", "routed-gothic.ttf", "routed-gothic-narrow.ttf",
)  # fmt: skip
DEBIAN_ARABIC = (
    "Amiri-Bold.ttf", "Amiri-Regular.ttf", "KacstOne-Bold.ttf", "KacstOne.ttf", "KacstBook.ttf", "KacstOffice.ttf",
    "KacstScreen.ttf", "KacstTitle.ttf", "KacstNaskh.ttf", "KacstPoster.ttf", "NotoNaskhArabic-Bold.ttf",
    "NotoNaskhArabic-Regular.ttf", "NotoSansArabic-Bold.ttf", "NotoSansArabic-Regular.ttf", "NotoKufiArabic-Bold.ttf",
    "DejaVuSans-Bold.ttf", "DejaVuSans.ttf",
)  # fmt: skip
DEBIAN_WORD = ("LiberationSerif-Italic.ttf", "LiberationSans-BoldItalic.ttf", "DejaVuSerif.ttf", "DejaVuSans.ttf")
NPM_SCOPE = "@fontsource/"
NPM_PLATE = (
    "barlow", "barlow-condensed", "barlow-semi-condensed", "oswald", "saira", "saira-condensed",
    "saira-extra-condensed", "saira-semi-condensed", "rajdhani", "overpass", "share-tech", "antonio",
    "archivo-narrow", "teko", "fjalla-one", "pathway-gothic-one", "roboto-condensed", "big-shoulders-display",
    "chakra-petch", "khand", "pragati-narrow", "staatliches", "anton", "league-gothic",
    "ubuntu-condensed", "sofia-sans-extra-condensed", "sofia-sans-condensed", "encode-sans-condensed",
    "fira-sans-condensed", "fira-sans-extra-condensed", "asap-condensed", "ibm-plex-sans-condensed",
    "economica", "abel", "mohave", "monda", "electrolize", "russo-one", "titillium-web", "exo-2",
    "viga", "rubik", "varela-round", "nunito", "m-plus-rounded-1c",
)  # fmt: skip
NPM_ARABIC = (
    "cairo", "tajawal", "almarai", "changa", "reem-kufi", "el-messiri", "lalezar", "markazi-text", "noto-kufi-arabic",
    "ibm-plex-sans-arabic", "harmattan", "lateef", "vazirmatn", "scheherazade-new", "mada", "aref-ruqaa",
    "baloo-bhaijaan-2", "readex-pro",
)  # fmt: skip
WEIGHTS = ("500", "600", "700", "800")
SINGLE_WEIGHT = "400"
HELD_OUT = ("titillium-web", "big-shoulders-display", "asap-condensed", "RG2014D.ttf", "DejaVuSansMono-Bold.ttf",
            "OSP-DIN.ttf", "LiberationSansNarrow-Bold.ttf", "el-messiri", "NotoSansArabic-Bold.ttf")  # fmt: skip


def is_held_out(face: Path) -> bool:
    """True where the face measures and is not trained with."""
    return face.name in HELD_OUT or any(face.name.startswith(f"{family}-") for family in HELD_OUT)


def fetched(families: tuple[str, ...], subset: str) -> list[Path]:
    """The files of these npm families that were brought here: the heavier weights, or the only one there is."""
    found: list[Path] = []
    for family in families:
        named = {weight: FONTS / f"{family}-{subset}-{weight}-normal.woff" for weight in (*WEIGHTS, SINGLE_WEIGHT)}
        heavy = [named[weight] for weight in WEIGHTS if named[weight].is_file()]
        found.extend(heavy or [path for path in (named[SINGLE_WEIGHT],) if path.is_file()])
    return found


def fetch() -> int:
    """Brings the npm families into build/fonts, those that are not there; returns how many are there then."""
    FONTS.mkdir(parents=True, exist_ok=True)
    there = 0
    for family in (*NPM_PLATE, *NPM_ARABIC):
        if not any(FONTS.glob(f"{family}-*.woff")):
            _unpack(family)
        there += 1
    return there


def _unpack(family: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["npm", "pack", "--silent", NPM_SCOPE + family], cwd=place, check=True, capture_output=True)
        (packed,) = Path(place).glob("*.tgz")
        with tarfile.open(packed) as archive:
            for member in archive.getmembers():
                name = Path(member.name).name
                if name.endswith("-normal.woff") and ("-latin-" in name or "-arabic-" in name):
                    content = archive.extractfile(member)
                    assert content is not None
                    (FONTS / name).write_bytes(content.read())


if __name__ == "__main__":
    print(f"{fetch()} families in {FONTS}")
