/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The receiver's queue: messages that are queued at a traced socket, and those that are lost
 * there. The first reply to a traced thread's own request goes into the record of its call.
 */
/* The beginning of a queued message: header, and what an NLMSG_ERROR carries. */
struct answer {
	struct nlmsg_header header;
	s32 error;
	struct nlmsg_header about;
};

/* Put the first reply into the record of the send call. Returns 0 if it does not belong there. */
static inline int first_reply(struct thread *thread, int typed, u64 sk, u64 skb, u64 now)
{
	struct tracer_send *send = &thread->send;
	struct answer answer = {};
	u32 size;

	if (!thread->reached || thread->broadcasting ||
	    send->bits & (TRACER_S_QUEUED | TRACER_S_SEVERAL))
		return 0;
	if (sk != thread->sk && skb != thread->skb)
		return 0;
	size = load32(typed, skb, OFF_SKB_LEN);
	bpf_probe_read_kernel(&answer, NLMSG_HDRLEN + sizeof(s32),
			      (void *)load64(typed, skb, OFF_SKB_DATA));
	if (answer.header.seq != send->seq || send->bits & TRACER_S_HEADLESS)
		return 0;
	send->queued_ns = now;
	send->reply_skb = skb;
	send->reply_size = size;
	send->reply_type = answer.header.type;
	send->reply_flags = answer.header.flags;
	send->reply_error = answer.header.type == NLMSG_ERROR ? answer.error : 0;
	send->bits |= TRACER_S_QUEUED;
	if (thread->dump_ns)
		send->bits |= TRACER_S_DUMP;
	return 1;
}

/* Fill in what a queued message is. */
static inline u16 describe(struct tracer_extra *extra, int typed, u64 sk, u64 skb, u16 proto)
{
	u64 data = load64(typed, skb, OFF_SKB_DATA);
	u32 size = load32(typed, skb, OFF_SKB_LEN);
	struct answer answer = {};

	extra->skb = skb;
	extra->size = size;
	extra->seq = 0;
	extra->type = 0;
	extra->flags = 0;
	extra->ret = 0;
	extra->about_seq = 0;
	extra->about_type = 0;
	extra->reserved0 = 0;
	if (!read_header(&answer.header, data, size, proto))
		return TRACER_X_HEADLESS;
	extra->seq = answer.header.seq;
	extra->type = answer.header.type;
	extra->flags = answer.header.flags;
	if (answer.header.type != NLMSG_ERROR || size < sizeof(answer))
		return 0;
	bpf_probe_read_kernel(&answer, sizeof(answer), (void *)data);
	extra->ret = answer.error;
	extra->about_seq = answer.about.seq;
	extra->about_type = answer.about.type;
	return 0;
}

/* A part of a dump in a traced thread: emitted when netlink_dump returns and tells if it was the last. */
static inline void keep_part(struct thread *thread, int typed, u64 sk, u64 skb, u64 now)
{
	struct tracer_extra *part = &thread->part;
	u16 bits;

	part->proto = proto_of(typed, sk);
	bits = describe(part, typed, sk, skb, part->proto);
	part->start_ns = thread->dump_ns;
	part->end_ns = now;
	part->portid = portid_of(sk);
	part->netns = netns_of(typed, sk);
	part->source = TRACER_BY_DUMP;
	part->bits = bits | (thread->open == CALL_RECV ? TRACER_X_RECEIVING : TRACER_X_SENDING);
	thread->parts = 1;
}

/* Emit a message that the record of no send call tells of. */
static inline void emit_queued(struct thread *thread, int typed, u64 sk, u64 skb, u64 now)
{
	u16 proto = proto_of(typed, sk), bits;
	u32 portid = portid_of(sk);
	struct origin *origin = origin_of(thread, typed, sk, skb, portid);
	union {
		struct tracer_extra extra;
		u64 words[TRACER_RECORD_WORDS];
	} record = {};

	bits = describe(&record.extra, typed, sk, skb, proto);
	record.extra.start_ns = now;
	record.extra.end_ns = now;
	if (origin) {
		record.extra.start_ns = origin->start_ns;
		record.extra.source = origin->skb ? TRACER_BY_UNICAST : TRACER_BY_BROADCAST;
	}
	record.extra.portid = portid;
	record.extra.netns = netns_of(typed, sk);
	if (!thread)
		bits |= TRACER_X_BYSTANDER;
	else if (thread->open == CALL_SEND)
		bits |= TRACER_X_SENDING;
	else if (thread->open == CALL_RECV)
		bits |= TRACER_X_RECEIVING;
	record.words[14] = bpf_get_current_pid_tgid();
	record.words[15] = tail(TRACER_EXTRA, TRACER_POINT_QUEUED, proto, 0, bits);
	emit_words(record.words, TRACER_WORDS_EXTRA, TRACER_POINT_QUEUED, 2);	/* skb */
}

