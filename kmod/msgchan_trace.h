/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of msgchan: the module's declared observation points. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM msgchan

#if !defined(_MSGCHAN_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _MSGCHAN_TRACE_H

#include <linux/tracepoint.h>

int msgchan_relay_arm(void);
void msgchan_relay_disarm(void);

/*
 * The arguments are plain integers, so that a raw tracepoint program reads
 * them from its context without touching kernel memory. channel is enum
 * msgchan_channel; portid and seq are 0 for socket options; type is the
 * nlmsg_type or the option name; sizes are bytes; error is 0 or a negative
 * errno; token is 0 where the message has none; netns is the inode number of
 * the network namespace.
 */

/* A request has arrived and has not been counted, checked or delayed yet. */
TRACE_EVENT(request_received,

	TP_PROTO(u64 token, u32 channel, u32 portid, u32 seq, u32 type, u32 size, u32 netns),

	TP_ARGS(token, channel, portid, seq, type, size, netns),

	TP_STRUCT__entry(
		__field(u64, token)
		__field(u32, channel)
		__field(u32, portid)
		__field(u32, seq)
		__field(u32, type)
		__field(u32, size)
		__field(u32, netns)
	),

	TP_fast_assign(
		__entry->token = token;
		__entry->channel = channel;
		__entry->portid = portid;
		__entry->seq = seq;
		__entry->type = type;
		__entry->size = size;
		__entry->netns = netns;
	),

	TP_printk("token=%llu channel=%u portid=%u seq=%u type=%u size=%u netns=%u",
		  __entry->token, __entry->channel, __entry->portid,
		  __entry->seq, __entry->type, __entry->size, __entry->netns)
);

/* The request's handler has succeeded or failed; its reply has not been sent yet. */
TRACE_EVENT(handler_done,

	TP_PROTO(u64 token, u32 channel, u32 portid, u32 seq, int error),

	TP_ARGS(token, channel, portid, seq, error),

	TP_STRUCT__entry(
		__field(u64, token)
		__field(u32, channel)
		__field(u32, portid)
		__field(u32, seq)
		__field(int, error)
	),

	TP_fast_assign(
		__entry->token = token;
		__entry->channel = channel;
		__entry->portid = portid;
		__entry->seq = seq;
		__entry->error = error;
	),

	TP_printk("token=%llu channel=%u portid=%u seq=%u error=%d",
		  __entry->token, __entry->channel, __entry->portid,
		  __entry->seq, __entry->error)
);

/*
 * A reply, an ack or a notification was sent: ret is what netlink_unicast()
 * returned, or -ENOBUFS where there was no memory for the message.
 */
TRACE_EVENT(reply_sent,

	TP_PROTO(u64 token, u32 channel, u32 portid, u32 seq, u32 size, int ret, u32 netns),

	TP_ARGS(token, channel, portid, seq, size, ret, netns),

	TP_STRUCT__entry(
		__field(u64, token)
		__field(u32, channel)
		__field(u32, portid)
		__field(u32, seq)
		__field(u32, size)
		__field(int, ret)
		__field(u32, netns)
	),

	TP_fast_assign(
		__entry->token = token;
		__entry->channel = channel;
		__entry->portid = portid;
		__entry->seq = seq;
		__entry->size = size;
		__entry->ret = ret;
		__entry->netns = netns;
	),

	TP_printk("token=%llu channel=%u portid=%u seq=%u size=%u ret=%d netns=%u",
		  __entry->token, __entry->channel, __entry->portid,
		  __entry->seq, __entry->size, __entry->ret, __entry->netns)
);

/* A getsockopt's answer is about to be copied to user space. */
TRACE_EVENT(copy_begin,

	TP_PROTO(u64 token, u32 size),

	TP_ARGS(token, size),

	TP_STRUCT__entry(
		__field(u64, token)
		__field(u32, size)
	),

	TP_fast_assign(
		__entry->token = token;
		__entry->size = size;
	),

	TP_printk("token=%llu size=%u", __entry->token, __entry->size)
);

/* The copy is over; the last left bytes of it could not be written (a bad address). */
TRACE_EVENT(copy_end,

	TP_PROTO(u64 token, u32 size, u32 left),

	TP_ARGS(token, size, left),

	TP_STRUCT__entry(
		__field(u64, token)
		__field(u32, size)
		__field(u32, left)
	),

	TP_fast_assign(
		__entry->token = token;
		__entry->size = size;
		__entry->left = left;
	),

	TP_printk("token=%llu size=%u left=%u",
		  __entry->token, __entry->size, __entry->left)
);

/*
 * A finished _copy_to_user() of a process that the parameter relay_tgid selects;
 * see copy_relay.c. Times are CLOCK_MONOTONIC in nanoseconds.
 */
TRACE_EVENT_FN(copy_to_user,

	TP_PROTO(u64 start_ns, u64 end_ns, u32 size, u32 left),

	TP_ARGS(start_ns, end_ns, size, left),

	TP_STRUCT__entry(
		__field(u64, start_ns)
		__field(u64, end_ns)
		__field(u32, size)
		__field(u32, left)
	),

	TP_fast_assign(
		__entry->start_ns = start_ns;
		__entry->end_ns = end_ns;
		__entry->size = size;
		__entry->left = left;
	),

	TP_printk("start_ns=%llu end_ns=%llu size=%u left=%u",
		  __entry->start_ns, __entry->end_ns,
		  __entry->size, __entry->left),

	msgchan_relay_arm, msgchan_relay_disarm
);

#endif /* _MSGCHAN_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE msgchan_trace
#include <trace/define_trace.h>
