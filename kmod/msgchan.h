/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * msgchan: the user-space interface of the message channel module.
 *
 * There are two netlink protocols and a range of socket options. struct
 * msgchan_request is the same on netlink_proto and on the socket options.
 * All integers are in host byte order unless a comment says so.
 */
#ifndef _UAPI_MSGCHAN_H
#define _UAPI_MSGCHAN_H

#include <linux/types.h>

/* Defaults of the module parameters of the same names. */
#define MSGCHAN_SOCKOPT_BASE	10128
#define MSGCHAN_NETLINK_PROTO	30
#define MSGCHAN_ICMP_PROTO	31

/* Socket options of level SOL_IP, relative to sockopt_base. */
#define MSGCHAN_SO_TEXT		0	/* set: store and log; get: fixed text */
#define MSGCHAN_SO_REQUEST	1	/* structured request */
#define MSGCHAN_SO_COUNT	2

/* Answers of the plain-text channels. */
#define MSGCHAN_SOCKOPT_TEXT	"--------kernel---------"	/* sent with its NUL */
#define MSGCHAN_NETLINK_TEXT	"hello users"			/* sent without its NUL */
#define MSGCHAN_TEXT_MAX	64				/* bytes of text kept from a set */

/* Message types on netlink_proto; operation OP has the type MSGCHAN_TYPE_REQUEST + OP. */
#define MSGCHAN_TYPE_TEXT	0x00	/* request: plain text, any flags */
#define MSGCHAN_TYPE_TEXT_REPLY	30	/* reply to it, whatever the protocol number is */
#define MSGCHAN_TYPE_REQUEST	0x10	/* struct msgchan_request, payload */
#define MSGCHAN_TYPE_REPLY	0x20	/* + OP: struct msgchan_reply, payload */

/* Message types on icmp_proto. */
#define IMP2_U_PID		0	/* register the sending port */
#define IMP2_K_MSG		1	/* struct msgchan_icmp, from the kernel */
#define IMP2_CLOSE		2	/* forget the sending port */

#define MSGCHAN_DELAY_MAX_NS	10000000ULL	/* limit of each delay; above: EINVAL */
#define MSGCHAN_PAYLOAD_MAX	65536		/* bytes in either direction; above: EMSGSIZE */
#define MSGCHAN_PORTS_MAX	4096		/* port ids counted in a network namespace */
#define MSGCHAN_LISTENERS_MAX	256		/* on icmp_proto in a namespace; above: ENOSPC */

enum msgchan_op {
	MSGCHAN_OP_ECHO,	/* the request's payload, cut or zero-filled to reply_size */
	MSGCHAN_OP_SINK,	/* drop the payload; netlink: no reply but an ack; get: header */
	MSGCHAN_OP_SOURCE,	/* reply_size bytes, byte i is (__u8)(token + i) */
	MSGCHAN_OP_STATS,	/* struct msgchan_counters[MSGCHAN_CHANNELS] */
	MSGCHAN_OP_PORTS,	/* struct msgchan_port[], as many as exist and fit reply_size */
	MSGCHAN_OPS
};

/*
 * STATS and PORTS are neither counted nor traced. The payload of PORTS is empty
 * or a __u64: list only the ports with a greater serial number. A caller whose
 * room is too small for all ports asks again with the last serial it got; ports
 * are always listed in the order of their first requests.
 */

/*
 * setsockopt takes ECHO and SINK only, which are the same there: it has no way
 * to return the payload. getsockopt reads this struct and the payload from the
 * caller's buffer and overwrites the buffer with the reply, cut to its length.
 */
struct msgchan_request {
	__u64 token;		/* chosen by the caller; tracepoints and reply repeat it */
	__u32 op;		/* enum msgchan_op; netlink: nlmsg_type - MSGCHAN_TYPE_REQUEST */
	__u32 reply_size;	/* payload bytes of the reply (ECHO, SOURCE, PORTS) */
	__u32 payload_size;	/* payload bytes that follow this struct */
	__u32 error;		/* positive errno to fail with after the handler delay; 0: none */
	__u64 handler_delay_ns;	/* busy-wait in the handler */
	__u64 reply_delay_ns;	/* netlink: between handler done and the reply */
	__u64 copy_delay_ns;	/* get: inside the copy span */
};

/*
 * The waited times say how much each delay lengthened its stage. They are at
 * least the requested delay, and exceed it by up to one turn of the loop that
 * reads the clock; where no delay was requested they are 0.
 */
struct msgchan_reply {
	__u64 token;
	__u32 op;
	__u32 size;		/* payload bytes of the whole reply, even if a get's copy is cut */
	__u64 handler_waited_ns;
	__u64 reply_waited_ns;	/* netlink; 0 otherwise */
	__u64 copy_waited_ns;	/* get; 0 otherwise */
};

enum msgchan_channel {
	MSGCHAN_CH_SETSOCKOPT,
	MSGCHAN_CH_GETSOCKOPT,
	MSGCHAN_CH_NETLINK,
	MSGCHAN_CH_ICMP,	/* requests: register and close; replies: notifications */
	MSGCHAN_CHANNELS
};

/*
 * Counters of one network namespace. Byte counts are the sizes that the
 * tracepoints report. A netlink message counts whole, with its header. A
 * setsockopt, and the request of a getsockopt, count as the length that the
 * caller passed; the reply of a getsockopt counts as the bytes copied out.
 */
struct msgchan_counters {
	__u64 requests;
	__u64 replies;		/* queued or copied out; acks and error messages are replies too */
	__u64 copies;		/* copies to user space made by the module (getsockopt only) */
	__u64 request_bytes;
	__u64 reply_bytes;
	__u64 errors;		/* requests that failed, and replies that were not delivered */
	__u64 waited_ns;	/* sum of all delays; not counted by port */
	__u64 told;		/* requests told by msgchan:handled; not counted by port */
};

/*
 * Requests of one port id on netlink_proto. The entry stays after its socket is
 * closed. When a new port comes and there are MSGCHAN_PORTS_MAX already, the
 * entry whose socket was closed first is evicted.
 *
 * The first entry of every reply is port id 0. It counts what has no entry of
 * its own: the requests of evicted ports, requests of senders without
 * CAP_NET_ADMIN, and requests of ports that got no entry because the sockets of
 * all MSGCHAN_PORTS_MAX others were open or no memory was free.
 */
struct msgchan_port {
	__u32 portid;
	__u32 is_closed;	/* its socket is gone */
	__u64 serial;		/* 1 for the first port, 2, ...; port id 0: number of evictions */
	struct msgchan_counters counters;
};

struct msgchan_icmp {
	__be32 src;
	__be32 dest;
};

#endif /* _UAPI_MSGCHAN_H */
