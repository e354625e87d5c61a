#!/usr/bin/env bash
# Chromium, for the tests of the explorer in a real browser; the font is what it writes with.
set -uo pipefail
. "$(dirname "$0")/debian.sh"
debian_programs Chromium "chromium" "chromium fonts-dejavu-core" 300
