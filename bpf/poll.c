/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A program may wait in poll, select or epoll and call receive only when there is
 * a message. Its wait must then count as waiting for that message. So a record is made
 * for each netlink socket that a wait asked about.
 */
static inline int poll_enter(void)
{
	struct thread *thread = open_call(CALL_POLL);

	if (!thread)
		return 0;
	thread->polls = 0;
	thread->words[0] = bpf_ktime_get_ns();
	return 0;
}

static inline void emit_poll(struct thread *thread, struct polled *polled, u64 end_ns, s64 ret)
{
	union {
		struct tracer_extra extra;
		u64 words[TRACER_RECORD_WORDS];
	} record = {};

	record.extra.start_ns = thread->words[0];
	record.extra.end_ns = end_ns;
	record.extra.portid = polled->portid;
	record.extra.netns = polled->netns;
	record.extra.ret = ret;
	record.words[14] = thread->ids;
	record.words[15] = tail(TRACER_EXTRA, TRACER_POINT_POLL, polled->proto, 0, 0);
	emit(record.words, TRACER_WORDS_EXTRA, TRACER_POINT_POLL);
}

static inline int poll_return(s64 ret)
{
	struct thread *thread = close_call(CALL_POLL);
	u64 now;
	int i;

	if (!thread || !thread->polls)
		return 0;
	now = bpf_ktime_get_ns();
#pragma clang loop unroll(disable)
	for (i = 0; i < POLLED_MAX; i++)
		if (i < thread->polls)
			emit_poll(thread, &thread->polled[i], now, ret);
	return 0;
}

ENTRY(do_sys_poll) { return poll_enter(); }
RETURN(do_sys_poll) { return poll_return((s32)RETVAL(do_sys_poll)); }
ENTRY(do_select) { return poll_enter(); }
RETURN(do_select) { return poll_return((s32)RETVAL(do_select)); }
ENTRY(do_epoll_wait) { return poll_enter(); }
RETURN(do_epoll_wait) { return poll_return((s32)RETVAL(do_epoll_wait)); }

/*
 * Note which netlink socket a wait asks about; each is asked several times. Sockets beyond
 * POLLED_MAX are told at once: their wait is known from its begin until now.
 */
static inline int datagram_poll_enter(int typed, u64 sock)
{
	struct thread *thread = inside(CALL_POLL);
	struct polled polled = {};
	u64 sk;
	int i;

	if (!thread)
		return 0;
	sk = load64(typed, sock, OFF_SOCKET_SK);
	if (load16(typed, sk, OFF_SOCK_FAMILY) != AF_NETLINK)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < POLLED_MAX; i++)
		if (i < thread->polls && thread->polled[i].sk == sk)
			return 0;
	polled.sk = sk;
	polled.portid = portid_of(sk);
	polled.netns = netns_of(typed, sk);
	polled.proto = proto_of(typed, sk);
	i = thread->polls;
	if (i < POLLED_MAX) {
		asm volatile("%0 &= 3" : "+r"(i));
		thread->polled[i] = polled;
		thread->polls++;
	} else {
		emit_poll(thread, &polled, bpf_ktime_get_ns(), 0);
	}
	return 0;
}

ENTRY(datagram_poll)
{
	return datagram_poll_enter(TYPED(datagram_poll), ARG(datagram_poll, 1));
}
