"""Which addresses a network camera has, what the drop-in lets through, and what is said where it is closed."""

from ipaddress import ip_address

import pytest

from edge.camera import reach
from edge.camera.pipelines import pipeline
from vedette.config import CameraSection
from vedette.errors import Refused, Usage

NAMES = """\
127.0.0.1 localhost
::1       localhost ip6-localhost
10.0.0.7  Street-Cam street.local  # over the door
# 10.0.0.9 old.local
not-an-address broken.local
fe80::1   near.local
2001:db8::7 six.local
fd00::7%eth0 zoned.local
::ffff:10.0.0.7 mapped.local
0.0.0.0   none.local
"""


def network(address: str) -> CameraSection:
    return CameraSection(adapter="gst", source=f"rtsp:{address}")


@pytest.mark.parametrize(
    "camera",
    [
        CameraSection(adapter="clip", source="rtsp:rtsp://10.0.0.7/street"),
        CameraSection(adapter="pi", source="0"),
        CameraSection(adapter="gst", source="v4l2:/dev/video0"),
        CameraSection(adapter="gst", source="webcam"),
        CameraSection(adapter="gst", source=""),
    ],
)
def test_camera_that_is_no_network_camera_has_no_host(camera: CameraSection) -> None:
    """CF-13."""
    assert reach.host_of(camera) is None


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("rtsp://10.0.0.7/street", "10.0.0.7"),
        ("rtsps://10.0.0.7:322/street?channel=1&subtype=0", "10.0.0.7"),
        ("rtsp://admin:p%40ss,word@10.0.0.7:8554/street@home", "10.0.0.7"),
        ("rtsp://Street-Cam/", "street-cam"),
        ("rtsp://[::1]/", "::1"),
        ("rtsp://[FD00::12]:554/street@home", "fd00::12"),
        ("rtsps://admin:p%40ss,word@[fd00::12]?channel=1", "fd00::12"),
    ],
)
def test_network_camera_s_host_is_told_when_its_address_has_more(address: str, host: str) -> None:
    """CF-13, CF-18."""
    assert reach.host_of(network(address)) == host


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://admin:p@ss@10.0.0.7/",
        "rtsp://admin@/",
        "rtsp://10.0.0.7/\n",
        "rtsp://10.0.0.7:street/",
        "rtsp://[::1/",
        "rtsp://::1]/",
        "rtsp://[::1]x/",
        "rtsp://[]/",
        "rtsp://cam/[::1]",
        "rtsp://admin:p@ss@[::1]/",
        "rtsp://admin:[::1]@10.0.0.7/",
        "http://10.0.0.7/",
        "rtsp://10.0.0.7/ IPAddressAllow=any",
        "rtsp://10.0.0.7/\nIPAddressAllow=any",
    ],
)
def test_strange_address_of_a_network_camera_is_refused(address: str) -> None:
    """CF-13."""
    with pytest.raises(Usage, match=r"\[camera\] source"):
        reach.host_of(network(address))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("rtsp://fd00::12/street", "write an IPv6 address in brackets: rtsp://[fd00::12]/"),
        ("rtsp://admin:secret@fd00::12:554/street", "write an IPv6 address in brackets: rtsp://[fd00::12]/"),
        ("rtsp://fe80::1%25eth0/street", "write an IPv6 address in brackets"),
        ("rtsp://[fd00::12::1]/street", "'fd00::12::1', in brackets, is not an IPv6 address"),
        ("rtsp://[10.0.0.7]/street", "'10.0.0.7', in brackets, is not an IPv6 address"),
        ("rtsp://[camera.local]/street", "'camera.local', in brackets, is not an IPv6 address"),
        ("rtsp://[fe80::12]/street", "fe80::12 counts on one interface only; give the camera another address"),
        ("rtsp://[fe80::12%25eth0]/street", "counts on one interface only; give the camera another address"),
        ("rtsp://[fd00::12%eth0]/street", "fd00::12%eth0 counts on one interface only"),
        ("rtsp://[::ffff:10.0.0.7]/street", "is an IPv4 address in another form; write 10.0.0.7"),
        ("rtsp://[::]/street", ":: is not the address of one camera"),
        ("rtsp://[ff02::1]/street", "ff02::1 is not the address of one camera"),
        (f"rtsp://[fd00::12]/{'a' * 247}", "is not the address of a camera"),
    ],
)
def test_strange_ipv6_address_is_refused_with_what_to_write(address: str, said: str) -> None:
    """CF-18: before a camera is opened, and with no word of its password."""
    with pytest.raises(Usage) as raised:
        pipeline(network(address))
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)
    assert pipeline(network(f"rtsp://[fd00::12]/{'a' * 245}"))


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("10.0.0.9", ["10.0.0.9"]),
        ("169.254.3.4", ["169.254.3.4"]),
        ("street-cam", ["10.0.0.7"]),
        ("street.local", ["10.0.0.7"]),
        ("localhost", ["127.0.0.1", "::1"]),
        ("six.local", ["2001:db8::7"]),
        ("fd00:0::12", ["fd00::12"]),
    ],
)
def test_address_is_the_host_s_own_or_that_of_its_line_in_the_list_of_names(host: str, addresses: list[str]) -> None:
    """CF-13."""
    assert [str(one) for one in reach.addresses_of(host, NAMES)] == addresses


