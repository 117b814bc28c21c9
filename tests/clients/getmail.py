"""getmail6, which delivers every mail in a child of its own, with another way of waiting for that child: its own (6.18) sleeps
until it is told of an end that may have come before it slept. What it says to the server is its own.
"""
import os
import runpy
import sys

from getmailcore import baseclasses


def begin(self):
    pass


def wait(self, child):
    status = os.waitpid(child, 0)[1]
    if not os.WIFEXITED(status):
        raise baseclasses.getmailOperationError(f"the child that delivers ended with status {status}")
    return os.WEXITSTATUS(status)


baseclasses.ForkingBase._prepare_child = begin
baseclasses.ForkingBase._wait_for_child = wait
sys.argv[0] = "getmail"
runpy.run_path("/usr/bin/getmail", run_name="__main__")
