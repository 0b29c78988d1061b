/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The wire format of the ring buffer: one 64-byte record per observation.
 * tracer/event.py repeats these layouts for numpy; tests/unit/test_event.py
 * compares the offset and size of every field.
 */
#ifndef TRACER_EVENT_H
#define TRACER_EVENT_H

#include <linux/types.h>

enum tracer_kind {
	TRACER_SPAN = 1,	/* a finished call, or an instant (start_ns == end_ns) */
	TRACER_MESSAGE = 2,	/* second or later nlmsghdr in buf, which netlink_unicast sends */
	TRACER_TASK = 3,	/* a thread and its name: struct tracer_task */
};

enum tracer_point {
	TRACER_SYS_SENDTO = 1,
	TRACER_SYS_SENDMSG,
	TRACER_SYS_SENDMMSG,
	TRACER_SYS_WRITE,
	TRACER_SYS_RECVFROM,
	TRACER_SYS_RECVMSG,
	TRACER_SYS_RECVMMSG,
	TRACER_SYS_READ,
	TRACER_SYS_SETSOCKOPT,
	TRACER_SYS_GETSOCKOPT,
	TRACER_SYS_POLL,
	TRACER_NETLINK_UNICAST,
	TRACER_NETLINK_BROADCAST,
	TRACER_NETLINK_SENDSKB,
	TRACER_NETLINK_RCV_SKB,
	TRACER_NETLINK_DUMP,
	TRACER_NETLINK_OVERRUN,
	TRACER_NF_SETSOCKOPT,
	TRACER_NF_GETSOCKOPT,
	TRACER_SKB_COPY,
	TRACER_COPY_TO_USER,
	TRACER_MSGCHAN_HANDLER,
	TRACER_MSGCHAN_COPY,
	TRACER_POINTS
};

enum tracer_direction {
	TRACER_TO_KERNEL = 1,
	TRACER_TO_USER = 2,
	TRACER_TO_PEER = 3,
};

struct tracer_event {
	__u64 start_ns;		/* CLOCK_MONOTONIC */
	__u64 end_ns;
	__u64 buf;		/* address of the sk_buff; at msgchan points the request's token */
	union {
		struct {
			__u32 portid;	/* netlink: the user side's port id */
			__u32 seq;
		};
		__u64 sock;	/* socket options: address of the struct sock */
	};
	__u32 tid;
	__u32 tgid;
	__u32 netns;		/* inode number of the network namespace */
	__u32 size;		/* bytes */
	__s32 ret;
	__u16 type;		/* nlmsg_type, or the socket option's number */
	__u16 flags;		/* nlmsg_flags; of a receive MSG_*; of a dump 1 in its last part */
	__u16 cpu;
	__u8 kind;
	__u8 point;
	__u8 depth;		/* number of observed calls that enclose this one */
	__u8 proto;		/* netlink protocol; enum msgchan_channel at msgchan points */
	__u16 direction;	/* netlink_unicast: enum tracer_direction */
};

/*
 * A thread and its name. Fields that struct tracer_event has too (tid, tgid,
 * netns, cpu, kind, ...) have the same offsets in both, so that a reader can look
 * at kind before it knows which of the two a record is.
 */
struct tracer_task {
	__u64 start_ns;		/* when the name was read */
	char comm[16];
	__u64 reserved0;
	__u32 tid;
	__u32 tgid;
	__u32 netns;
	__u32 ppid;		/* tgid of the parent */
	__u64 reserved1;
	__u16 cpu;
	__u8 kind;
	__u8 point;
	__u8 depth;
	__u8 proto;
	__u16 reserved2;
};

#endif /* TRACER_EVENT_H */
