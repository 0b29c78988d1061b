/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of msgchan. Their arguments are plain integers. */
#if MSGCHAN
static inline struct witness *witness_of(u32 channel)
{
	return witnesses.lookup(&channel);
}

/* The arguments of msgchan:handled and msgchan:handled_any (kmod/msgchan_trace.h). */
enum {
	HANDLED_TOKEN,
	HANDLED_BEGIN,
	HANDLED_DONE,
	HANDLED_COPY,
	HANDLED_COPIED,
	HANDLED_CHANNEL,
	HANDLED_ERROR,
	HANDLED_PORTID,
	HANDLED_SEQ,
	HANDLED_SIZE,
	HANDLED_NETNS,
};

static inline void handled_foreign(u64 *args)
{
	struct witness *witness = witness_of(args[HANDLED_CHANNEL]);

	if (witness && (u32)args[HANDLED_NETNS] == HOME_NETNS)
		__sync_fetch_and_add(&witness->foreign, 1);
}

static inline void handled_opt(struct thread *thread, u64 *args)
{
	struct tracer_opt *opt = &thread->opt;

	opt->token = args[HANDLED_TOKEN];
	opt->begin_ns = args[HANDLED_BEGIN];
	opt->done_ns = args[HANDLED_DONE];
	opt->channel = args[HANDLED_CHANNEL];
	opt->error = args[HANDLED_ERROR];
	opt->bits |= TRACER_O_BEGUN | TRACER_O_DONE | TRACER_O_MODULE;
	if (!args[HANDLED_COPY])
		return;
	opt->copy_ns = args[HANDLED_COPY];
	opt->copied_ns = args[HANDLED_COPIED];
	opt->copied = args[HANDLED_SIZE];
	opt->bits |= TRACER_O_COPY | TRACER_O_COPIED;
}

static inline void handled_message(struct thread *thread, u64 *args)
{
	struct tracer_send *send = &thread->send;
	union {
		struct tracer_extra extra;
		u64 words[TRACER_RECORD_WORDS];
	} record;

	if (!(send->bits & TRACER_S_MODULE) && (u32)args[HANDLED_SEQ] == send->seq) {
		send->token = args[HANDLED_TOKEN];
		send->begin_ns = args[HANDLED_BEGIN];
		send->done_ns = args[HANDLED_DONE];
		send->channel = args[HANDLED_CHANNEL];
		send->error = args[HANDLED_ERROR];
		send->bits |= TRACER_S_BEGUN | TRACER_S_DONE | TRACER_S_MODULE;
		return;
	}
	__builtin_memset(&record, 0, sizeof(record));
	record.extra.start_ns = args[HANDLED_BEGIN];
	record.extra.end_ns = args[HANDLED_DONE];
	record.extra.skb = args[HANDLED_TOKEN];
	record.extra.portid = args[HANDLED_PORTID];
	record.extra.seq = args[HANDLED_SEQ];
	record.extra.netns = args[HANDLED_NETNS];
	record.extra.ret = args[HANDLED_ERROR];
	record.words[14] = thread->ids;
	record.words[15] = tail(TRACER_EXTRA, TRACER_POINT_HANDLED, send->proto,
				args[HANDLED_CHANNEL], TRACER_X_SENDING);
	emit(record.words, TRACER_WORDS_EXTRA, TRACER_POINT_HANDLED);
}

/*
 * A thread that an earlier recording marked may be inside of a request when it is added to this
 * one. Its call was not seen to begin, so there is no record for it: then it counts as foreign.
 */
static inline int handled_request(u64 *args)
{
	struct thread *thread = traced_thread();

	if (!thread || (thread->fresh && thread->open == CALL_NONE))
		handled_foreign(args);
	else if (thread->open == CALL_SEND && thread->reached)
		handled_message(thread, args);
	else if (thread->open == CALL_SET || thread->open == CALL_GET)
		handled_opt(thread, args);
	else
		count_missed(TRACER_POINT_HANDLED);
	return 0;
}

/* Of marked threads only, where threads can be marked. */
#if MARKS
RAW_TRACEPOINT_PROBE(handled) { return handled_request((u64 *)ctx->args); }
#else
RAW_TRACEPOINT_PROBE(handled_any) { return handled_request((u64 *)ctx->args); }
#endif

RAW_TRACEPOINT_PROBE(icmp_sent)
{
	u32 portid = ctx->args[0], netns = ctx->args[2];
	struct witness *witness = witness_of(3);	/* MSGCHAN_CH_ICMP */

	if (!witness || (s32)ctx->args[1] < 0)
		return 0;
	if (port_traced(netns, ICMP_PROTO, portid))
		__sync_fetch_and_add(&witness->replies, 1);
	else
		__sync_fetch_and_add(&witness->foreign_replies, 1);
	return 0;
}
#endif
