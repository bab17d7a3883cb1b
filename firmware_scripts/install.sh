#!/bin/sh
# Puts Vedette on a Debian, Raspberry Pi OS or JetPack machine: user, folders, Python environment, units. Free to repeat.
#
#   install.sh --role device|central|worker [options]
#                        worker: takes uploads for a centre on another machine (docs/guide/scale.md)
#     --dry-run          say every command, change nothing (needs no root)
#     --board NAME       pi, jetson or none (default: what this machine says it is)
#     --device-id ID     also make the device's folder and key under this id, if there is none yet
#     --camera NAME      its camera adapter: pi, gst, clip, … (default: pi on a Raspberry Pi, else gst)
#     --source TEXT      what the camera adapter opens
#     --zone NAME        the time zone it works in, such as Africa/Casablanca (default: this machine's)
#     --scale            central: with what PostgreSQL and S3 need; on by itself once central.toml names one of them
#     --wheels FOLDER    install from wheels in FOLDER only, without a package index
#     --no-packages      the Debian packages are there already; do not call apt-get
#     --uninstall        remove units and programs; keys, evidence and configuration stay where they are
#
# A new version goes into its own folder under /opt/vedette/releases; /opt/vedette/<role> changes over to it in one rename
# once it is whole, and the version before stays for going back. The services are not restarted: recording goes on.
set -eu

OPT=/opt/vedette
UNITS=/etc/systemd/system
MOTION_RULE=/etc/udev/rules.d/70-vedette-motion.rules
SOCKETS=/etc/sysctl.d/60-vedette-central.conf
DEVICE=/var/lib/vedette/device
CENTRE=/var/lib/vedette-central/centre
WORKER=/var/lib/vedette-central/worker
MIN_PYTHON=10
MAX_PYTHON=13
DEVICE_UNITS="vedette-recorder.service vedette-reader.service vedette-panel.service vedette-position.service vedette-uplink.service vedette-keeper.service vedette.target"
CENTRAL_UNITS="vedette-central.service"
WORKER_UNITS="vedette-worker.service"
SLEEP_TARGETS="sleep.target suspend.target hibernate.target hybrid-sleep.target suspend-then-hibernate.target"
# Which of them this script masked, so that one that somebody else masked stays as it was.
MASKED=$OPT/masked-by-device

role="" board="" device_id="" camera="" source_text="" zone="" wheels="" scale="" dry="" uninstall="" with_packages=yes
source_folder=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

say() { printf 'vedette: %s\n' "$*" >&2; }
fail() { say "$1"; exit "${2:-1}"; }
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0" | sed '/^set -eu/,$d' >&2; exit 2; }

run() {
    if [ -n "$dry" ]; then
        printf '+'
        for word in "$@"; do
            case $word in
                *[!A-Za-z0-9_./:=,@%+-]* | "") printf " '%s'" "$word" ;;
                *) printf ' %s' "$word" ;;
            esac
        done
        printf '\n'
    else
        "$@"
    fi
}

value() { [ -n "${2:-}" ] || fail "$1 needs a value" 2; }

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) dry=yes ;;
            --uninstall) uninstall=yes ;;
            --no-packages) with_packages="" ;;
            --scale) scale=yes ;;
            --role) value "$@"; role=$2; shift ;;
            --board) value "$@"; board=$2; shift ;;
            --device-id) value "$@"; device_id=$2; shift ;;
            --camera) value "$@"; camera=$2; shift ;;
            --source) value "$@"; source_text=$2; shift ;;
            --zone) value "$@"; zone=$2; shift ;;
            --wheels) value "$@"; wheels=$(CDPATH='' cd -- "$2" && pwd) || fail "--wheels: $2 is no folder" 2; shift ;;
            -h | --help) usage ;;
            *) say "unknown option $1"; usage ;;
        esac
        shift
    done
    case $role in device | central | worker) ;; *) say "--role is device, central or worker"; usage ;; esac
    [ -z "$scale" ] || [ "$role" = central ] || fail "--scale is for --role central; a worker has it, a device does not" 2
    if [ "$role" = central ] && has_far_stores; then scale=yes; fi
    [ -n "$board" ] || board=$(this_board)
    case $board in pi | jetson | none) ;; *) fail "--board is pi, jetson or none, not '$board'" 2 ;; esac
    case $device_id in
        "") ;;
        *[!a-z0-9.-]* | [.-]* | *[.-] | ? | ??) fail "--device-id: '$device_id' is not 3 to 59 of a-z, 0-9, dot and dash" 2 ;;
    esac
    [ ${#device_id} -le 59 ] || fail "--device-id: '$device_id' has ${#device_id} characters; 59 are the most" 2
    [ -n "$camera" ] || { camera=gst; [ "$board" != pi ] || camera=pi; }
    [ -n "$zone" ] || zone=$(this_zone)
}

# A centre that keeps its rows or blobs elsewhere would not start without what reaches them.
has_far_stores() { grep -Eqs '^[[:space:]]*url[[:space:]]*=[[:space:]]*.(postgres|postgresql|s3)://' "$CENTRE/central.toml"; }

this_zone() {
    case $(readlink -f /etc/localtime 2>/dev/null || true) in
        */zoneinfo/*) readlink -f /etc/localtime | sed 's|.*/zoneinfo/||' ;;
        *) echo UTC ;;
    esac
}

