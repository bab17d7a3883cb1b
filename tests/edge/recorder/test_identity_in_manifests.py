"""What the recorder signs says under which policy and by which software it was recorded."""

from vedette import spool
from vedette.config import load_device
from vedette.identity import identity_of, policy_sha256
from vedette.records import peek_manifest


def test_every_item_says_who_made_it_and_under_which_policy_when_it_is_recorded(device, bench):
    """RE-14. RE-15. RE-16: segments and custody alike; no model has touched them."""
    one = bench(segment_s=4)
    one.steps(90)
    one.close()
    items, _bad = spool.scan(device.folder / "spool")
    config = load_device(device.folder / "device.toml")
    expected = identity_of(config)
    assert {item.kind for item in items} == {"segment", "custody"}
    for item in items:
        made = peek_manifest(item.manifest_bytes)
        assert (made.version, made.models) == (2, {})
        assert (made.software, made.hardware, made.firmware) == (
            expected.software,
            expected.hardware,
            expected.firmware,
        )
        assert made.policy_sha256 == policy_sha256(config)
        assert made.media is None or (made.media.codec, made.media.sound) == ("h264", None)


def test_policy_of_a_segment_is_another_when_the_recorder_was_started_under_other_rules(device, bench):
    """RE-15."""
    for seconds in (4, 5):
        one = bench(segment_s=seconds)
        one.steps(30)
        one.close()
    policies = {item.manifest.policy_sha256 for item in device.items()}
    assert len(policies) == 2
