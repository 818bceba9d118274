#!/bin/sh
# Run the suite on every other Python from 3.11 to 3.14 on this machine; report which versions are missing.
# Two builds of one version are both run if their TLS differs: Debian's OpenSSL has other defaults than a build from source.
set -eu
identity='
import ensurepip, ssl, sys, venv
default = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
print("%d.%d" % sys.version_info[:2], ssl.OPENSSL_VERSION, default.minimum_version, default.security_level, sep="|")
'
# Identities that the suite has run on, one a line: first the one that the caller used.
finished=$("$1" -c "$identity")
for version in 3.11 3.12 3.13 3.14; do
    is_found=
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python \
        "/usr/local/bin/python$version" "/usr/bin/python$version"; do
        build=$("$python" -c "$identity" 2>/dev/null) || continue
        [ "${build%%|*}" = "$version" ] || continue
        is_found=yes
        printf '%s\n' "$finished" | grep -qxF "$build" && continue
        finished="$finished
$build"
        echo "== Python $version: $python ($build)"
        venv=".venv-$version-$(printf '%s' "$python" | cksum | cut -d' ' -f1)"
        make --no-print-directory test-one PYTHON="$python" VENV="$venv"
    done
    [ -n "$is_found" ] || echo "== Python $version: not on this machine, or without python3-venv: skipped"
done
