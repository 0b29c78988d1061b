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
 * A request was handled, in one event: its handler began at begin_ns and was done
 * at done_ns; a getsockopt's answer was copied out from copy_ns to copied_ns, size
 * bytes of it (0 in the other channels and where a get failed before). Times are
 * CLOCK_MONOTONIC in nanoseconds.
 *
 * handled_any fires for every request. handled fires only for requests of tasks
 * that carry BPF task storage. A tracer marks the threads that it traces with
 * such storage, so that the requests of all others cost no more than this test
 * (on kernels before 5.11 tasks have no BPF storage, and it never fires).
 */
DECLARE_EVENT_CLASS(handled_class,

	TP_PROTO(u64 token, u64 begin_ns, u64 done_ns, u64 copy_ns, u64 copied_ns,
		 u32 channel, int error, u32 portid, u32 seq, u32 size, u32 netns),

	TP_ARGS(token, begin_ns, done_ns, copy_ns, copied_ns,
		channel, error, portid, seq, size, netns),

	TP_STRUCT__entry(
		__field(u64, token)
		__field(u64, begin_ns)
		__field(u64, done_ns)
		__field(u64, copy_ns)
		__field(u64, copied_ns)
		__field(u32, channel)
		__field(int, error)
		__field(u32, portid)
		__field(u32, seq)
		__field(u32, size)
		__field(u32, netns)
	),

	TP_fast_assign(
		__entry->token = token;
		__entry->begin_ns = begin_ns;
		__entry->done_ns = done_ns;
		__entry->copy_ns = copy_ns;
		__entry->copied_ns = copied_ns;
		__entry->channel = channel;
		__entry->error = error;
		__entry->portid = portid;
		__entry->seq = seq;
		__entry->size = size;
		__entry->netns = netns;
	),

	TP_printk("token=%llu begin_ns=%llu done_ns=%llu copy_ns=%llu copied_ns=%llu channel=%u error=%d portid=%u seq=%u size=%u netns=%u",
		  __entry->token, __entry->begin_ns, __entry->done_ns,
		  __entry->copy_ns, __entry->copied_ns, __entry->channel,
		  __entry->error, __entry->portid, __entry->seq,
		  __entry->size, __entry->netns)
);

DEFINE_EVENT(handled_class, handled,

	TP_PROTO(u64 token, u64 begin_ns, u64 done_ns, u64 copy_ns, u64 copied_ns,
		 u32 channel, int error, u32 portid, u32 seq, u32 size, u32 netns),

	TP_ARGS(token, begin_ns, done_ns, copy_ns, copied_ns,
		channel, error, portid, seq, size, netns)
);

DEFINE_EVENT(handled_class, handled_any,

	TP_PROTO(u64 token, u64 begin_ns, u64 done_ns, u64 copy_ns, u64 copied_ns,
		 u32 channel, int error, u32 portid, u32 seq, u32 size, u32 netns),

	TP_ARGS(token, begin_ns, done_ns, copy_ns, copied_ns,
		channel, error, portid, seq, size, netns)
);

/*
 * A message was sent on icmp_proto: a notification, or an answer to a request.
 * ret is as in reply_sent.
 */
TRACE_EVENT(icmp_sent,

	TP_PROTO(u32 portid, int ret, u32 netns),

	TP_ARGS(portid, ret, netns),

	TP_STRUCT__entry(
		__field(u32, portid)
		__field(int, ret)
		__field(u32, netns)
	),

	TP_fast_assign(
		__entry->portid = portid;
		__entry->ret = ret;
		__entry->netns = netns;
	),

	TP_printk("portid=%u ret=%d netns=%u",
		  __entry->portid, __entry->ret, __entry->netns)
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
