# Sourced by slurm.sh and chromium.sh: install programs from Debian's or Ubuntu's packages; nothing is started.
# Where that cannot be (no root, no apt, no network) it says why and ends at once, or after a few minutes at the most: the
# tests are then skipped with their reason. With STRICT=1, as CI has it, that is a failure instead.
# $1: name; $2: its programs; $3: its packages; $4: seconds that their download may take.
debian_programs() {
  local name="$1" programs="$2" packages="$3" limit="$4" program
  there() { for program in $programs; do command -v "$program" >/dev/null || return 1; done; }
  give_up() { echo "No $name: $1. The tests that want it will be skipped." >&2; exit "${STRICT:-0}"; }

  there && { echo "$name is installed"; return; }
  [ "$(id -u)" = 0 ] || give_up "installing its packages wants root (sudo apt-get install $packages)"
  command -v apt-get >/dev/null || give_up "there is no apt-get here"
  local quick="-o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 -o DPkg::Lock::Timeout=20"
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  # shellcheck disable=SC2086
  timeout 60 apt-get $quick update -qq || give_up "apt-get update failed"
  # shellcheck disable=SC2086
  timeout "$limit" apt-get $quick install -y -qq --no-install-recommends $packages >/dev/null || give_up "apt-get install failed"
  there || give_up "its packages lack one of $programs"
  echo "$name: installed"
}