@pytest.mark.parametrize("host", ["old.local", "broken.local", "street", "10.0.0.7.local", "10.7", "0x0a000007"])
def test_name_that_is_not_in_the_list_of_names_is_refused_with_what_to_write(host: str) -> None:
    """CF-13: no name server is asked, then or later."""
    with pytest.raises(
        Refused, match=r"is not in /etc/hosts, and the recorder asks no name server: write the camera's"
    ):
        reach.addresses_of(host, NAMES)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "239.1.2.3", "255.255.255.255", "near.local", "none.local", "fe80::2", "zoned.local", "mapped.local"],
)
def test_address_that_is_not_one_camera_s_is_refused(host: str) -> None:
    """CF-13, CF-18."""
    with pytest.raises(Usage):
        reach.addresses_of(host, NAMES)


def test_drop_in_lets_through_the_camera_s_addresses_alone_and_holds_no_password() -> None:
    """CF-13."""
    host = reach.host_of(network("rtsp://admin:secret@10.0.0.7/street"))
    assert host is not None
    settings = [line for line in reach.drop_in(reach.addresses_of(host, NAMES)).splitlines() if line[0] != "#"]
    assert settings == [
        "[Service]",
        "Environment=VEDETTE_MAY_REACH=10.0.0.7",
        "PrivateNetwork=no",
        "RestrictAddressFamilies=AF_INET",
        "IPAddressAllow=10.0.0.7",
    ]
    both = reach.drop_in(reach.addresses_of("localhost", NAMES))
    assert "RestrictAddressFamilies=AF_INET AF_INET6\nIPAddressAllow=127.0.0.1 ::1\n" in both


def test_warned_of_an_address_that_the_camera_chose_by_itself() -> None:
    """CF-13."""
    chosen, given = ip_address("169.254.3.4"), ip_address("10.0.0.7")
    assert "169.254.3.4: the camera chose this by itself" in reach.may_change([chosen, given])
    assert reach.may_change([given]) == ""


@pytest.mark.parametrize(
    ("host", "has_network", "environment", "said"),
    [
        ("10.0.0.7", False, {}, "the recorder's unit lets it reach no network: run sudo vedette device camera-network"),
        (
            "old.local",
            False,
            {},
            "the recorder's unit lets it reach no network: run sudo vedette device camera-network",
        ),
        ("10.0.0.7", True, {}, ""),
        ("old.local", True, {}, ""),
        ("10.0.0.7", True, {"VEDETTE_MAY_REACH": "10.0.0.7"}, ""),
        ("street-cam", True, {"VEDETTE_MAY_REACH": "10.0.0.7,10.0.0.8"}, ""),
        ("10.0.0.70", True, {"VEDETTE_MAY_REACH": "10.0.0.7"}, "lets it reach 10.0.0.7 and not 10.0.0.70: run sudo"),
        ("fd00:0::12", True, {"VEDETTE_MAY_REACH": "fd00::12"}, ""),
        ("fd00::12", True, {"VEDETTE_MAY_REACH": "10.0.0.7"}, "lets it reach 10.0.0.7 and not fd00::12: run sudo"),
        ("old.local", True, {"VEDETTE_MAY_REACH": "10.0.0.7"}, "'old.local' is not in /etc/hosts"),
    ],
)
def test_what_to_do_is_said_only_where_the_unit_closes_the_camera_to_the_recorder(
    host: str, has_network: bool, environment: dict[str, str], said: str
) -> None:
    """CF-14."""
    why = reach.why_closed(host, NAMES, has_network=has_network, environment=environment)
    assert said in why
    assert bool(said) == bool(why)
