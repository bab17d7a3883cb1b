"""The text a person finds in a bundle: what it is, how to check it, how to open it; made from the manifest, byte
for byte the same.
"""

from __future__ import annotations

from vedette.clock import iso
from vedette.keys import PublicKey
from vedette.records import Manifest

_TEXT = """\
This is a Vedette evidence bundle.

  item      {item} ({kind})
  device    {device}
  recorded  {started} to {ended} (clock: {clock})
  whole     {whole}
  note      {note}

TO CHECK IT, on any computer with Python 3.10 or newer and no network:

  pip install vedette            (or from the package the force gives you)
  vedette evidence verify THIS_FOLDER_OR_ZIP

That says of every file whether it is what the device recorded and the centre stored, and names what is not. It is
checked against this key of the centre:

  {centre}

Compare it with the key that the force publishes, or keep that one in a trust.json and add --trust trust.json.

WHAT IS HERE

  bundle.json     lists every file with its SHA-256; signed by the centre
  keys.json       public keys: the centre's, and the device's as the centre enrolled it
  {item}.manifest  what the device says it recorded; signed by the device
  {item}.receipt   the centre's signed receipt for it
  {item}.proof     proof that the centre's public log holds it (C2SP tlog-proof)
  journal.jsonl   the device's custody journal while it recorded; every line signed and chained
{sealed}{opened}
A read of a number plate is a lead, not a certainty: look at the pictures.
"""


def readme(
    manifest: Manifest, centre: PublicKey, note: str, *, sealed_name: str | None, opened_name: str | None
) -> bytes:
    """README.txt of a bundle of this item; a name of None leaves that file's line out."""
    sealed = f"  {sealed_name}  the item as the device sealed it; any tool for age files opens it\n"
    return _TEXT.format(
        item=manifest.item,
        kind=manifest.kind,
        device=manifest.device,
        started=iso(manifest.started_us),
        ended=iso(manifest.ended_us),
        clock=manifest.time_source,
        whole="yes" if manifest.complete else "no: the recording was cut; what is here is whole up to the cut",
        note=" ".join(note.split()) or "-",
        centre=centre.text,
        sealed=sealed if sealed_name else "",
        opened=f"  {opened_name}  the item, opened\n" if opened_name else "",
    ).encode()
