#!/usr/bin/env bash
# Install requirements.txt and this package into $VENV. `make setup` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
CPU_WHEELS=https://download.pytorch.org/whl/cpu

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "$PYTHON is older than Python 3.10: make PYTHON=python3.11 ..." >&2; exit 1; }
"$PYTHON" -m venv "$VENV" || {
    echo "No virtual environment: apt-get install python3-venv, then again." >&2; exit 1; }
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }

# Without a GPU the CPU build of PyTorch does; the default one brings 3 GB of CUDA libraries.
extra=()
if ! command -v nvidia-smi >/dev/null 2>&1 && "$PYTHON" -c "
import urllib.request; urllib.request.urlopen('$CPU_WHEELS/torch/', timeout=5)" 2>/dev/null; then
    extra=(--extra-index-url "$CPU_WHEELS")
fi
echo "Installing into $VENV ..."
pip install --quiet --prefer-binary "${extra[@]}" -r requirements.txt
pip install --quiet --no-deps --no-build-isolation --editable .
if ! "$VENV/bin/python" -c 'import cv2' 2>/dev/null; then
    # No libGL, as on servers: the build of OpenCV without windows.
    version=$(pip show opencv-python | sed -n 's/^Version: //p')
    pip install --quiet --force-reinstall --no-deps "opencv-python-headless==$version"
fi
"$VENV/bin/python" tools/doctor.py
