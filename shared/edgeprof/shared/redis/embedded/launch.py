"""A separate program: takes the lock of the data folder, then becomes redis-server.

`python launch.py STATUS LOCK OUTPUT PROGRAM ARGUMENT…`, the first two being inherited descriptors.
A record lock belongs to the process that takes it, so redis-server itself must have taken it: this
code runs in the process that then becomes redis-server. It imports no edgeprof code, to be fast.
"""

import fcntl
import os
import sys


def main() -> None:
    """Run PROGRAM. STATUS gets the reason for a failure, or is closed empty once PROGRAM runs."""
    status, lock = int(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)  # the server has no parent here, so nobody has to wait for it
    os.umask(0o077)  # the append-only file holds every prompt
    os.setsid()  # Ctrl-C in the terminal that started it must not stop it
    os.set_inheritable(status, False)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        output = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # Python ignores SIGXFSZ, and the server inherits that: a file size limit is an error to it,
        # not its end.
        os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 - no shell, by design
    except OSError as error:
        os.write(status, f"{error.errno} {error.strerror}".encode())
        os._exit(1)


if __name__ == "__main__":
    main()
