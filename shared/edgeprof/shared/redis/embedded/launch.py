"""A program of its own: take the lock of the data folder, then become redis-server.

`python launch.py STATUS LOCK OUTPUT PROGRAM ARGUMENT…`, the first two being inherited descriptors. Only the
process that holds a record lock can keep it, so redis-server itself must have taken it: this is the
piece of code that runs in its process before it does. It imports nothing of edgeprof, to be quick.
"""

import fcntl
import os
import sys


def main() -> None:
    """Write into STATUS why it failed; STATUS closed without a word means that PROGRAM runs."""
    status, lock = int(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)  # the server is nobody's child: nobody has to wait for it, none leaves a zombie
    os.umask(0o077)  # the append-only file holds every prompt
    os.setsid()  # Ctrl-C in the terminal that started it is not meant for it
    os.set_inheritable(status, False)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        output = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # Python ignores SIGXFSZ, and so will the server: a file size limit is an error, not its end.
        os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 - no shell, by design
    except OSError as error:
        os.write(status, f"{error.errno} {error.strerror}".encode())
        os._exit(1)


if __name__ == "__main__":
    main()
