"""Bech32 (BIP 173) without its length limit, as the age format uses it for keys.

Not here: Bech32m, segwit rules, error location.
"""

from __future__ import annotations

from collections.abc import Iterable

from vedette.errors import Integrity

MAX_TEXT = 8192

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_CHARSET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6


def encode(prefix: str, payload: bytes) -> str:
    """The lower-case Bech32 text of `payload` under `prefix` (lower case)."""
    values = _regroup(payload, 8, 5, pad=True)
    checked = _expand(prefix) + values + [0] * _CHECKSUM_LENGTH
    checksum = _polymod(checked) ^ 1
    values += [checksum >> 5 * (5 - i) & 31 for i in range(_CHECKSUM_LENGTH)]
    return prefix + "1" + "".join(_CHARSET[value] for value in values)


def decode(text: str) -> tuple[str, bytes]:
    """Prefix (lower case) and payload of `text`; `Integrity` for mixed case, bad characters, checksum or padding.

    The message never repeats the text: it may be a secret key.
    """
    if len(text) > MAX_TEXT or text not in (text.lower(), text.upper()):
        raise Integrity("the key text is too long or mixes upper and lower case")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or len(rest) < _CHECKSUM_LENGTH:
        raise Integrity("the key text has no Bech32 prefix")
    if not all(33 <= ord(character) <= 126 for character in prefix) or not set(rest) <= _VALUES.keys():
        raise Integrity("the key text has a character that Bech32 does not use")
    values = [_VALUES[character] for character in rest]
    if _polymod(_expand(prefix) + values) != 1:
        raise Integrity("the key text's checksum is wrong: it was mistyped or cut")
    return prefix, bytes(_regroup(values[:-_CHECKSUM_LENGTH], 5, 8, pad=False))


def _regroup(values: Iterable[int], from_bits: int, to_bits: int, *, pad: bool) -> list[int]:
    held, held_bits, groups = 0, 0, []
    for value in values:
        held = held << from_bits | value
        held_bits += from_bits
        while held_bits >= to_bits:
            held_bits -= to_bits
            groups.append(held >> held_bits)
            held &= (1 << held_bits) - 1
    if pad and held_bits:
        groups.append(held << to_bits - held_bits)
    elif held_bits >= from_bits or held:
        raise Integrity("the key text ends in bits that are not zero")
    return groups


def _expand(prefix: str) -> list[int]:
    return [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum
