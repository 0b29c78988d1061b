/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Netlink messages: who sends what to whom, and when it is queued at the receiver.
 * Calls of netlink_unicast nest: the call that sends a request runs the kernel's
 * handler, which calls netlink_unicast for its reply. Dumps and broadcasts are
 * queued without netlink_unicast, but all go through __netlink_sendskb.
 */
#define MAX_MESSAGES 16
#define NLMSG_ERROR 2
#define NLMSG_HDRLEN 16
#define ALIGN_NLMSG(length) (((length) + 3) & ~3U)

struct nlmsg_header {
	u32 len;
	u16 type;
	u16 flags;
	u32 seq;
	u32 portid;
};

static inline u64 skb_data(int typed, u64 skb)
{
	return load64(typed, skb, OFF_SKB_DATA);
}

static inline void read_header(struct nlmsg_header *header, u64 data)
{
	header->len = 0;
	bpf_probe_read_kernel(header, sizeof(*header), (void *)data);
}

static inline void describe(struct frame *frame, int typed, u64 sk, u64 skb, u32 proto, u32 portid)
{
	struct nlmsg_header header = {};

	read_header(&header, skb_data(typed, skb));
	frame->buf = skb;
	frame->id = id_of(portid, header.seq);
	frame->type = header.type;
	frame->flags = header.flags;
	frame->proto = proto;
	frame->size = load32(typed, skb, OFF_SKB_LEN);
	frame->netns = netns_of(typed, sk);
}

/*
 * Emit a record for each message of a request's buffer after the first. More than
 * MAX_MESSAGES in one buffer are not read, and counted as missed.
 */
static inline void emit_messages(struct thread *thread, struct frame *first, int typed, u64 skb)
{
	u64 data = skb_data(typed, skb);
	struct nlmsg_header header = {};
	struct frame frame = *first;
	u32 at, room = first->size;
	int i;

	read_header(&header, data);
	at = ALIGN_NLMSG(header.len);
#pragma clang loop unroll(disable)
	for (i = 1; i < MAX_MESSAGES; i++) {
		if (header.len < sizeof(header) || at + sizeof(header) > room)
			return;
		read_header(&header, data + at);
		frame.id = id_of(first->id, header.seq);
		frame.type = header.type;
		frame.flags = header.flags;
		frame.size = header.len;
		emit(thread, &frame, frame.start_ns, 0, TRACER_MESSAGE);
		at += ALIGN_NLMSG(header.len);
	}
	if (at + sizeof(header) <= room)
		count_missed(TRACER_NETLINK_UNICAST);
}

static inline int unicast_enter(int typed, u64 ssk, u64 skb, u32 portid)
{
	struct thread *thread = current_thread();
	u32 proto = load16(typed, ssk, OFF_SOCK_PROTOCOL);
	struct frame *frame;
	u32 from;

	if (!thread && portid && port_traced(netns_of(typed, ssk), proto, portid))
		thread = enter_bystander();
	if (!thread)
		return 0;
	frame = push(thread, TRACER_NETLINK_UNICAST);
	if (!frame)
		return 0;
	from = portid_of(ssk);
	describe(frame, typed, ssk, skb, proto, from ? from : portid);
	frame->direction = !portid ? TRACER_TO_KERNEL : from ? TRACER_TO_PEER : TRACER_TO_USER;
	if (!portid && frame->size > sizeof(struct nlmsg_header))
		emit_messages(thread, frame, typed, skb);
	return 0;
}

static inline int span_return(u8 point, s64 ret)
{
	struct thread *thread = current_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = pop(thread, point);
	if (frame)
		emit_span(thread, frame, ret);
	leave_bystander(thread);
	return 0;
}

ENTRY(netlink_unicast)
{
	return unicast_enter(TYPED(netlink_unicast), ARG(netlink_unicast, 0),
			     ARG(netlink_unicast, 1), ARG(netlink_unicast, 2));
}
RETURN(netlink_unicast)
{
	return span_return(TRACER_NETLINK_UNICAST, (s32)RETVAL(netlink_unicast));
}

/* A broadcast's call is emitted only if one of its receivers was a traced socket. */
static inline int broadcast_enter(int typed, u64 ssk, u64 skb)
{
	struct thread *thread = current_thread();
	struct frame *frame;

	if (!thread)
		thread = enter_bystander();
	if (!thread)
		return 0;
	frame = push(thread, TRACER_NETLINK_BROADCAST);
	if (frame)
		describe(frame, typed, ssk, skb, load16(typed, ssk, OFF_SOCK_PROTOCOL), 0);
	return 0;
}

static inline int broadcast_return(s64 ret)
{
	struct thread *thread = current_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = pop(thread, TRACER_NETLINK_BROADCAST);
	if (frame && frame->wanted)
		emit_span(thread, frame, ret);
	leave_bystander(thread);
	return 0;
}

ENTRY(netlink_broadcast)
{
	return broadcast_enter(TYPED(netlink_broadcast), ARG(netlink_broadcast, 0),
			       ARG(netlink_broadcast, 1));
}
RETURN(netlink_broadcast) { return broadcast_return((s32)RETVAL(netlink_broadcast)); }