/* Unicasts, broadcasts and the parts of dumps are all queued by this function. */
static inline int sendskb_enter(int typed, u64 sk, u64 skb)
{
	struct thread *thread = traced_thread();
	u64 now;

	if (thread && thread->open == CALL_SEND) {
		now = bpf_ktime_get_ns();
		if (first_reply(thread, typed, sk, skb, now))
			return 0;
	} else if (!thread && !is_watched(typed, sk)) {
		return 0;
	} else {
		now = bpf_ktime_get_ns();
	}
	if (thread && !is_watched(typed, sk))
		return 0;
	if (thread && thread->dump_ns && thread->sk == sk)
		keep_part(thread, typed, sk, skb, now);
	else
		emit_queued(thread, typed, sk, skb, now);
	return 0;
}

ENTRY(__netlink_sendskb)
{
	return sendskb_enter(TYPED(__netlink_sendskb), ARG(__netlink_sendskb, 0),
			     ARG(__netlink_sendskb, 1));
}

/* The receive queue was full: a message for this socket is lost. */
static inline int overrun_enter(int typed, u64 sk)
{
	union {
		struct tracer_extra extra;
		u64 words[TRACER_RECORD_WORDS];
	} record = {};

	if (!is_watched(typed, sk))
		return 0;
	record.extra.start_ns = bpf_ktime_get_ns();
	record.extra.end_ns = record.extra.start_ns;
	record.extra.portid = portid_of(sk);
	record.extra.netns = netns_of(typed, sk);
	record.words[14] = bpf_get_current_pid_tgid();
	record.words[15] = tail(TRACER_EXTRA, TRACER_POINT_OVERRUN, proto_of(typed, sk), 0,
				traced_thread() ? 0 : TRACER_X_BYSTANDER);
	emit(record.words, TRACER_WORDS_EXTRA, TRACER_POINT_OVERRUN);
	return 0;
}

ENTRY(netlink_overrun) { return overrun_enter(TYPED(netlink_overrun), ARG(netlink_overrun, 0)); }

/* One call makes one part of a dump. */
static inline int dump_enter(u64 sk)
{
	struct thread *thread = traced_thread();

	if (!thread)
		return forget_origin(portid_of(sk));
	if (thread->sk != sk ||
	    (thread->open != CALL_SEND && thread->open != CALL_RECV))
		return 0;
	thread->parts = 0;
	thread->dump_ns = bpf_ktime_get_ns();
	return 0;
}

static inline int dump_return(void)
{
	struct thread *thread = traced_thread();
	u8 running = 1;
	s32 errno;
	u16 last;

	if (!thread || !thread->dump_ns)
		return 0;
	thread->dump_ns = 0;
	bpf_probe_read_kernel(&running, 1, (void *)(thread->sk + OFF_NETLINK_CB_RUNNING));
	errno = load32(0, thread->sk, OFF_NETLINK_DUMP_ERRNO);
	last = !running;
	if (thread->open == CALL_SEND && thread->send.bits & TRACER_S_DUMP && last &&
	    !thread->parts) {
		thread->send.bits |= TRACER_S_LAST;
		thread->send.reply_error = errno;
	}
	if (!thread->parts)
		return 0;
	if (last) {
		thread->part.bits |= TRACER_X_LAST;
		thread->part.ret = errno;
	}
	((u64 *)&thread->part)[14] = thread->ids;
	((u64 *)&thread->part)[15] = tail(TRACER_EXTRA, TRACER_POINT_QUEUED, thread->part.proto, 0,
					  thread->part.bits);
	emit((u64 *)&thread->part, TRACER_WORDS_EXTRA, TRACER_POINT_QUEUED);
	return 0;
}

ENTRY(netlink_dump) { return dump_enter(ARG(netlink_dump, 0)); }
RETURN(netlink_dump) { return dump_return(); }
