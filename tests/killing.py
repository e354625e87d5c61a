"""Processes that are forked, to start at once, and that kill themselves in the middle of writing a file."""

import os
import signal
import sys
import traceback

CALLS = ("replace", "fsync", "chmod")  # what the writing of a file goes through, in `os`


def die_at_call(number, before):
    """Let this process kill itself at its n-th step of writing a file, just before or just after it."""
    count = [0]

    def counted(call):
        def wrapped(*args, **kwargs):
            count[0] += 1
            if count[0] == number and before:
                os.kill(os.getpid(), signal.SIGKILL)
            done = call(*args, **kwargs)
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return wrapped

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def fork(action):
    """Run ``action`` in a forked process, whose number is returned; an error is told on its standard error."""
    pid = os.fork()
    if pid:
        return pid
    try:
        action()
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def end(pid):
    """Wait for a process; the signal that ended it, or its exit status."""
    status = os.waitpid(pid, 0)[1]
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
