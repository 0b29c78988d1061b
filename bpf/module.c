/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of msgchan. Their arguments are plain integers. */
#if MSGCHAN
#include "msgchan.h"

static inline struct witness *witness_of(u32 channel)
{
	return witnesses.lookup(&channel);
}

RAW_TRACEPOINT_PROBE(request_received)
{
	struct thread *thread = traced_thread();
	u32 channel = ctx->args[1], netns = ctx->args[6];
	struct witness *witness;
	struct frame *frame;

	if (!thread) {
		witness = witness_of(channel);
		if (witness && netns == HOME_NETNS)
			witness->foreign++;
		return 0;
	}
	frame = push(thread, TRACER_MSGCHAN_HANDLER);
	if (!frame)
		return 0;
	frame->buf = ctx->args[0];
	frame->proto = channel;
	frame->id = id_of(ctx->args[2], ctx->args[3]);
	frame->type = ctx->args[4];
	frame->size = ctx->args[5];
	frame->netns = netns;
	return 0;
}

RAW_TRACEPOINT_PROBE(handler_done)
{
	struct thread *thread = traced_thread();
	s32 error = ctx->args[4];
	struct frame *frame;

	if (!thread)
		return 0;
	frame = pop(thread, TRACER_MSGCHAN_HANDLER);
	if (frame)
		emit_span(thread, frame, error);
	return 0;
}

RAW_TRACEPOINT_PROBE(reply_sent)
{
	u32 channel = ctx->args[1], portid = ctx->args[2];
	u32 proto = channel == MSGCHAN_CH_ICMP ? ICMP_PROTO : NETLINK_PROTO;
	struct witness *witness = witness_of(channel);

	if (!witness || (s32)ctx->args[5] < 0)
		return 0;
	if (port_traced(ctx->args[6], proto, portid))
		witness->replies++;
	else
		witness->foreign_replies++;
	return 0;
}

RAW_TRACEPOINT_PROBE(copy_begin)
{
	struct thread *thread = traced_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = push(thread, TRACER_MSGCHAN_COPY);
	if (frame) {
		frame->buf = ctx->args[0];
		frame->size = ctx->args[1];
	}
	return 0;
}

RAW_TRACEPOINT_PROBE(copy_end)
{
	struct thread *thread = traced_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = pop(thread, TRACER_MSGCHAN_COPY);
	if (frame)
		emit_span(thread, frame, (u32)ctx->args[2] ? -14 : 0);
	return 0;
}
#endif
