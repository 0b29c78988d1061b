# SPDX-License-Identifier: GPL-2.0-or-later
"""The stages of an exchange, defined by the two observations that bound each of them."""

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
"""Every stage, in the order in which an exchange goes through them.

Each stage begins where the one before it ends: both share one observation. So the stages of an
exchange add up to its total, if all were observed. An exchange goes through the stages of
its channel only; those marked *netlink* or *socket options* belong to these channels.

encode
    From the begin of the program's send (or of its socket-option call) until it enters
    ``netlink_sendmsg`` (or the system call). Known only if the program keeps a log.
send_entry
    *Netlink.* From the entry of ``netlink_sendmsg`` to the entry of ``netlink_unicast``.
entry
    *Socket options.* From the entry of the system call to the begin of the handler.
deliver
    *Netlink.* From the entry of ``netlink_unicast`` to the begin of the kernel's handler. A
    message to another process (``peer``) has no such stage.
handler
    From the begin of the handler until it is done. msgchan reports that; of other handlers it
    is where they send their reply, or for a socket option where they begin to copy or return. Of a
    request without reply it is the return of the send call, inside which the kernel handles it.
    Where its begin is not observed, it begins at ``netlink_unicast``, and there is no ``deliver``.
    A dump whose later parts are made inside receive calls is in this stage again each time.
reply
    *Netlink.* From there until the reply is queued at the receiver's socket. ``notify`` begins
    with this stage, where the kernel sends; of ``peer`` it begins at ``netlink_unicast``.
queue
    *Netlink.* From there until the receiver asks for the message by a receive call. 0 if the
    receiver already waited, in a receive call or in poll, select or epoll.
wake
    *Netlink.* From there until the copy to user space begins, for example the time in which a
    waiting receiver is woken.
copy
    The copy to user space (not of ``setsockopt``, which copies nothing out).
recv_exit
    *Netlink.* From the end of the copy to the return of ``netlink_recvmsg``, or to the making of
    a dump's next part in that call.
exit
    *Socket options.* From the end of the copy or handler to the return of the system call.
send_exit
    *Netlink*, requests without a reply, if msgchan tells when its handler is done. From there to
    the return of the send call.
decode
    From the return of ``netlink_recvmsg`` (or of the system call) to the end of the program's
    receive (or of its socket-option call). Known only if the program keeps a log.
"""
