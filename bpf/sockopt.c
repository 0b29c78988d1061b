/* SPDX-License-Identifier: GPL-2.0 */
/* Socket options that are handled by netfilter's nf_sockopt handlers. */
static inline int nf_sockopt_enter(int typed, u8 point, u64 sk, u32 optname, u32 size, u64 length)
{
	struct thread *thread = traced_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = push(thread, point);
	if (!frame)
		return 0;
	frame->id = sk;
	frame->type = optname;
	frame->size = size;
	frame->buf = length;	/* get: address of the length, which is read at return */
	frame->netns = netns_of(typed, sk);
	return 0;
}

static inline int nf_sockopt_return(u8 point, s32 ret)
{
	struct thread *thread = traced_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = pop(thread, point);
	if (!frame)
		return 0;
	if (frame->buf)
		frame->size = load32(0, frame->buf, 0);
	frame->buf = 0;
	emit_span(thread, frame, ret);
	return 0;
}

/* The option value (slots 3 and 4) is a sockptr_t of 16 bytes, so the length is in slot 5. */
ENTRY(nf_setsockopt)
{
	return nf_sockopt_enter(TYPED(nf_setsockopt), TRACER_NF_SETSOCKOPT, ARG(nf_setsockopt, 0),
				ARG(nf_setsockopt, 2), ARG(nf_setsockopt, 5), 0);
}
RETURN(nf_setsockopt) { return nf_sockopt_return(TRACER_NF_SETSOCKOPT, RETVAL(nf_setsockopt)); }

ENTRY(nf_getsockopt)
{
	return nf_sockopt_enter(TYPED(nf_getsockopt), TRACER_NF_GETSOCKOPT, ARG(nf_getsockopt, 0),
				ARG(nf_getsockopt, 2), 0, ARG(nf_getsockopt, 4));
}
RETURN(nf_getsockopt) { return nf_sockopt_return(TRACER_NF_GETSOCKOPT, RETVAL(nf_getsockopt)); }
