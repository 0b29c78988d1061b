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

    ``point`` is the point of ``run.events`` that it is observed for; it is ``""`` for functions
    that only tell the filter what is traced, such as ``netlink_insert``. ``entry`` and
    ``returns``: where it is probed. ``blocks``: a call may sleep for long, so a kretprobe needs
    one instance for each waiting thread. ``needed``: without this function no recording is
    made. ``instead``: it is probed only where the kernel lacks that other function, which
    tells the same at less cost.
    """

    name: str
    point: str
    entry: bool = True
    returns: bool = True
    blocks: bool = False
    needed: bool = False
    instead: str = ""


FUNCTIONS = (
    Function("netlink_sendmsg", "netlink_sendmsg", blocks=True, needed=True),
    Function("netlink_recvmsg", "netlink_recvmsg", blocks=True, needed=True),
    Function("__sys_setsockopt", "setsockopt", needed=True),
    Function("__sys_getsockopt", "getsockopt", needed=True),
    Function("do_sys_poll", "poll", blocks=True),
    Function("do_select", "poll", blocks=True),
    Function("do_epoll_wait", "poll", blocks=True),
    Function("datagram_poll", "", returns=False),
    Function("netlink_unicast", "netlink_unicast", returns=False, needed=True),
    Function("netlink_broadcast", "netlink_broadcast"),
    Function("__netlink_sendskb", "__netlink_sendskb", returns=False, needed=True),
    Function("netlink_overrun", "netlink_overrun", returns=False),
    Function("netlink_rcv_skb", "netlink_rcv_skb", returns=False),
    Function("netlink_dump", "netlink_dump"),
    Function("netlink_insert", "", returns=False, needed=True),
    Function("netlink_release", "", returns=False),
    Function("nf_setsockopt", "nf_setsockopt", needed=True),
    Function("nf_getsockopt", "nf_getsockopt", needed=True),
    Function("skb_free_datagram", "skb_copy_datagram_iter", returns=False),
    Function(
        "skb_copy_datagram_iter",
        "skb_copy_datagram_iter",
        entry=False,
        instead="skb_free_datagram",
    ),
)

#: Kernel tracepoints by which the filter follows new and ended threads.
TASK_TRACEPOINTS = ("sched_process_fork", "sched_process_exec", "sched_process_exit")
#: The kernel tracepoint at the begin of the copy of a datagram.
COPY_TRACEPOINT = "skb_copy_datagram_iovec"
#: Tracepoints of msgchan (kmod/msgchan_trace.h): of whole requests, where traced threads can be
#: marked and where not, and of messages on its ICMP protocol.
HANDLED_MARKED, HANDLED_ANY, ICMP_SENT = "handled", "handled_any", "icmp_sent"
#: Functions whose probes mark sockets, or ask whether one is marked: fentry must observe them all.
MARKING = ("netlink_sendmsg", "netlink_recvmsg", "netlink_unicast", "netlink_insert",
           "__netlink_sendskb", "netlink_overrun")  # fmt: skip

#: Fields whose offsets the probes need: macro of the program text -> path in BTF.
OFFSETS = {
    "OFF_SKB_DATA": "sk_buff.data",
    "OFF_SKB_LEN": "sk_buff.len",
    "OFF_SKB_CB": "sk_buff.cb",
    "OFF_CB_PORTID": "netlink_skb_parms.portid",
    "OFF_SOCK_NET": "sock.__sk_common.skc_net.net",
    "OFF_SOCK_FAMILY": "sock.__sk_common.skc_family",
    "OFF_SOCK_PROTOCOL": "sock.sk_protocol",
    "OFF_SOCKET_SK": "socket.sk",
    "OFF_NET_INUM": "net.ns.inum",
    "OFF_NETLINK_PORTID": "netlink_sock.portid",
    "OFF_NETLINK_CB_RUNNING": "netlink_sock.cb_running",
    "OFF_NETLINK_DUMP_ERRNO": "netlink_sock.dump_done_errno",
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
#: Where a socket and a thread keep what marks them; only kernels since commit a10787e6d58c
#: ("Enable task local storage for tracing programs") have both.
STORAGE = {
    "OFF_SOCK_STORAGE": "sock.sk_bpf_storage",
    "OFF_TASK_STORAGE": "task_struct.bpf_storage",
}
