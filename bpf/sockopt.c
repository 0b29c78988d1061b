/* SPDX-License-Identifier: GPL-2.0 */
/* Socket options that are handled by netfilter's nf_sockopt handlers. */
static inline int opt_enter(u8 call)
{
	struct thread *thread = open_call(call);

	if (thread)
		thread->opt.enter_ns = bpf_ktime_get_ns();
	return 0;
}

static inline int nf_enter(int typed, u8 call, u64 sk, u32 pf, u32 optname, u32 size, u64 length)
{
	struct thread *thread = inside(call);

	if (!thread)
		return 0;
	thread->opt.nf_ns = bpf_ktime_get_ns();
	thread->reached = 1;
	thread->skb = length;
	thread->opt.sock = sk;
	thread->opt.netns = netns_of(typed, sk);
	thread->opt.size = size;
	thread->opt.optname = optname;
	thread->opt.pf = (u8)pf;
	thread->opt.bits = 0;
	return 0;
}

static inline int nf_return(u8 call)
{
	struct thread *thread = inside(call);

	if (!thread || !thread->reached)
		return 0;
	thread->opt.left_ns = bpf_ktime_get_ns();
	thread->opt.bits |= TRACER_O_LEFT;
	if (call == CALL_GET)
		thread->opt.size = load32(0, thread->skb, 0);
	return 0;
}

static inline int opt_return(u8 call, u8 point, s64 ret)
{
	struct thread *thread = close_call(call);

	if (!thread || !thread->reached)
		return 0;
	thread->opt.exit_ns = bpf_ktime_get_ns();
	thread->opt.ret = ret;
	thread->words[14] = thread->ids;
	thread->words[15] = tail(TRACER_OPT, point, 0, thread->opt.channel, thread->opt.bits);
	emit(thread->words, TRACER_WORDS_OPT, point);
	return 0;
}

ENTRY(__sys_setsockopt) { return opt_enter(CALL_SET); }
RETURN(__sys_setsockopt)
{
	return opt_return(CALL_SET, TRACER_POINT_SET, (s32)RETVAL(__sys_setsockopt));
}
ENTRY(__sys_getsockopt) { return opt_enter(CALL_GET); }
RETURN(__sys_getsockopt)
{
	return opt_return(CALL_GET, TRACER_POINT_GET, (s32)RETVAL(__sys_getsockopt));
}

/* The option value (slots 3 and 4) is a sockptr_t of 16 bytes, so the length is in slot 5. */
ENTRY(nf_setsockopt)
{
	return nf_enter(TYPED(nf_setsockopt), CALL_SET, ARG(nf_setsockopt, 0),
			ARG(nf_setsockopt, 1), ARG(nf_setsockopt, 2), ARG(nf_setsockopt, 5), 0);
}
RETURN(nf_setsockopt) { return nf_return(CALL_SET); }

ENTRY(nf_getsockopt)
{
	return nf_enter(TYPED(nf_getsockopt), CALL_GET, ARG(nf_getsockopt, 0),
			ARG(nf_getsockopt, 1), ARG(nf_getsockopt, 2), 0, ARG(nf_getsockopt, 4));
}
RETURN(nf_getsockopt) { return nf_return(CALL_GET); }

/*
 * A call of _copy_to_user, which the relay or the breakpoint reports. All of the
 * kernel uses that function; only calls inside a getsockopt handler are recorded.
 */
static inline int user_copy(u64 start_ns, u64 end_ns, u32 size, u32 left)
{
	struct thread *thread = inside(CALL_GET);
	union {
		struct tracer_extra extra;
		u64 words[TRACER_RECORD_WORDS];
	} record = {};

	if (!thread || !thread->reached || thread->opt.bits & TRACER_O_LEFT)
		return 0;
	if (!(thread->opt.bits & TRACER_O_COPY)) {
		thread->opt.copy_ns = start_ns;
		thread->opt.copied_ns = end_ns;
		thread->opt.copied = size;
		thread->opt.bits |= TRACER_O_COPY;
		if (end_ns != start_ns)
			thread->opt.bits |= TRACER_O_COPIED;
		return 0;
	}
	record.extra.start_ns = start_ns;
	record.extra.end_ns = end_ns;
	record.extra.netns = thread->opt.netns;
	record.extra.size = size;
	record.extra.ret = left ? -14 : 0;
	record.extra.type = thread->opt.optname;
	record.words[14] = thread->ids;
	record.words[15] = tail(TRACER_EXTRA, TRACER_POINT_COPY, 0, 0, 0);
	emit(record.words, TRACER_WORDS_EXTRA, TRACER_POINT_COPY);
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
 * the copy begins and ends at the same time then.
 */
int on_copy_breakpoint(struct breakpoint_context *ctx)
{
	u64 now = bpf_ktime_get_ns();

	if (told_already(ctx))
		return 0;
	return user_copy(now, now, PT_REGS_PARM3(&ctx->regs), 0);
}
