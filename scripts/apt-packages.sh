#!/bin/sh
# Install missing Debian packages (compilers, emulators, Redis, Prometheus) without starting any.
# Usage: apt-packages.sh STAMP PACKAGE... [--optional PACKAGE...]
# The stamp is written when no package is missing but optional ones, which not every system has.
set -eu

stamp=$1
shift

have() {
    dpkg-query --show --showformat='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

install() {
    # shellcheck disable=SC2086  # an empty $as_root must be no argument
    $as_root apt-get update -qq &&
        $as_root apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

missing=
optional=
if command -v dpkg-query >/dev/null 2>&1; then
    kind=needed
    for package in "$@"; do
        if [ "$package" = --optional ]; then
            kind=optional
        elif ! have "$package"; then
            if [ $kind = needed ]; then
                missing="$missing $package"
            else
                optional="$optional $package"
            fi
        fi
    done
    if [ -n "$missing$optional" ]; then
        as_root=
        if [ "$(id -u)" -ne 0 ]; then
            as_root=sudo
        fi
        echo "set-up: installing Debian packages:$missing$optional"
        export DEBIAN_FRONTEND=noninteractive
        # The packages of Redis and Prometheus start a service when they are installed. The project
        # starts its own, so policy-rc.d forbids it meanwhile.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
            $as_root chmod 755 "$policy"
            # shellcheck disable=SC2064  # expanded now, by intent
            trap "$as_root rm -f $policy" EXIT
        fi
        # shellcheck disable=SC2086  # lists
        if [ -n "$missing" ] && ! install $missing; then
            echo "set-up: apt-get failed; install these yourself and run make again:$missing" >&2
            exit 1
        fi
        # shellcheck disable=SC2086
        if [ -n "$optional" ] && ! install $optional; then
            echo "set-up: apt-get failed; going on without:$optional" >&2
        fi
    fi
else
    echo "set-up: this is not Debian or Ubuntu; install your system's packages for these:"
    echo "  $*"
    echo "set-up: going on; what is missing will be named where it is used"
fi
mkdir -p "$(dirname "$stamp")"
touch "$stamp"
