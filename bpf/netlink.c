/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Netlink messages: what a thread sends, which handler receives it, and how it is read.
 * netlink_unicast nests: the call that sends a request runs the kernel's handler, which
 * calls netlink_unicast for its reply. queue.c has the other end, the receiver's queue.
 */
#define MAX_MESSAGES 1024

/*
 * Emit a record for each message of the sent buffer after the first. What is beyond
 * MAX_MESSAGES is not read, and counted as missed.
 */
static inline void emit_messages(struct thread *thread, u64 data, u32 at)
{
	struct tracer_send *send = &thread->send;
	struct nlmsg_header header = {};
	u32 room = send->buffer;
	union {
		struct tracer_extra extra;
		u64 words[TRACER_RECORD_WORDS];
	} record = {};
	int i;

	record.extra.start_ns = send->unicast_ns;
	record.extra.end_ns = send->unicast_ns;
	record.extra.portid = send->portid;
	record.extra.netns = send->netns;
	record.words[14] = thread->ids;
	record.words[15] = tail(TRACER_EXTRA, TRACER_POINT_MESSAGE, send->proto, 0,
				TRACER_X_SENDING);
#pragma clang loop unroll(disable)
	for (i = 1; i < MAX_MESSAGES; i++) {
		if (at >= room || !read_header(&header, data + at, room - at, 0))
			return;
		send->bits |= TRACER_S_SEVERAL;
		record.extra.seq = header.seq;
		record.extra.type = header.type;
		record.extra.flags = header.flags;
		record.extra.size = header.len;
		emit(record.words, TRACER_WORDS_EXTRA, TRACER_POINT_MESSAGE);
		at += ALIGN_NLMSG(header.len);
	}
	if (at < room && read_header(&header, data + at, room - at, 0))
		count_missed(TRACER_POINT_MESSAGE);
}

/* The sender's own call of netlink_unicast. */
static inline void request(struct thread *thread, int typed, u64 ssk, u64 skb, u32 dst)
{
	struct tracer_send *send = &thread->send;
	u64 data = load64(typed, skb, OFF_SKB_DATA);
	struct nlmsg_header header = {};

	send->unicast_ns = bpf_ktime_get_ns();
	thread->reached = 1;
	thread->skb = skb;
	send->portid = load32(typed, skb, OFF_SKB_CB + OFF_CB_PORTID);
	send->netns = netns_of(typed, ssk);
	send->buffer = load32(typed, skb, OFF_SKB_LEN);
	send->size = send->buffer;
	send->dst = dst;
	send->proto = proto_of(typed, ssk);
	send->bits = 0;
	if (read_header(&header, data, send->buffer, send->proto)) {
		send->seq = header.seq;
		send->type = header.type;
		send->flags = header.flags;
		send->size = header.len;
		if (ALIGN_NLMSG(header.len) < send->buffer)
			emit_messages(thread, data, ALIGN_NLMSG(header.len));
	} else {
		send->seq = 0;
		send->type = 0;
		send->flags = 0;
		send->bits = TRACER_S_HEADLESS;
	}
	if (!knows(thread, ssk))
		watch(thread, ssk, send->netns, send->proto, send->portid);
}

static inline int unicast_enter(int typed, u64 ssk, u64 skb, u32 dst)
{
	struct thread *thread = traced_thread();

	if (thread && thread->open == CALL_SEND && thread->sk == ssk) {
		if (!thread->reached)
			request(thread, typed, ssk, skb, dst);
		return 0;
	}
	if (!dst)
		return 0;
	if (to_sender(thread, typed, ssk, dst)) {
		thread->send.bits |= TRACER_S_TRIED;
		if (!(thread->send.bits & (TRACER_S_DONE | TRACER_S_SEVERAL))) {
			thread->send.done_ns = bpf_ktime_get_ns();
			thread->send.bits |= TRACER_S_DONE;
		}
		return 0;
	}
	return note_origin(dst, skb);
}

ENTRY(netlink_unicast)
{
	return unicast_enter(TYPED(netlink_unicast), ARG(netlink_unicast, 0),
			     ARG(netlink_unicast, 1), ARG(netlink_unicast, 2));
}

/*
 * Most kernel-side receivers parse a request with netlink_rcv_skb, so its entry
 * marks where the handler begins. msgchan does not call it and has a tracepoint.
 */
static inline int rcv_skb_enter(u64 skb)
{
	struct thread *thread = inside(CALL_SEND);

	if (!thread || !thread->reached || thread->skb != skb ||
	    thread->send.bits & TRACER_S_BEGUN)
		return 0;
	thread->send.begin_ns = bpf_ktime_get_ns();
	thread->send.bits |= TRACER_S_BEGUN;
	return 0;
}

ENTRY(netlink_rcv_skb) { return rcv_skb_enter(ARG(netlink_rcv_skb, 0)); }