this_board() {
    model=$({ tr -d '\0' </proc/device-tree/model; } 2>/dev/null || true)
    case $model in
        *"Raspberry Pi"*) echo pi ;;
        *Jetson* | *Tegra*) echo jetson ;;
        *) echo none ;;
    esac
}

check_machine() {
    [ -n "$dry" ] || [ "$(id -u)" = 0 ] || fail "run as root: sudo $0 --role $role"
    command -v apt-get >/dev/null 2>&1 || fail "this is not a Debian machine: there is no apt-get"
    case $(dpkg --print-architecture) in
        arm64 | amd64) ;;
        *) fail "Vedette needs a 64-bit system (arm64 or amd64), this one is $(dpkg --print-architecture)" ;;
    esac
    [ -f "$source_folder/vedette/__init__.py" ] || fail "$source_folder is not Vedette's source"
}

check_python() {
    minor=$(python3 -c 'import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else 0)' 2>/dev/null || echo 0)
    if [ "$minor" -lt $MIN_PYTHON ] || [ "$minor" -gt $MAX_PYTHON ]; then
        fail "Vedette needs Python 3.$MIN_PYTHON to 3.$MAX_PYTHON, python3 here is 3.$minor"
    fi
}

# Swap on a disk would write readable pictures to it. (zram is memory.)
check_swap() {
    swaps=$(awk 'NR > 1 && $1 !~ /zram/ { print $1 }' /proc/swaps 2>/dev/null || true)
    [ -z "$swaps" ] || say "warning: swap is on ($swaps); turn it off for good, it can write readable pictures to a disk"
}

packages() {
    [ -n "$with_packages" ] || return 0
    wanted="python3 python3-venv tzdata"
    if [ "$role" = central ]; then
        wanted="$wanted mosquitto fonts-noto-core"
    fi
    if [ "$role" = worker ] || [ -n "$scale" ]; then wanted="$wanted ca-certificates"; fi
    if [ "$role" = device ]; then
        case $board in
            pi) wanted="$wanted python3-picamera2 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-bad gstreamer1.0-alsa gstreamer1.0-pipewire" ;;
            jetson) wanted="$wanted gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-alsa gstreamer1.0-pipewire gstreamer1.0-x" ;;
        esac
        case $board$camera in
            nonegst) wanted="$wanted gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-alsa gstreamer1.0-pipewire gstreamer1.0-x" ;;
        esac
    fi
    missing=""
    for package in $wanted; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing Debian packages:$missing"
    run apt-get update -q
    # shellcheck disable=SC2086
    run env DEBIAN_FRONTEND=noninteractive apt-get install -q --yes --no-install-recommends $missing
    case $missing in
        # The package starts a broker of its own for anybody on this machine; the centre runs a better one.
        *mosquitto*) stop_unit mosquitto.service ;;
    esac
}

# Works without a running systemd too, as in an image that is being built.
stop_unit() {
    run systemctl disable -q "$1"
    if [ -d /run/systemd/system ]; then run systemctl stop "$1"; fi
}

extras() {
    case $role$scale$board in
        worker* | centralyes*) echo central-scale ;;
        central*) echo central ;;
        devicepi) echo device-pi ;;
        devicejetson) echo device-jetson ;;
        *) echo device ;;
    esac
}

# What the environment depends on: the source, the extras, the Python. The same again is the same release.
release_name() {
    {
        (cd "$source_folder" && find vedette edge sync simulator models setup.cfg pyproject.toml -type f \
            ! -name '*.pyc' ! -path '*.egg-info/*' -exec sha256sum {} + | LC_ALL=C sort -k 2)
        extras
        python3 -V 2>/dev/null || true
    } | sha256sum | cut -c 1-12
}

