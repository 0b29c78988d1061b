# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel functions, tracepoints and fields that the probes use: input of the attach plan."""

from __future__ import annotations

from dataclasses import dataclass

#: The kinds of site. docs/design.md lists which kinds each point may be observed by.
FENTRY, KPROBE, RAW_TRACEPOINT, MODULE_TRACEPOINT, RELAY, BREAKPOINT, ABSENT = (
    "fentry",
    "kprobe",
    "raw_tracepoint",
    "module_tracepoint",
    "relay",
    "breakpoint",
    "absent",
)


@dataclass(frozen=True)
class Function:
    """A kernel function that is probed.

    ``point`` is the point of the records it writes; it is ``""`` for functions that write
    none and only tell the filter what is traced, such as ``netlink_insert``. ``returns``:
    the return is probed as well as the entry. ``blocks``: a call may sleep for long, so a
    kretprobe needs one instance for each waiting thread. ``needed``: without this function
    no recording is made.
    """

    name: str
    point: str
    returns: bool = True
    blocks: bool = False
    needed: bool = False


FUNCTIONS = (
    Function("__sys_sendto", "sendto", blocks=True, needed=True),
    Function("__sys_sendmsg", "sendmsg", blocks=True, needed=True),
    Function("__sys_sendmmsg", "sendmmsg", blocks=True),
    Function("sock_write_iter", "write", blocks=True),
    Function("__sys_recvfrom", "recvfrom", blocks=True, needed=True),
    Function("__sys_recvmsg", "recvmsg", blocks=True, needed=True),
    Function("do_recvmmsg", "recvmmsg", blocks=True),
    Function("sock_read_iter", "read", blocks=True),
    Function("__sys_setsockopt", "setsockopt", needed=True),
    Function("__sys_getsockopt", "getsockopt", needed=True),
    Function("do_sys_poll", "poll", blocks=True),
    Function("do_select", "poll", blocks=True),
    Function("do_epoll_wait", "poll", blocks=True),
    Function("datagram_poll", "", returns=False),
    Function("netlink_unicast", "netlink_unicast", needed=True),
    Function("netlink_broadcast", "netlink_broadcast"),
    Function("__netlink_sendskb", "__netlink_sendskb", returns=False),
    Function("netlink_overrun", "netlink_overrun", returns=False),
    Function("netlink_rcv_skb", "netlink_rcv_skb", returns=False),
    Function("netlink_dump", "netlink_dump"),
    Function("netlink_insert", "", returns=False, needed=True),
    Function("netlink_release", "", returns=False),
    Function("nf_setsockopt", "nf_setsockopt", needed=True),
    Function("nf_getsockopt", "nf_getsockopt", needed=True),
    Function("skb_copy_datagram_iter", "skb_copy_datagram_iter", needed=True),
)

#: Kernel tracepoints by which the filter follows new and ended threads.
TASK_TRACEPOINTS = ("sched_process_fork", "sched_process_exec", "sched_process_exit")
#: Tracepoints of msgchan (kmod/msgchan_trace.h), but for the relay's.
MODULE_TRACEPOINTS = (
    "request_received",
    "handler_done",
    "reply_sent",
    "copy_begin",
    "copy_end",
)

#: Fields whose offsets the probes need: macro of the program text -> path in BTF.
OFFSETS = {
    "OFF_SKB_DATA": "sk_buff.data",
    "OFF_SKB_LEN": "sk_buff.len",
    "OFF_SKB_SK": "sk_buff.sk",
    "OFF_SOCK_NET": "sock.__sk_common.skc_net.net",
    "OFF_SOCK_FAMILY": "sock.__sk_common.skc_family",
    "OFF_SOCK_PROTOCOL": "sock.sk_protocol",
    "OFF_SOCKET_SK": "socket.sk",
    "OFF_NET_INUM": "net.ns.inum",
    "OFF_NETLINK_PORTID": "netlink_sock.portid",
    "OFF_NETLINK_CB_RUNNING": "netlink_sock.cb_running",
    "OFF_TASK_PID": "task_struct.pid",
    "OFF_TASK_TGID": "task_struct.tgid",
    "OFF_TASK_COMM": "task_struct.comm",
    "OFF_TASK_EXIT_CODE": "task_struct.exit_code",
    "OFF_TASK_CRED": "task_struct.cred",
    "OFF_CRED_FSUID": "cred.fsuid",
    "OFF_TASK_REAL_PARENT": "task_struct.real_parent",
    "OFF_TASK_NSPROXY": "task_struct.nsproxy",
    "OFF_NSPROXY_NET": "nsproxy.net_ns",
}
