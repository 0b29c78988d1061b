# SPDX-License-Identifier: GPL-2.0-or-later
"""The stages of an exchange: what lies between which two observations."""

STAGES = (
    "encode",
    "send_entry",
    "entry",
    "deliver",
    "handler",
    "reply",
    "queue",
    "wake",
    "copy",
    "recv_exit",
    "exit",
    "send_exit",
    "decode",
)
"""Every stage, in the order of an exchange's critical path.

Adjacent stages share the observation between them, so they add up.

encode
    The program's own: its send, or its socket-option call, begins → entry of the system call.
send_entry
    Netlink: → entry of ``netlink_unicast``.
entry
    Socket options: → the handler begins.
deliver
    Netlink: → the handler begins.
handler
    → the handler is done, or the reply's ``netlink_unicast``, or the copy begins; the later
    parts of a dump.
reply
    → the reply lies in the receiver's queue.
queue
    → the receiver asks for it; 0 when it already waited.
wake
    → the copy to user space begins.
copy
    → the copy ends.
recv_exit
    → return of the receive call.
exit
    Socket options: → return of the system call.
send_exit
    Only without a reply: the handler is done → return of the send call.
decode
    The program's own: → its receive, or its call, ends.
"""
