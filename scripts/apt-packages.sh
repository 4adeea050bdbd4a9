#!/bin/sh
# Install the Debian packages that are missing: compilers, emulators, Redis, Prometheus; start none of them.
# Usage: apt-packages.sh STAMP PACKAGE...   The stamp is made when nothing is missing any more.
set -eu

stamp=$1
shift

have() {
    dpkg-query --show --showformat='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

missing=
if command -v dpkg-query >/dev/null 2>&1; then
    for package in "$@"; do
        have "$package" || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        as_root=
        if [ "$(id -u)" -ne 0 ]; then
            as_root=sudo
        fi
        echo "set-up: installing Debian packages:$missing"
        export DEBIAN_FRONTEND=noninteractive
        # Some packages start a service as they are installed (Redis, Prometheus): we run our own, on our own
        # ports, so Debian's way of saying no is put in place meanwhile.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
            $as_root chmod 755 "$policy"
            # shellcheck disable=SC2064  # expanded now, on purpose
            trap "$as_root rm -f $policy" EXIT
        fi
        # shellcheck disable=SC2086  # $missing is a list of words, and an empty $as_root must vanish
        if ! { $as_root apt-get update -qq &&
            $as_root apt-get install -qq -y --no-install-recommends $missing >/dev/null; }; then
            echo "set-up: apt-get failed; install these yourself and run make again:$missing" >&2
            exit 1
        fi
    fi
else
    echo "set-up: this is not Debian or Ubuntu; these packages, or what your system calls them, are needed:"
    echo "  $*"
    echo "set-up: going on; what is missing will be named where it is used"
fi
mkdir -p "$(dirname "$stamp")"
touch "$stamp"
