/* SPDX-License-Identifier: GPL-2.0 */
/* Copies to user space: of a netlink message, and of a socket option's value. */
static inline int skb_copy_enter(int typed, u64 skb, u32 size)
{
	struct thread *thread = traced_thread();
	struct frame *frame;
	u64 sk;

	if (!thread)
		return 0;
	sk = load64(typed, skb, OFF_SKB_SK);
	if (!sk || load16(typed, sk, OFF_SOCK_FAMILY) != AF_NETLINK)
		return 0;
	frame = push(thread, TRACER_SKB_COPY);
	if (!frame)
		return 0;
	describe(frame, typed, sk, skb, load16(typed, sk, OFF_SOCK_PROTOCOL), portid_of(sk));
	frame->size = size;
	return 0;
}

static inline int skb_copy_return(s32 ret)
{
	struct thread *thread = traced_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = top(thread);	/* skb_copy_enter() pushed netlink messages only */
	if (!frame || frame->point != TRACER_SKB_COPY)
		return 0;
	frame = pop(thread, TRACER_SKB_COPY);
	if (frame)
		emit_span(thread, frame, ret);
	return 0;
}

ENTRY(skb_copy_datagram_iter)
{
	return skb_copy_enter(TYPED(skb_copy_datagram_iter), ARG(skb_copy_datagram_iter, 0),
			      ARG(skb_copy_datagram_iter, 3));
}
RETURN(skb_copy_datagram_iter) { return skb_copy_return(RETVAL(skb_copy_datagram_iter)); }

/*
 * A call of _copy_to_user, which the relay or the breakpoint reports. All of the
 * kernel uses that function; only calls inside a getsockopt handler are recorded.
 */
static inline int user_copy(u64 start_ns, u64 end_ns, u32 size, u32 left)
{
	struct thread *thread = traced_thread();
	struct frame *outer, *frame;

	if (!thread)
		return 0;
	outer = top(thread);
	if (!outer || (outer->point != TRACER_NF_GETSOCKOPT && outer->point != TRACER_MSGCHAN_COPY))
		return 0;
	frame = push(thread, TRACER_COPY_TO_USER);
	if (frame) {
		frame->size = size;
		frame->type = outer->type;
		frame->start_ns = start_ns;
	}
	frame = pop(thread, TRACER_COPY_TO_USER);
	if (frame)
		emit(thread, frame, end_ns, left ? -14 : 0, TRACER_SPAN);
	return 0;
}

/*
 * The module's relay. It is no RAW_TRACEPOINT_PROBE, which BCC would attach by
 * itself: attaching arms a kprobe that all processes pay for, so it is attached
 * only when the plan asks for the relay.
 */
int on_copy_relay(struct bpf_raw_tracepoint_args *ctx)
{
	return user_copy(ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3]);
}

/* The first field of struct bpf_perf_event_data, whose header is slow to compile. */
struct breakpoint_context {
	struct pt_regs regs;
};

/*
 * A task may have two breakpoints on this function: its own, and one inherited
 * from a parent that got it just before the fork. Then both run this program in
 * the same debug exception, and the second must not report the copy again. The
 * resume flag tells which is which: it is clear when the processor raises the
 * exception, and hw_breakpoint_handler() sets it after the first breakpoint, so
 * that the instruction does not raise another exception.
 */
static inline int told_already(struct breakpoint_context *ctx)
{
#ifdef CONFIG_X86
	return ctx->regs.flags & (1 << 16);	/* X86_EFLAGS_RF */
#else
	return 0;
#endif
}

/*
 * A breakpoint sees the entry of _copy_to_user(to, from, size) and not its return:
 * the record has start_ns == end_ns.
 */
int on_copy_breakpoint(struct breakpoint_context *ctx)
{
	u64 now = bpf_ktime_get_ns();

	if (told_already(ctx))
		return 0;
	return user_copy(now, now, PT_REGS_PARM3(&ctx->regs), 0);
}
