# SPDX-License-Identifier: GPL-2.0-or-later
"""The colours of the stages, in figures, on pages and in a terminal."""

#: One colour per stage. Grey is the program, blue the way into the kernel, orange the handler and
#: its reply, purple waiting, green the copy, teal the way out. Stages that follow each other also
#: differ in lightness, so that they can be told apart by colour-blind readers and in grey print.
STAGE_COLOURS = {
    "encode": "#9aa1aa",
    "send_entry": "#3f8fd0",
    "entry": "#3f8fd0",
    "deliver": "#8cc4ef",
    "handler": "#d4570f",
    "reply": "#efab3c",
    "queue": "#8265b8",
    "wake": "#c99fdb",
    "copy": "#158a63",
    "recv_exit": "#7fcfc4",
    "exit": "#7fcfc4",
    "send_exit": "#7fcfc4",
    "decode": "#6f7781",
    "unexplained": "#c2b280",
}