environment() {
    name=$role-$(release_name)
    release=$OPT/releases/$name
    if [ -f "$release/.whole" ]; then
        say "release $name is here already"
    else
        say "making release $name"
        build=$OPT/build
        run rm -rf "$release" "$build"
        run mkdir -p "$OPT/releases" "$build"
        # picamera2 and libcamera must be the system's own.
        if [ "$board" = pi ] && [ "$role" = device ]; then
            run python3 -m venv --system-site-packages "$release"
        else
            run python3 -m venv "$release"
        fi
        # The source stays as it is: the build happens in a copy.
        (cd "$source_folder" && run cp -R setup.cfg pyproject.toml README.md LICENSE vedette edge sync simulator models "$build")
        if [ -n "$wheels" ]; then
            run "$release/bin/python" -m pip install -q --no-index --find-links "$wheels" "${build}[$(extras)]"
        else
            run "$release/bin/python" -m pip install -q "${build}[$(extras)]"
        fi
        run rm -rf "$build"
        run mkdir -p "$release/share/vedette"
        run cp "$source_folder/docs/guide/install-device.md" "$release/share/vedette/"
        check_release "$release"
        run touch "$release/.whole"
    fi
    check_configuration "$release"
    switch_to "$release"
}

check_release() {
    [ -z "$dry" ] || return 0
    env -C / "$1/bin/vedette" --help >/dev/null || fail "the new release does not start; the one before stays in use"
    if [ "$board" = pi ] && [ "$role" = device ]; then
        env -C / "$1/bin/python" -c 'import picamera2' 2>/dev/null ||
            say "warning: picamera2 does not load beside this release (its NumPy is older on Bookworm); the pi camera will not open"
    fi
}

# A service that restarts after the change reads the configuration as the new release does.
check_configuration() {
    [ -z "$dry" ] && [ "$role" = device ] && [ -f "$DEVICE/device.toml" ] || return 0
    env -C / "$1/bin/vedette" device status --config "$DEVICE/device.toml" >/dev/null && return 0
    fail "the new release does not take this configuration (above); the one before stays in use: change it and install again"
}

switch_to() {
    before=$(readlink "$OPT/$role" 2>/dev/null || true)
    [ "$before" != "$1" ] || return 0
    run ln -sfn "$1" "$OPT/$role.next"
    run mv -T "$OPT/$role.next" "$OPT/$role"
    [ -e /usr/local/bin/vedette ] || run ln -sfn "$OPT/$role/bin/vedette" /usr/local/bin/vedette
    for old in "$OPT/releases/$role"-*; do
        if [ -d "$old" ] && [ "$old" != "$1" ] && [ "$old" != "$before" ]; then run rm -rf "$old"; fi
    done
}

users_and_folders() {
    run install -D -m 0644 "$source_folder/systemd/sysusers-$role.conf" "/etc/sysusers.d/vedette-$role.conf"
    run systemd-sysusers "/etc/sysusers.d/vedette-$role.conf"
    run install -D -m 0644 "$source_folder/systemd/tmpfiles-$role.conf" "/etc/tmpfiles.d/vedette-$role.conf"
    run systemd-tmpfiles --create "/etc/tmpfiles.d/vedette-$role.conf"
}

role_units() {
    case $role in central) echo "$CENTRAL_UNITS" ;; worker) echo "$WORKER_UNITS" ;; *) echo "$DEVICE_UNITS" ;; esac
}

