"""Draws a real run of a command in a terminal as SVG: `terminal.py OUT.svg ROWS COMMAND…`. Of longer runs the first rows and the last are shown."""

import html
import os
import pty
import re
import sys

COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "34": "#79c0ff", "35": "#d2a8ff", "36": "#76e3ea", "2": "#8b949e", "90": "#8b949e"}
PLAIN, GROUND, SIZE, LEADING = "#c9d1d9", "#0d1117", 13, 19


def said(command):
    """What the command says to a terminal."""
    parts = []

    def read(descriptor):
        parts.append(os.read(descriptor, 65536))
        return b""

    pty.spawn(command, read)
    return b"".join(parts).decode().replace("\r", "")


def pieces(line):
    """The line's text with the colour of each part."""
    colour = PLAIN
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            codes = part[2:-1].split(";")
            colour = next((COLOURS[code] for code in codes if code in COLOURS), PLAIN)
        elif part:
            yield colour, part


def drawn(lines):
    """The SVG."""
    width = max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines) * SIZE * 0.602 + 32
    height = len(lines) * LEADING + 30
    rows = []
    for row, line in enumerate(lines):
        spans = "".join(f'<tspan fill="{colour}">{html.escape(text)}</tspan>' for colour, text in pieces(line))
        rows.append(f'<text x="16" y="{28 + row * LEADING}" xml:space="preserve">{spans}</text>')
    style = f'font-family="ui-monospace,SFMono-Regular,Menlo,DejaVu Sans Mono,monospace" font-size="{SIZE}"'
    frame = f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" {style}>{frame}{"".join(rows)}</svg>\n'


def main():
    out, rows, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    lines = said(command).rstrip("\n").split("\n")
    if len(lines) > rows:
        first = rows // 2
        lines = [*lines[:first], "   …", *lines[first - rows + 1 :]]
    with open(out, "w") as file:
        file.write(drawn([f"$ {' '.join([os.path.basename(command[0]), *command[1:]])}", *lines]))


if __name__ == "__main__":
    main()
