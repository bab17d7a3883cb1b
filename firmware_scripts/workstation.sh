#!/bin/sh
# Prepares a developer's machine for the Makefile: Debian packages and the Python environment. Free to repeat.
#   workstation.sh packages demo|test|train   install what is missing by apt, or say in one line what to install
#   workstation.sh python FOLDER              the product's environment, with everything the tests need
#   workstation.sh training FOLDER            the separate, large environment that trains models
set -eu
# An ordinary user on Debian does not have the folders in which servers lie in the path.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf 'vedette: %s\n' "$*" >&2; }

# package:command-or-file that shows it is there
demo="tzdata:/usr/share/zoneinfo/Africa/Casablanca python3-venv:/usr/lib/python3*/ensurepip mosquitto:mosquitto fonts-noto-core:/usr/share/fonts/truetype/noto/NotoSansArabic-Bold.ttf fonts-dejavu-core:/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"
test="$demo chromium:chromium ffmpeg:ffprobe shellcheck:shellcheck age:age libatomic1:/usr/lib/*/libatomic.so.1 vlc-bin:cvlc vlc-plugin-base:/usr/lib/*/vlc/plugins golang-go:go golang-golang-x-mod-dev:/usr/share/gocode/src/golang.org/x/mod/sumdb gstreamer1.0-tools:gst-launch-1.0 gstreamer1.0-plugins-base:/usr/lib/*/gstreamer-1.0/libgstvideotestsrc.so gstreamer1.0-plugins-good:/usr/lib/*/gstreamer-1.0/libgstrtsp.so gir1.2-gst-rtsp-server-1.0:/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib python3-gi:/usr/lib/python3/dist-packages/gi gstreamer1.0-plugins-bad:/usr/lib/*/gstreamer-1.0/libgstvideoparsersbad.so gstreamer1.0-plugins-ugly:/usr/lib/*/gstreamer-1.0/libgstx264.so gstreamer1.0-alsa:/usr/lib/*/gstreamer-1.0/libgstalsa.so gstreamer1.0-pipewire:/usr/lib/*/gstreamer-1.0/libgstpipewire.so pipewire:pipewire wireplumber:wireplumber dbus-daemon:dbus-daemon gstreamer1.0-x:/usr/lib/*/gstreamer-1.0/libgstpango.so systemd:systemd-analyze gpsd:gpsd gpsd-clients:gpsfake mmdebstrap:mmdebstrap tshark:tshark strace:strace poppler-utils:pdftotext postgresql:/usr/lib/postgresql/*/bin/initdb"
train="$demo npm:npm"
# The typefaces that plates are drawn in for training; each shows by its documentation folder. More come by npm
# (models/synth/typefaces.py).
for font in dejavu-extra hosny-amiri kacst kacst-one roadgeek opendin osifont liberation bebas-neue inter play b612 \
    roboto-unhinted league-mono dosis comfortaa lato cantarell open-sans yanone-kaffeesatz averia-sans-gwf \
    freefont-ttf national-park routed-gothic urw-base35 jura cabin hack jetbrains-mono firacode karla manrope mplus \
    quicksand; do
    train="$train fonts-$font:/usr/share/doc/fonts-$font"
done
train="$train libraqm0:/usr/share/doc/libraqm0"

there() {
    # An unmatched pattern stays a pattern, which is no file and no command.
    for found in $1; do
        if [ -e "$found" ] || command -v "$found" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

packages() {
    missing=""
    for pair in $1; do
        there "${pair#*:}" || missing="$missing ${pair%%:*}"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        say "please install the equivalents of these Debian packages:$missing"
        exit 1
    fi
    if [ "$(id -u)" = 0 ]; then run=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then run="sudo"
    else
        say "please run: sudo apt-get install --yes$missing"
        exit 1
    fi
    say "installing$missing"
    # shellcheck disable=SC2086
    { $run apt-get update -q && $run env DEBIAN_FRONTEND=noninteractive apt-get install -q --yes --no-install-recommends $missing; } >&2 ||
        { say "apt-get could not install:$missing"; exit 1; }
}

environment() {
    [ -x "$1/bin/python" ] || python3 -m venv "$1" || { say "python3 -m venv $1 failed"; exit 1; }
    "$1/bin/python" -m pip install -qq --disable-pip-version-check --upgrade pip
}

case "${1:-} ${2:-}" in
    "packages demo") packages "$demo" ;;
    "packages test") packages "$test" ;;
    "packages train") packages "$train" ;;
    "python "?*)
        say "preparing the Python environment $2 (once)"
        environment "$2"
        "$2/bin/python" -m pip install -qq --disable-pip-version-check -e '.[dev]'
        # The Raspberry Pi's camera package, for the tests that hold its adapter to it. Without what it depends on: that
        # needs compilers and a Raspberry Pi's libraries; on a device it comes from apt.
        "$2/bin/python" -m pip install -qq --disable-pip-version-check --no-deps \
            picamera2==0.3.38 videodev2==0.0.4 simplejpeg==1.9.0 piexif==1.1.3
        ;;
    "training "?*)
        environment "$2"
        # The CPU build first: a plain "torch" from the index may bring several GB of GPU libraries.
        "$2/bin/python" -m pip install -qq --disable-pip-version-check torch==2.13.0
        "$2/bin/python" -m pip install -qq --disable-pip-version-check -e '.[train]'
        ;;
    *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
