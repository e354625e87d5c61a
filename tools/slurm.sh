#!/usr/bin/env bash
# Install a real Slurm from Debian's or Ubuntu's packages, for the tests of suites in a cluster; nothing is started.
# Where it cannot be had (no root, no apt, no network) it says why and ends at once, or after 90 seconds at the most: the
# tests are then skipped with their reason.
set -uo pipefail

programs="munged slurmctld slurmd sbatch squeue scontrol srun"
packages="slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"
there() { for program in $programs; do command -v "$program" >/dev/null || return 1; done; }
give_up() { echo "No Slurm: $1. The tests of suites in a cluster will be skipped." >&2; exit "${STRICT:-0}"; }

there && { echo "Slurm is installed: $(slurmctld -V)"; exit 0; }
[ "$(id -u)" = 0 ] || give_up "installing its packages wants root (sudo apt-get install $packages)"
command -v apt-get >/dev/null || give_up "there is no apt-get here"

quick="-o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 -o DPkg::Lock::Timeout=20"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
# shellcheck disable=SC2086
timeout 30 apt-get $quick update -qq || give_up "apt-get update failed"
# shellcheck disable=SC2086
timeout 60 apt-get $quick install -y -qq --no-install-recommends $packages >/dev/null || give_up "apt-get install failed"
there || give_up "its packages lack one of $programs"
echo "Installed: $(slurmctld -V)"