static inline int sendmsg_enter(int typed, u64 sock)
{
	struct thread *thread = open_call(CALL_SEND);

	if (!thread)
		return 0;
	thread->sk = load64(typed, sock, OFF_SOCKET_SK);
	thread->send.enter_ns = bpf_ktime_get_ns();
	return 0;
}

static inline int sendmsg_return(s64 ret)
{
	struct thread *thread = close_call(CALL_SEND);

	if (!thread || !thread->reached)
		return 0;
	thread->send.exit_ns = bpf_ktime_get_ns();
	thread->send.ret = ret;
	thread->words[14] = thread->ids;
	thread->words[15] = tail(TRACER_SEND, TRACER_POINT_SEND, thread->send.proto,
				 thread->send.channel, thread->send.bits);
	emit(thread->words, TRACER_WORDS_SEND, TRACER_POINT_SEND);
	return 0;
}

ENTRY(netlink_sendmsg)
{
	return sendmsg_enter(TYPED(netlink_sendmsg), ARG(netlink_sendmsg, 0));
}
RETURN(netlink_sendmsg) { return sendmsg_return((s32)RETVAL(netlink_sendmsg)); }

static inline int recvmsg_enter(int typed, u64 sock, u32 flags)
{
	struct thread *thread = open_call(CALL_RECV);

	if (!thread)
		return 0;
	thread->sk = load64(typed, sock, OFF_SOCKET_SK);
	thread->recv.flags = flags;
	thread->recv.bits = 0;
	thread->recv.enter_ns = bpf_ktime_get_ns();
	return 0;
}

/* A kretprobe does not have the function's arguments any more: then sock is not used. */
static inline int recvmsg_return(int typed, u64 sock, s64 ret)
{
	struct thread *thread = close_call(CALL_RECV);
	u64 sk;

	if (!thread)
		return 0;
	/* Nothing read: of interest only as a failure, and waiting in vain is none. */
	if (!(thread->recv.bits & TRACER_R_COPY) && (ret >= 0 || ret == -11 || ret == -512))
		return 0;
	thread->recv.exit_ns = bpf_ktime_get_ns();
	sk = typed ? load64(1, sock, OFF_SOCKET_SK) : thread->sk;
	thread->recv.ret = ret;
	if (!(thread->recv.bits & TRACER_R_COPY))
		thread->recv.size = 0;
	if (knows(thread, sk)) {
		thread->recv.portid = thread->portid;
		thread->recv.netns = thread->netns;
	} else {
		thread->recv.portid = portid_of(sk);
		thread->recv.netns = netns_of(typed, sk);
		watch(thread, sk, thread->recv.netns, proto_of(typed, sk), thread->recv.portid);
	}
	thread->recv.reserved0 = 0;
	thread->words[14] = thread->ids;
	thread->words[15] = tail(TRACER_RECV, TRACER_POINT_RECV, proto_of(typed, sk), 0,
				 thread->recv.bits);
	emit(thread->words, TRACER_WORDS_RECV, TRACER_POINT_RECV);
	return 0;
}

ENTRY(netlink_recvmsg)
{
	return recvmsg_enter(TYPED(netlink_recvmsg), ARG(netlink_recvmsg, 0),
			     ARG(netlink_recvmsg, 3));
}
RETURN(netlink_recvmsg)
{
	return recvmsg_return(TYPED(netlink_recvmsg), ARG(netlink_recvmsg, 0),
			      (s32)RETVAL(netlink_recvmsg));
}

/*
 * The copy of a datagram to user space. This tracepoint is at the begin of
 * skb_copy_datagram_iter and costs half of what a probe of that function does.
 */
RAW_TRACEPOINT_PROBE(skb_copy_datagram_iovec)
{
	struct thread *thread = inside(CALL_RECV);

	if (!thread || thread->recv.bits & TRACER_R_COPY)
		return 0;
	thread->recv.copy_ns = bpf_ktime_get_ns();
	thread->recv.skb = ctx->args[0];
	thread->recv.size = ctx->args[1];
	thread->recv.bits = TRACER_R_COPY;
	return 0;
}

static inline int copied(u64 skb)
{
	struct thread *thread = inside(CALL_RECV);

	if (!thread || (thread->recv.bits & (TRACER_R_COPY | TRACER_R_COPIED)) != TRACER_R_COPY)
		return 0;
	thread->recv.copied_ns = bpf_ktime_get_ns();
	if (skb)
		thread->recv.skb = skb;
	thread->recv.bits |= TRACER_R_COPIED;
	return 0;
}

/*
 * What netlink_recvmsg does with a datagram after it was copied. Kernels without this
 * function are observed at the return of the copy.
 */
ENTRY(skb_free_datagram) { return copied(ARG(skb_free_datagram, 1)); }
RETURN(skb_copy_datagram_iter) { return copied(0); }
