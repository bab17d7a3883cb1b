"""Cosignatures of witnesses, and policies that say how many are enough."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vedette import log_policy, note
from vedette.cosignature import WitnessKey, add_line, cosign, cosignatures
from vedette.errors import Integrity, NotTrusted
from vedette.keys import SigningKey
from vedette.note import Checkpoint, NoteKey

LOG = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ORIGIN = "centre.example/log"
SIGNED = note.sign_checkpoint(Checkpoint(origin=ORIGIN, size=7, root=bytes(range(32))), LOG)
TEXT = note.split_note(SIGNED)[0]
KEYS = {f"w{number}": SigningKey.generate() for number in range(1, 4)}
WITNESSES = {name: WitnessKey(name=f"{name}.example/x", public=key.public) for name, key in KEYS.items()}
NOW_S = 1_795_000_000

# The example of c2sp.org/tlog-cosignature: its form and key id, made by another implementation.
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+"
    "zyWE+xeMcTOAYQ8=\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2"
    "oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def line(name: str, time_s: int = NOW_S, text: str = TEXT) -> str:
    return cosign(text, WITNESSES[name].name, KEYS[name], time_s)


def policy(*lines: str) -> log_policy.Policy:
    head = [f"log {NoteKey(name=ORIGIN, public=LOG.public).text}"]
    head += [f"witness {name} {key.text}" for name, key in WITNESSES.items()]
    return log_policy.parse_policy("\n".join([*head, *lines]))


def test_cosignature_has_the_form_of_the_specification_s_example_when_it_is_read() -> None:
    """TL-21: 4 bytes of key id, 8 of time, 64 of signature; the time is the one in the specification's text."""
    _text, lines = note.split_note(EXAMPLE)
    assert lines[1][0] == "witness.example.com/w1"
    assert len(lines[1][1]) == 76
    assert int.from_bytes(lines[1][1][4:12], "big") == 1_679_315_147
    assert len(note.split_note(add_line(SIGNED, line("w1")))[1][1][1]) == 76


def test_key_comes_back_when_its_text_is_read() -> None:
    """TL-20."""
    assert WitnessKey.from_text(WITNESSES["w1"].text) == WITNESSES["w1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "w1",
        NoteKey(name="w1", public=LOG.public).text,
        WITNESSES["w1"].text.replace("w1", "w9"),
        WITNESSES["w1"].text + "=",
        WITNESSES["w1"].text[:-5],
        " " + WITNESSES["w1"].text,
    ],
    ids=["nothing", "name", "of a log", "of another name", "padded", "cut", "after a space"],
)
def test_key_is_refused_when_its_text_is_not_a_witness_s(text: str) -> None:
    """TL-20."""
    with pytest.raises(Integrity):
        WitnessKey.from_text(text)


def test_cosignatures_are_found_with_their_times_when_known_witnesses_signed() -> None:
    """TL-21, TL-22: others' lines are passed over, of two by one witness the later counts."""
    signed = SIGNED + line("w1") + line("w2", NOW_S + 5) + line("w1", NOW_S - 1)
    assert cosignatures(signed, [WITNESSES["w1"]]) == {"w1.example/x": NOW_S}
    assert cosignatures(signed, WITNESSES.values()) == {"w1.example/x": NOW_S, "w2.example/x": NOW_S + 5}
    assert note.open_checkpoint(signed, ORIGIN, LOG.public).size == 7