units() {
    run install -D -m 0644 "$source_folder/systemd/vedette-.service.d/10-hardening.conf" "$UNITS/vedette-.service.d/10-hardening.conf"
    names=$(role_units)
    for unit in $names; do run install -m 0644 "$source_folder/systemd/$unit" "$UNITS/$unit"; done
    if [ "$role" = device ]; then
        clock=vedette-position.service.d/20-clock.conf
        run install -D -m 0644 "$source_folder/systemd/$clock" "$UNITS/$clock"
        run install -D -m 0644 "$source_folder/systemd/70-vedette-motion.rules" "$MOTION_RULE"
        if [ -S /run/udev/control ]; then
            run udevadm control --reload
            run udevadm trigger --subsystem-match=iio
        fi
    fi
    if [ "$role" = central ]; then
        run install -D -m 0644 "$source_folder/systemd/sysctl-central.conf" "$SOCKETS"
        if [ -d /run/systemd/system ]; then
            run /lib/systemd/systemd-sysctl "$SOCKETS" || say "warning: $SOCKETS is not in force (above); uploads are slower without it"
        fi
    fi
    if [ "$role" = worker ] || [ -n "$scale" ]; then
        run install -D -m 0644 "$source_folder/systemd/scale/20-scale.conf" "$UNITS/vedette-$role.service.d/20-scale.conf"
    fi
    if [ "$board" = jetson ] && [ "$role" = device ]; then
        jetson=vedette-recorder.service.d/20-jetson.conf
        run install -D -m 0644 "$source_folder/systemd/jetson/$jetson" "$UNITS/$jetson"
    fi
    # shellcheck disable=SC2086
    run systemctl enable -q $names
    if [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
}

first_device() {
    [ -n "$device_id" ] && [ "$role" = device ] || return 0
    if [ -f "$DEVICE/device.toml" ]; then
        say "$DEVICE holds a device already; it stays as it is"
        return 0
    fi
    run runuser -u vedette -- env -C / "$OPT/device/bin/vedette" device init "$DEVICE" \
        --id "$device_id" --camera "$camera" --source "$source_text" --zone "$zone"
}

# A network camera is all that the recorder may reach, and systemd has to know its address (docs/adr, 37).
camera_network() {
    [ "$role" = device ] || return 0
    [ -f "$DEVICE/device.toml" ] || { [ -n "$dry" ] && [ -n "$device_id" ]; } || return 0
    run env -C / "$OPT/device/bin/vedette" device camera-network --config "$DEVICE/device.toml" ||
        fail "all is installed, but the recorder cannot reach its camera (above); recording waits for that"
}

# A machine that is suspended records nothing, and its monotonic clock stands still.
never_sleep() {
    [ "$role" = device ] || return 0
    for target in $SLEEP_TARGETS; do
        if [ "$(readlink "$UNITS/$target" 2>/dev/null)" = /dev/null ]; then continue; fi
        if [ -e "$UNITS/$target" ] || [ -L "$UNITS/$target" ]; then
            say "warning: $UNITS/$target is somebody's own and was left; this machine may be suspended in the middle of a recording"
            continue
        fi
        [ -n "$dry" ] || echo "$target" >>"$MASKED"
        run systemctl mask -q "$target"
    done
}

may_sleep_again() {
    [ -f "$MASKED" ] || return 0
    while read -r target; do run systemctl unmask -q "$target"; done <"$MASKED"
    run rm -f "$MASKED"
}

next_steps() {
    [ -z "$dry" ] || return 0
    if [ "$role" = central ]; then
        say "installed; next, if there is no centre yet: sudo -u vedette-central vedette central init $CENTRE --keys FOLDER-ON-A-STICK"
        say "then: sudo systemctl start vedette-central"
    elif [ "$role" = worker ]; then
        say "installed; next, at the centre: vedette central worker CENTRAL NAME FOLDER; bring FOLDER here as $WORKER,"
        say "all of it owned by vedette-central, then: sudo systemctl start vedette-worker"
    else
        say "installed; next: enrol the device at the centre (docs/guide/install-device.md), then: sudo systemctl start vedette.target"
    fi
}

remove() {
    names=$(role_units)
    for unit in $names; do
        [ ! -e "$UNITS/$unit" ] || stop_unit "$unit"
        run rm -f "$UNITS/$unit"
    done
    if [ "$role" = device ]; then
        run rm -rf "$UNITS/vedette-recorder.service.d" "$UNITS/vedette-position.service.d"
        run rm -f "$MOTION_RULE"
        may_sleep_again
    else
        run rm -rf "$UNITS/vedette-$role.service.d"
        [ "$role" != central ] || run rm -f "$SOCKETS"
    fi
    run rm -f "/etc/tmpfiles.d/vedette-$role.conf" "/etc/sysusers.d/vedette-$role.conf"
    run rm -rf "$OPT/$role" "$OPT/releases/$role"-*
    [ "$role" = central ] || run rm -rf /var/cache/vedette
    if [ ! -e "$UNITS/vedette.target" ] && [ ! -e "$UNITS/vedette-central.service" ] && [ ! -e "$UNITS/vedette-worker.service" ]; then
        run rm -rf "$UNITS/vedette-.service.d" "$OPT"
        run rm -f /usr/local/bin/vedette
    fi
    if [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
    say "removed; what lies under /var/lib/vedette* was not touched"
}

read_arguments "$@"
check_machine
if [ -n "$uninstall" ]; then
    remove
    exit 0
fi
packages
[ -n "$dry" ] || check_python
check_swap
users_and_folders
environment
units
never_sleep
first_device
camera_network
next_steps
