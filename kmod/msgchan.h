/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * msgchan: the user-space interface of the message channel module.
 *
 * Two netlink protocols and a socket-option range; one structured request
 * for both. All integers are in host byte order unless a comment says so.
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

/* Message types on netlink_proto; operation OP travels as REQUEST + OP. */
#define MSGCHAN_TYPE_TEXT	0x00	/* request: plain text, any flags */
#define MSGCHAN_TYPE_TEXT_REPLY	30	/* reply to it, whatever the protocol number is */
#define MSGCHAN_TYPE_REQUEST	0x10	/* struct msgchan_request, payload */
#define MSGCHAN_TYPE_REPLY	0x20	/* struct msgchan_reply, payload */

/* Message types on icmp_proto. */
#define IMP2_U_PID		0	/* register the sending port */
#define IMP2_K_MSG		1	/* struct msgchan_icmp, from the kernel */
#define IMP2_CLOSE		2	/* forget the sending port */

#define MSGCHAN_DELAY_MAX_NS	10000000ULL	/* EINVAL beyond, for each delay */
#define MSGCHAN_PAYLOAD_MAX	65536		/* bytes, either direction; EMSGSIZE beyond */
#define MSGCHAN_PORTS_MAX	4096		/* port ids in the table of a network namespace */
#define MSGCHAN_LISTENERS_MAX	256		/* of ICMP, per network namespace; ENOSPC beyond */

enum msgchan_op {
	MSGCHAN_OP_ECHO,	/* the request's payload, cut or zero-filled to reply_size */
	MSGCHAN_OP_SINK,	/* takes the payload; netlink: no reply but the ack; get: header */
	MSGCHAN_OP_SOURCE,	/* reply_size bytes, byte i is (__u8)(token + i) */
	MSGCHAN_OP_STATS,	/* struct msgchan_counters[MSGCHAN_CHANNELS] */
	MSGCHAN_OP_PORTS,	/* struct msgchan_port[], as many as exist and fit reply_size */
	MSGCHAN_OPS
};

/*
 * STATS and PORTS are neither counted nor traced. PORTS takes a __u64 as its
 * payload, if any: the serial number after which to go on. Entries keep their
 * order, that of each port's first request.
 */

/*
 * A set takes ECHO (payload stored for nobody, same as SINK) and SINK only.
 * A get reads this struct and the payload from the caller's buffer and
 * overwrites it with the reply, cut to the caller's room.
 */
struct msgchan_request {
	__u64 token;		/* the caller's; reported by the tracepoints */
	__u32 op;		/* enum msgchan_op; on netlink equal to nlmsg_type - REQUEST */
	__u32 reply_size;	/* payload bytes of the reply (ECHO, SOURCE, PORTS) */
	__u32 payload_size;	/* payload bytes that follow this struct */
	__u32 error;		/* positive errno to fail with, after the handler delay; 0: none */
	__u64 handler_delay_ns;	/* busy-wait in the handler */
	__u64 reply_delay_ns;	/* netlink: between handler done and the reply */
	__u64 copy_delay_ns;	/* get: inside the copy span */
};

/*
 * What was really waited is what the delay added to its stage: no less than was
 * asked for, and more by up to one reading of the clock; 0 where 0 was asked for.
 */
struct msgchan_reply {
	__u64 token;
	__u32 op;
	__u32 size;		/* payload bytes that follow, before any cut */
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
 * Of one network namespace. Bytes are those that the tracepoints tell: of
 * netlink the whole message with its header, of a set and of a get's request
 * the length that the caller gave, of a get's reply the bytes copied out.
 */
struct msgchan_counters {
	__u64 requests;
	__u64 replies;		/* queued or copied out with success, acks and errors included */
	__u64 copies;		/* copies to user space made by the module (get) */
	__u64 request_bytes;
	__u64 reply_bytes;
	__u64 errors;		/* requests that failed, and replies that were not delivered */
	__u64 waited_ns;	/* by all delays; not counted by port */
};

/*
 * Requests of one port id on netlink_proto. It is kept after its socket is
 * closed, until MSGCHAN_PORTS_MAX are there and another one comes: then the one
 * that was closed first makes room. What is not counted at a port id of its
 * own is counted at port id 0, with which every reply begins: the counts of those
 * that made room, requests without the right to ask, and ports for which
 * there was no room, because all the others are open.
 */
struct msgchan_port {
	__u32 portid;
	__u32 is_closed;	/* its socket is gone */
	__u64 serial;		/* from 1 on, by first request; port id 0: how many made room */
	struct msgchan_counters counters;
};

struct msgchan_icmp {
	__be32 src;
	__be32 dest;
};

#endif /* _UAPI_MSGCHAN_H */
