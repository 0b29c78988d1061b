/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which netlink sockets are traced: those that a traced thread bound or sent on. Messages to
 * them are recorded whoever sends them, for example a notification that an interrupt sends
 * while some other program is current. So is noted here where such a sender's call began.
 */
/* The key in `origins`. The idle tasks of all CPUs have tid 0, so each gets a key by CPU. */
static inline u32 current_key(void)
{
	u32 tid = bpf_get_current_pid_tgid();

	return tid ? tid : IDLE | bpf_get_smp_processor_id();
}

/*
 * The key in `ports`: network namespace, protocol and port id in 64 bits. A
 * protocol needs five bits (MAX_LINKS is 32), which leaves 27 of the namespace's
 * 32. The five bits that are shifted out are the same for all namespaces, because
 * their inode numbers count up from 0xF0000000 (PROC_DYNAMIC_FIRST).
 */
static inline u64 port_key(u32 netns, u32 proto, u32 portid)
{
	return (u64)netns << 37 | (u64)(proto & 31) << 32 | portid;
}

static inline int port_traced(u32 netns, u32 proto, u32 portid)
{
	u64 key = port_key(netns, proto, portid);

	return ports.lookup(&key) != 0;
}

static inline u64 closings_now(void)
{
	u32 zero = 0;
	u64 *count = closings.lookup(&zero);

	return count ? *count : 0;
}

/* Whether the thread's `watched` is this socket, so that its ids are known. */
static inline int knows(struct thread *thread, u64 sk)
{
	return thread->watched == sk && thread->closings == closings_now();
}

/* Trace a socket, which is marked too where that can be: most others are then told by one load. */
static inline void watch(struct thread *thread, u64 sk, u32 netns, u32 proto, u32 portid)
{
	u64 key = port_key(netns, proto, portid);
	u32 at = portid & (PORT_HINTS - 1), one = 1, zero = 0, tgid = thread->ids >> 32;

	if (!portid)
		return;
	port_hints.update(&at, &one);
	if (ports.update(&key, &tgid)) {
		count_missed(TRACER_POINT_QUEUED);
		return;
	}
#if MARKS
	marked_sockets.sk_storage_get((void *)sk, &zero, BPF_SK_STORAGE_GET_F_CREATE);
#endif
	thread->watched = sk;
	thread->portid = portid;
	thread->netns = netns;
	thread->closings = closings_now();
}

/*
 * Whether a message to this port goes to the socket that the thread's open call sends on.
 * `sk` is any socket of the message's protocol.
 */
static inline int to_sender(struct thread *thread, int typed, u64 sk, u32 portid)
{
	return thread && thread->open == CALL_SEND && thread->reached &&
	       thread->send.portid == portid && thread->send.proto == proto_of(typed, sk);
}

/*
 * Note that the current thread, or an interrupt on it, is about to send to a port. Of answers
 * (to_sender) that is not noted, as the record of their call tells where they come from.
 */
static inline int note_origin(u32 dst, u64 skb)
{
	u32 at = dst & (PORT_HINTS - 1), *hint = port_hints.lookup(&at), key;
	struct origin origin = {};

	if (!hint || !*hint)
		return 0;
	key = current_key();
	origin.start_ns = bpf_ktime_get_ns();
	origin.skb = skb;
	origins.update(&key, &origin);
	return 0;
}

/*
 * The origin of a message that is being queued; 0: not noted. An earlier note is of no use: the
 * sk_buff that it names may have been freed, and this one may have got the same address.
 */
static inline struct origin *origin_of(struct thread *thread, int typed, u64 sk, u64 skb,
				       u32 portid)
{
	u32 key = current_key();
	struct origin *origin = origins.lookup(&key);

	if (!origin || !origin->skb)
		return origin;
	return origin->skb == skb && !to_sender(thread, typed, sk, portid) ? origin : 0;
}

/* A dump queues its messages without netlink_unicast: what was noted before is not about them. */
static inline int forget_origin(u32 portid)
{
	u32 at = portid & (PORT_HINTS - 1), *hint = port_hints.lookup(&at), key;

	if (!hint || !*hint)
		return 0;
	key = current_key();
	origins.delete(&key);
	return 0;
}

/* A broadcast queues the message at each of its receivers, in turn. */
static inline int broadcast_enter(void)
{
	struct thread *thread = traced_thread();
	u32 key = current_key();
	struct origin origin = {};

	if (thread)
		thread->broadcasting = 1;
	origin.start_ns = bpf_ktime_get_ns();
	origins.update(&key, &origin);
	return 0;
}

static inline int broadcast_return(void)
{
	struct thread *thread = traced_thread();
	u32 key = current_key();

	if (thread)
		thread->broadcasting = 0;
	origins.delete(&key);
	return 0;
}

ENTRY(netlink_broadcast) { return broadcast_enter(); }
RETURN(netlink_broadcast) { return broadcast_return(); }

static inline int is_watched(int typed, u64 sk)
{
#if MARKS
	if (!load64(typed, sk, OFF_SOCK_STORAGE))
		return 0;
#endif
	return port_traced(netns_of(typed, sk), proto_of(typed, sk), portid_of(sk));
}

/* A traced thread binds a socket: from now on messages to it are recorded. */
static inline int insert_enter(int typed, u64 sk, u32 portid)
{
	struct thread *thread = traced_thread();

	if (thread)
		watch(thread, sk, netns_of(typed, sk), proto_of(typed, sk), portid);
	return 0;
}

ENTRY(netlink_insert)
{
	return insert_enter(TYPED(netlink_insert), ARG(netlink_insert, 0), ARG(netlink_insert, 1));
}

static inline int release_enter(int typed, u64 sock)
{
	u64 sk = load64(typed, sock, OFF_SOCKET_SK), key, *count;
	u32 zero = 0;

	if (!sk)
		return 0;
	key = port_key(netns_of(0, sk), proto_of(0, sk), portid_of(sk));
	count = closings.lookup(&zero);
	if (!ports.delete(&key) && count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

ENTRY(netlink_release) { return release_enter(TYPED(netlink_release), ARG(netlink_release, 0)); }
