"""The text a person finds in a bundle: what it is, how to check it, how to open it; made from the manifest, byte
for byte the same.
"""

from __future__ import annotations

from collections.abc import Mapping

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

TO CHECK IT, on any computer and with no network, by one of these:

{ways}
Each says of every file whether it is what the device recorded and the centre stored, and names what is not. Who made
this bundle could have changed a verifier in it: to be independent take it from the Vedette project instead, or
compare its SHA-256 with a copy that you trust. The check is made against this key of the centre:

  {centre}

Compare it with the key that the force publishes, or keep that one in a trust.json and add --trust trust.json.

WHAT IS HERE

  bundle.json     lists every file with its SHA-256; signed by the centre
  keys.json       public keys: the centre's, and the device's as the centre enrolled it
  {item}.manifest  what the device says it recorded; signed by the device
  {item}.receipt   the centre's signed receipt for it
  {item}.proof     proof that the centre's public log holds it (C2SP tlog-proof)
  journal.jsonl   the device's custody journal while it recorded; every line signed and chained
{sealed}{opened}{companions}{no_original}
A read of a number plate is a lead, not a certainty: look at the pictures.
"""


_WAYS = {
    "verifier_html": "open verify.html in a web browser and choose this folder or .zip",
    "verifier_py": "python3 verify.py THIS_FOLDER_OR_ZIP    (Python 3.10 or newer, nothing else)",
}
_COMPANIONS = {
    "recording_parts": "which parts of the recording left together; signed by the centre",
    "marks": "the key to the device's marks of each fragment of the opened recording, which stand in that journal",
    "heads": "how far the device had signed for that journal, and how much of it the centre has; signed by both",
    "redacted": "a copy in which parts of the picture are covered or sound is muted; it is no original",
    "redaction": "what was changed in that copy, by whom and why; signed by them",
    "redaction_plan": "the plan it was made by",
    "onvif": "the same recording with the boxes of the ONVIF Export File Format",
    "report_html": "a summary for people in French, English and Arabic, as a web page",
    "report_pdf": "the same on paper",
    "verifier_py": "verifier for Python",
    "verifier_html": "verifier for a web browser",
}


_NO_ORIGINAL = """
THE ORIGINAL IS NOT HERE, neither sealed nor opened: only a redacted copy of it is. Its record names the original and
what was changed; that all the rest is as in the original can be checked only by whoever has the original.
"""


def readme(
    manifest: Manifest,
    centre: PublicKey,
    note: str,
    *,
    sealed_name: str | None,
    opened_name: str | None,
    companions: Mapping[str, str] | None = None,
) -> bytes:
    """README.txt of a bundle of this item; a name of None leaves that file's line out. `companions`: what each file is
    by its name.
    """
    there = dict(companions or {})
    ways = [text for what, text in _WAYS.items() if what in there.values()]
    ways.append("pip install vedette; vedette evidence verify THIS_FOLDER_OR_ZIP")
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
        companions="".join(f"  {name:15} {_COMPANIONS[what]}\n" for name, what in there.items()),
        no_original="" if sealed_name or opened_name else _NO_ORIGINAL,
        ways="".join(f"  {way}\n" for way in ways),
    ).encode()
