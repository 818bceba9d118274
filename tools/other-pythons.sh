#!/bin/sh
# Run the suite on every Python from 3.11 to 3.14 that is on this machine, but for the one that ran it already; say which are not.
set -eu
done_already=$1
for version in 3.11 3.12 3.13 3.14; do
    [ "$version" = "$done_already" ] && continue
    found=
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python "/usr/local/bin/python$version"; do
        if "$python" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; then
            found=$python
            break
        fi
    done
    if [ -n "$found" ]; then
        echo "== Python $version: $found"
        make --no-print-directory test-one PYTHON="$found" VENV=".venv-$version"
    else
        echo "== Python $version: not on this machine, skipped"
    fi
done