def test_cosignature_is_not_trusted_when_any_byte_of_it_is_changed() -> None:
    """TL-22: the time is signed too."""
    _text, lines = note.split_note(SIGNED + line("w1"))
    blob = lines[1][1]
    for place in range(4, len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 1
        with pytest.raises(NotTrusted, match="w1"):
            cosignatures(SIGNED + note.signature_line("w1.example/x", bytes(changed)), WITNESSES.values())


@pytest.mark.parametrize("cut", [1, 64, 71])
def test_cosignature_is_not_trusted_when_it_is_cut_or_a_plain_signature(cut: int) -> None:
    """TL-21, TL-22."""
    _text, lines = note.split_note(SIGNED + line("w1"))
    with pytest.raises(NotTrusted, match="not a time and"):
        cosignatures(SIGNED + note.signature_line("w1.example/x", lines[1][1][: 4 + cut]), WITNESSES.values())


def test_cosignature_of_another_checkpoint_is_not_trusted_when_it_is_put_under_this_one() -> None:
    """TL-22."""
    with pytest.raises(NotTrusted, match="not over this checkpoint"):
        cosignatures(SIGNED + line("w1", text=TEXT.replace("\n7\n", "\n8\n")), WITNESSES.values())


@pytest.mark.parametrize(
    ("rule", "cosigned", "met"),
    [
        (["quorum none"], [], True),
        (["quorum w1"], [], False),
        (["quorum w1"], ["w2"], False),
        (["quorum w1"], ["w1"], True),
        (["group g any w1 w2", "quorum g"], ["w2"], True),
        (["group g all w1 w2", "quorum g"], ["w2"], False),
        (["group g 2 w1 w2 w3", "quorum g"], ["w3"], False),
        (["group g 2 w1 w2 w3", "quorum g"], ["w3", "w1"], True),
        (["group g any w1 w2", "group h all g w3", "quorum h"], ["w1", "w2"], False),
        (["group g any w1 w2", "group h all g w3", "quorum h"], ["w1", "w3"], True),
    ],
)
def test_checkpoint_is_trusted_when_the_policy_s_quorum_cosigned(
    rule: list[str], cosigned: list[str], met: bool
) -> None:
    """TL-23, TL-25."""
    signed = SIGNED + "".join(map(line, cosigned))
    if met:
        assert policy(*rule).check(signed).checkpoint.size == 7
    else:
        with pytest.raises(NotTrusted, match="the policy asks for"):
            policy(*rule).check(signed)


def test_checkpoint_is_not_trusted_when_witnesses_signed_it_and_its_log_did_not() -> None:
    """TL-24."""
    forged = note.sign_checkpoint(Checkpoint(origin=ORIGIN, size=7, root=bytes(range(32))), SigningKey.generate())
    with pytest.raises(NotTrusted):
        policy("quorum w1").check(forged + line("w1"))
    other = note.sign_note(TEXT.replace("centre", "other"), ORIGIN, LOG)
    with pytest.raises(NotTrusted, match="the policy does not name"):
        policy("quorum none").check(other)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["quorum w1", "quorum w1"],
        ["quorum w9"],
        ["group none any w1", "quorum none"],
        ["group w1 any w2", "quorum w1"],
        ["group g 0 w1", "quorum g"],
        ["group g 3 w1 w2", "quorum g"],
        ["group g 02 w1 w2", "quorum g"],
        ["group g some w1 w2", "quorum g"],
        ["group g any", "quorum g"],
        ["group g any w1 w1", "quorum g"],
        ["group g any w1", "group h any w1", "quorum h"],
        ["group g any h", "group h any w1", "quorum g"],
        ["group g any none", "quorum g"],
        [f"witness again {WITNESSES['w1'].text}", "quorum w1"],
        [f"witness w1 {WitnessKey(name='z', public=LOG.public).text}", "quorum w1"],
        [f"log {NoteKey(name='z', public=LOG.public).text}", "quorum w1"],
        ["witness w4 nonsense", "quorum w1"],
        ["quorum w1\r"],
        ["quorum  w1  w2"],
        ["threshold 2"],
    ],
)
def test_policy_is_refused_when_a_line_is_wrong(lines: list[str]) -> None:
    """TL-23."""
    with pytest.raises(Integrity):
        policy(*lines)


def test_policy_may_have_comments_tabs_and_urls_when_it_is_read() -> None:
    """TL-23."""
    text = f"# ours\n\n\t witness  a\t{WITNESSES['w1'].text} https://w1.example/\n quorum\ta\n"
    assert log_policy.parse_policy(text).witnesses["a"].url == "https://w1.example/"
