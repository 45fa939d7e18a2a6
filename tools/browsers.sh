#!/bin/sh
# Puts Chromium and Firefox, in which tests read streams, onto a Debian or Ubuntu where they are missing. Needs root for
# that; says what is missing where it may not, or cannot, install it. The tests decide what a missing browser means.
set -eu

missing=
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing="$missing chromium"
command -v firefox-esr >/dev/null 2>&1 || command -v firefox >/dev/null 2>&1 || missing="$missing firefox-esr"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
[ -n "$missing" ] || exit 0

say() { printf '%s\n' "$*" >&2; }
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
  say "Missing for the tests of clients:$missing. Install them with this system's package manager."
  exit 0
fi
say "Installing$missing ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
apt-get install -y -qq --no-install-recommends $missing >/dev/null
