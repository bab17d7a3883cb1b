"""The two configuration files, `device.toml` and `central.toml`, parsed strictly into values that cannot be wrong.

Decided here: every key, its unit, default and bounds; how strictly a file is read is config_toml.py.
docs/reference/configuration.md has one row for each key; a test compares the two.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from pathlib import Path

from vedette.config_toml import choice as _choice
from vedette.config_toml import number as _number
from vedette.config_toml import parse as _parse
from vedette.errors import Integrity, Usage
from vedette.fields import check_device_id


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceSection:
    """Who this device is, where its folders are and in which time zone it works."""

    id: str
    data: Path
    run: Path = Path("/run/vedette")
    zone: str = "UTC"


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraSection:
    """Which camera adapter, what it shows and how it is encoded."""

    adapter: str = "clip"
    source: str = ""
    pace: str = _choice("real", "real", "fast")
    loop: bool = False
    width: int = _number(1280, 16, 4096)
    height: int = _number(720, 16, 4096)
    rate: int = _number(25, 1, 120)
    bitrate_kbps: int = _number(4000, 50, 100_000)
    preset: str = _choice("superfast", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium")
    options: typing.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundSection:
    """Which sound is recorded beside the pictures, how it is encoded, and whether it is kept before an activation."""

    adapter: str = _choice("camera", "none", "camera", "alsa", "pipewire", "test")
    source: str = ""
    codec: str = _choice("aac", "aac", "opus")
    channels: int = _number(1, 1, 2)
    bitrate_kbps: int = _number(64, 16, 320)
    pre_event: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RecorderSection:
    """When video is kept and in what pieces."""

    MOVED: typing.ClassVar = {"schedule_zone": "device.zone", "stamp_zone": "device.zone"}
    mode: str = _choice("continuous", "continuous", "standby")
    segment_s: int = _number(60, 2, 3600)
    pre_event_s: int = _number(60, 0, 300)
    post_event_s: int = _number(30, 0, 600)
    hit_before_s: int = _number(30, 0, 300)
    hit_after_s: int = _number(60, 0, 600)
    stop_tail_s: int = _number(0, 0, 600)
    schedule: str = ""
    may_mute: bool = True
    may_stealth: bool = True
    may_sleep: bool = True
    hot_c: int = _number(85, 0, 120)
    hot_rests: bool = False
    retroactive_h: int = _number(0, 0, 72)
    retroactive_mib: int = _number(8192, 64, 1 << 20)
    min_free_mib: int = _number(512, 0, 1 << 20)
    marked_min_free_mib: int = _number(64, 0, 1 << 20)
    room_warning_s: int = _number(3600, 0, 86_400)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderSection:
    """How plates are read and when a match counts; `models` is a folder, empty for the models of the package."""

    enabled: bool = True
    models: str = ""
    threads: int = _number(1, 1, 16)
    min_looks: int = _number(2, 2, 20)
    confidence_permille: int = _number(600, 0, 1000)
    repeat_s: int = _number(300, 0, 86_400)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardSection:
    """Which board adapter signals to the officer and knows the position."""

    adapter: str = "null"
    options: typing.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PanelSection:
    """What the officer's buttons and the vehicle's motion mean; 0 switches a rule off."""

    stop_hold_ms: int = _number(3000, 1000, 10_000)
    reminder_s: int = _number(120, 0, 3600)
    crash_mg: int = _number(2500, 0, 16_000)
    crash_drop_kmh: int = _number(40, 0, 200)
    speed_kmh: int = _number(0, 0, 300)
    speed_s: int = _number(3, 1, 60)


@dataclass(frozen=True, kw_only=True, slots=True)
class PeersSection:
    """Whether cameras nearby are told of an activation and listened to, and where on the local network."""

    listen: bool = False
    tell: bool = False
    group: str = "239.255.86.68"
    port: int = _number(47_868, 1024, 65_535)
    interface: str = ""
    window_s: int = _number(10, 2, 60)


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionSection:
    """Where gpsd listens (`host:port` or a socket's path; empty: no receiver), and when its time is suspect."""

    gpsd: str = ""
    suspect_ms: int = _number(2000, 100, 60_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionSection:
    """Which accelerometer feels a crash: `auto`, `none`, its name or label, or its folder below /sys."""

    sensor: str = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class UplinkSection:
    """Where the broker is and how evidence goes there; empty paths mean the files in the device's `keys` folder."""

    host: str = "127.0.0.1"
    port: int = _number(8883, 1, 65_535)
    ca: str = ""
    cert: str = ""
    key: str = ""
    part_kib: int = _number(256, 16, 1024)
    window: int = _number(32, 1, 64)
    allow_bulk: bool = True
    mqtt: str = _choice("5", "5", "3.1.1")
    bulk_connection: bool = True
    bulk_dscp: int = _number(8, 0, 63)
    escalate_h: int = _number(24, 0, 8760)
    depot_host: str = ""
    depot_port: int = _number(8884, 1, 65_535)


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSection:
    """Who tells what the network is (`ask`: the file, or the command), and on which ones unmarked video may go."""

    MOVED: typing.ClassVar = {"quiet_zone": "device.zone"}
    source: str = _choice("none", "none", "file", "command", "route", "nmcli")
    ask: str = ""
    look_s: int = _number(5, 1, 3600)
    bulk_on: str = _choice("unmetered", "any", "unmetered", "depot")
    depots: str = ""
    metered_interfaces: str = "wwan* ppp* rmnet* usb*"
    quiet: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeeperSection:
    """How long a file that has its receipt stays on the device."""

    keep_receipted_s: int = _number(0, 0, 365 * 86_400)
    low_free_mib: int = _number(2048, 0, 1 << 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceConfig:
    """`device.toml`."""

    device: DeviceSection
    camera: CameraSection = field(default_factory=CameraSection)
    sound: SoundSection = field(default_factory=SoundSection)
    recorder: RecorderSection = field(default_factory=RecorderSection)
    reader: ReaderSection = field(default_factory=ReaderSection)
    board: BoardSection = field(default_factory=BoardSection)
    position: PositionSection = field(default_factory=PositionSection)
    motion: MotionSection = field(default_factory=MotionSection)
    panel: PanelSection = field(default_factory=PanelSection)
    peers: PeersSection = field(default_factory=PeersSection)
    uplink: UplinkSection = field(default_factory=UplinkSection)
    network: NetworkSection = field(default_factory=NetworkSection)
    keeper: KeeperSection = field(default_factory=KeeperSection)

    @property
    def data(self) -> Path:
        """The device's data folder."""
        return self.device.data

    @property
    def run(self) -> Path:
        """The folder in memory that the services share."""
        return self.device.run

    @property
    def spool(self) -> Path:
        """Where sealed items lie."""
        return self.device.data / "spool"

    @property
    def journals(self) -> Path:
        """Where the services' custody journals lie."""
        return self.device.data / "journal"

    @property
    def receipts(self) -> Path:
        """Where the uplink leaves checked receipts."""
        return self.device.data / "receipts"

    @property
    def keys(self) -> Path:
        """Where the device's own keys lie."""
        return self.device.data / "keys"

    @property
    def trust(self) -> Path:
        """The centre's public keys."""
        return self.device.data / "trust.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class CentralSection:
    """Where the central store lies and what its log is called."""

    data: Path
    origin: str = "vedette.local/log"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerSection:
    """The embedded Mosquitto (port 0: a free one), or the address of another MQTT broker; `shards` names more of it."""

    embedded: bool = True
    host: str = "127.0.0.1"
    port: int = _number(0, 0, 65_535)
    shards: str = ""
    mqtt: str = _choice("5", "5", "3.1.1")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSection:
    """The database of the case store: SQLite in the centre's folder, or the PostgreSQL that `url` names."""

    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlobsSection:
    """Where the sealed bytes lie: the centre's folder, or the S3-compatible bucket that `url` names."""

    url: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    lock_days: int = _number(0, 0, 36_500)
    lock_mode: str = _choice("governance", "governance", "compliance")


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSection:
    """Where the pages are served (port 0: a free one) and how long a sign-in lasts."""

    host: str = "127.0.0.1"
    port: int = _number(0, 0, 65_535)
    session_minutes: int = _number(480, 5, 1440)
    unlock_minutes: int = _number(15, 1, 240)


@dataclass(frozen=True, kw_only=True, slots=True)
class DepotSection:
    """The HTTPS door for bulk video where cars park (docs/spec/depot.md); port 0 takes a free one."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = _number(8884, 0, 65_535)


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestSection:
    """How much may be on its way in at once."""

    credit_mib: int = _number(64, 1, 4096)
    part_kib: int = _number(256, 16, 1024)
    max_item_mib: int = _number(4096, 1, 1 << 20)
    workers: int = _number(1, 1, 9)


@dataclass(frozen=True, kw_only=True, slots=True)
class CentralConfig:
    """`central.toml`."""

    central: CentralSection
    broker: BrokerSection = field(default_factory=BrokerSection)
    web: WebSection = field(default_factory=WebSection)
    depot: DepotSection = field(default_factory=DepotSection)
    ingest: IngestSection = field(default_factory=IngestSection)
    store: StoreSection = field(default_factory=StoreSection)
    blobs: BlobsSection = field(default_factory=BlobsSection)

    @property
    def data(self) -> Path:
        """The central store's folder."""
        return self.central.data

    @property
    def keys(self) -> Path:
        """The centre's own keys."""
        return self.central.data / "keys"

    @property
    def run(self) -> Path:
        """Ports and process ids of what runs now."""
        return self.central.data / "run"


def load_device(path: Path) -> DeviceConfig:
    """Read `device.toml`; relative paths in it are relative to its folder."""
    config = _parse(DeviceConfig, path)
    try:
        check_device_id(config.device.id)
    except Integrity as error:
        raise Usage(f"{path}: [device] id: {error}") from None
    return config


def load_central(path: Path) -> CentralConfig:
    """Read `central.toml`; relative paths in it are relative to its folder."""
    return _parse(CentralConfig, path)
