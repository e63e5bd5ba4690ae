#!/usr/bin/env bash
# Install this package with the newest or the oldest versions it allows, into an environment of its
# own that is removed afterwards, and run tests/smoke.py there:
#   tools/smoke_env.sh newest|oldest
set -euo pipefail
cd "$(dirname "$0")/.."
WHICH=${1:?newest or oldest}
PYTHON=${PYTHON:-python3}
CPU_WHEELS=https://download.pytorch.org/whl/cpu
export PIP_DISABLE_PIP_VERSION_CHECK=1 OMP_NUM_THREADS=1
unset PYTHONPATH

folder=$(mktemp -d "${TMPDIR:-/tmp}/mmppvit-$WHICH.XXXXXX")
trap 'rm -rf "$folder"' EXIT
started=$SECONDS
"$PYTHON" -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip "$@"; }

extra=()
[ "$WHICH" = newest ] || extra+=(--constraint tests/oldest.txt)
# The CPU build of PyTorch where it can be had: the default one brings 3 GB of CUDA libraries.
if ! command -v nvidia-smi >/dev/null 2>&1 && "$PYTHON" -c "
import urllib.request; urllib.request.urlopen('$CPU_WHEELS/torch/', timeout=5)" 2>/dev/null; then
    extra+=(--extra-index-url "$CPU_WHEELS")
fi
echo "Installing the $WHICH versions ..."
if ! pip install --quiet --prefer-binary --no-cache-dir "${extra[@]}" '.[mmdet,lite]'; then
    # A failure is one of ours, unless nothing at all can be downloaded.
    if pip download --quiet --no-deps --no-cache-dir --dest "$folder" click >/dev/null 2>&1; then
        echo "The $WHICH versions do not install." >&2
        exit 1
    fi
    echo "############ NOT TESTED: no package index is reachable, so the $WHICH versions" \
        "cannot be installed. ############" >&2
    exit 0
fi
echo "installed in $((SECONDS - started)) s, $(du -sm "$folder/venv" | cut -f1) MB"
"$folder/venv/bin/python" - tests/smoke.py "$folder" <<'PY'
import shutil, sys
shutil.copy(sys.argv[1], sys.argv[2])  # away from the source tree: the installed package is meant
PY
cd "$folder"
venv/bin/python smoke.py
