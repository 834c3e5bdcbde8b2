"""A terminal of its own for a program: 24 x 100, then 8 x 40; waits for a word in both, ends the program, and tells as JSON what was drawn and left.

terminal.py ENDING WORD PROGRAM ARGUMENTS...: ENDING is what is typed, or TERM for the signal; `gone PID` ends that process, waits for the program
to say that it tries again, and then types q. Every wait has a deadline.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

ending, word, *command = sys.argv[1:]
deadline = time.monotonic() + 15
controller, terminal = pty.openpty()


def resize(rows, columns):
    fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


resize(24, 100)
before = termios.tcgetattr(terminal)
child = os.fork()
if child == 0:
    os.close(controller)
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for descriptor in range(3):
        os.dup2(terminal, descriptor)
    os.execv(command[0], command)

drawn = b""


def read_until(found):
    """Reads what is drawn until `found` finds something in it."""
    global drawn
    while True:
        result = found()
        if result:
            return result
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain; drawn so far: {drawn!r}")
        ready, _, _ = select.select([controller], [], [], 0.05)
        if ready:
            drawn += os.read(controller, 65536)


def picture(rows):
    """The lines of the last whole picture, without colours, if it has the word and was drawn for so many rows."""
    whole = drawn.decode(errors="replace").split("\x1b[H")[1:]
    whole = [frame for frame in whole if "\x1b[J" in frame]
    if not whole:
        return None
    lines = re.sub(r"\x1b\[[0-9;]*m", "", whole[-1].split("\x1b[J")[0]).replace("\x1b[K", "").replace("\r", "").split("\n")
    return lines if len(lines) <= rows and any(line.startswith(word) for line in lines) else None


wide = read_until(lambda: picture(24))
narrow = None
if ending.startswith("gone "):
    os.kill(int(ending.removeprefix("gone ")), signal.SIGTERM)
    read_until(lambda: b"trying again" in drawn)
else:
    resize(8, 40)
    narrow = read_until(lambda: picture(8))
if ending == "TERM":
    os.kill(child, signal.SIGTERM)
else:
    os.write(controller, b"q" if ending.startswith("gone ") else ending.encode())

status = None


def ended():
    global status
    pid, status = os.waitpid(child, os.WNOHANG)
    return pid == child


read_until(ended)
while select.select([controller], [], [], 0.05)[0]:
    drawn += os.read(controller, 65536)
print(json.dumps({
    "wide": wide,
    "narrow": narrow,
    "all": drawn.decode(errors="replace"),
    "code": os.waitstatus_to_exitcode(status),
    "restored": termios.tcgetattr(terminal) == before,
}))