/*
 * Record that a message is about to be queued at a traced socket, or was lost
 * there (skb is 0). The record's ret is the negative errno that an NLMSG_ERROR
 * carries, 0 for an acknowledgement and for other messages.
 */
static inline int receiver_enter(int typed, u8 point, u64 sk, u64 skb)
{
	u32 proto = load16(typed, sk, OFF_SOCK_PROTOCOL), portid = portid_of(sk);
	struct thread *thread = current_thread();
	struct frame *frame;
	s32 error = 0;

	if (!port_traced(netns_of(typed, sk), proto, portid))
		return 0;
	if (!thread)
		thread = enter_bystander();
	if (!thread)
		return 0;
	frame = push(thread, point);
	if (frame && skb) {
		describe(frame, typed, sk, skb, proto, portid);
		if (frame->type == NLMSG_ERROR)
			bpf_probe_read_kernel(&error, sizeof(error),
					      (void *)(skb_data(typed, skb) + NLMSG_HDRLEN));
	} else if (frame) {
		frame->id = id_of(portid, 0);
		frame->proto = proto;
	}
	frame = pop(thread, point);
	if (frame)
		emit(thread, frame, frame->start_ns, error, TRACER_SPAN);
	leave_bystander(thread);
	return 0;
}

/* Unicasts, broadcasts and the parts of dumps are all queued by this function. */
ENTRY(__netlink_sendskb)
{
	return receiver_enter(TYPED(__netlink_sendskb), TRACER_NETLINK_SENDSKB,
			      ARG(__netlink_sendskb, 0), ARG(__netlink_sendskb, 1));
}

/* The receive queue was full: a message for this socket is lost. */
ENTRY(netlink_overrun)
{
	return receiver_enter(TYPED(netlink_overrun), TRACER_NETLINK_OVERRUN,
			      ARG(netlink_overrun, 0), 0);
}

/*
 * Most kernel-side receivers parse a request with netlink_rcv_skb, so its entry
 * marks where the handler begins. msgchan does not call it and has a tracepoint.
 */
static inline int rcv_skb_enter(u64 skb)
{
	struct thread *thread = traced_thread();
	struct frame *outer, *frame;

	if (!thread)
		return 0;
	outer = top(thread);
	if (!outer || outer->point != TRACER_NETLINK_UNICAST || outer->buf != skb)
		return 0;
	frame = push(thread, TRACER_NETLINK_RCV_SKB);
	if (frame) {
		frame->buf = skb;
		frame->id = outer->id;
		frame->proto = outer->proto;
		frame->netns = outer->netns;
		frame->type = outer->type;
	}
	frame = pop(thread, TRACER_NETLINK_RCV_SKB);
	if (frame)
		emit(thread, frame, frame->start_ns, 0, TRACER_SPAN);
	return 0;
}

ENTRY(netlink_rcv_skb) { return rcv_skb_enter(ARG(netlink_rcv_skb, 0)); }

/* One call makes one part of a dump. The record's flags are 1 if it was the last part. */
static inline int dump_enter(u64 sk)
{
	struct thread *thread = traced_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = push(thread, TRACER_NETLINK_DUMP);
	if (frame) {
		frame->id = id_of(portid_of(sk), 0);
		frame->proto = load16(0, sk, OFF_SOCK_PROTOCOL);
		frame->netns = netns_of(0, sk);
		frame->buf = sk;
	}
	return 0;
}

static inline int dump_return(s32 ret)
{
	struct thread *thread = traced_thread();
	struct frame *frame;
	u8 running = 1;

	if (!thread)
		return 0;
	frame = pop(thread, TRACER_NETLINK_DUMP);
	if (!frame)
		return 0;
	bpf_probe_read_kernel(&running, 1, (void *)(frame->buf + OFF_NETLINK_CB_RUNNING));
	frame->flags = !running;
	frame->buf = 0;
	emit_span(thread, frame, ret);
	return 0;
}

ENTRY(netlink_dump) { return dump_enter(ARG(netlink_dump, 0)); }
RETURN(netlink_dump) { return dump_return(RETVAL(netlink_dump)); }

/* A traced thread binds a socket: from now on messages to it are recorded. */
static inline int insert_enter(int typed, u64 sk, u32 portid)
{
	struct thread *thread = traced_thread();
	u32 tgid;
	u64 key;

	if (!thread)
		return 0;
	tgid = thread->tgid;
	key = port_key(netns_of(typed, sk), load16(typed, sk, OFF_SOCK_PROTOCOL), portid);
	if (ports.update(&key, &tgid))
		count_missed(TRACER_NETLINK_SENDSKB);
	return 0;
}

ENTRY(netlink_insert)
{
	return insert_enter(TYPED(netlink_insert), ARG(netlink_insert, 0), ARG(netlink_insert, 1));
}

static inline int release_enter(int typed, u64 sock)
{
	u64 sk = load64(typed, sock, OFF_SOCKET_SK), key;

	if (!sk)
		return 0;
	key = port_key(netns_of(0, sk), load16(0, sk, OFF_SOCK_PROTOCOL), portid_of(sk));
	ports.delete(&key);
	return 0;
}

ENTRY(netlink_release) { return release_enter(TYPED(netlink_release), ARG(netlink_release, 0)); }
