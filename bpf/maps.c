/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The probes' maps: a slot for each traced thread, in which the record of its system call is
 * built; the traced sockets; the ring buffer; and the counters.
 *
 * tracer/attach/program.py defines these macros on the compiler's command line: field offsets
 * (OFF_*), numbers of argument slots (SLOTS_*), sites (SITE_*), HOME_NETNS, the recorder's own
 * network namespace, and MARKS: whether tasks and sockets can carry BPF storage.
 */
#include <uapi/linux/ptrace.h>

#define AF_NETLINK 16
#define FREE (~0ULL)	/* in a slot: no thread has it. 0 would be the idle task */
#define IDLE 0x80000000U	/* stands for a CPU's idle task in a key; no thread id is so large */
#define POLLED_MAX 4

/* The system call that a thread is inside of. */
enum call {
	CALL_NONE,
	CALL_SEND,
	CALL_RECV,
	CALL_SET,
	CALL_GET,
	CALL_POLL,
};

/* A netlink socket that an open poll asked about. */
struct polled {
	u64 sk;
	u32 portid;
	u32 netns;
	u16 proto;
	u16 pad[3];
};

/*
 * A traced thread. Its slot is `slots[tid % SLOTS]`, or an entry of `spilled` where another
 * traced thread has that slot. A thread is inside one of the observed calls at a time, so
 * that one record under construction is enough.
 */
struct thread {
	u64 ids;		/* as bpf_get_current_pid_tgid() has them; FREE in a free slot */
	u32 crowded;		/* of a slot: some thread that belongs here is in `spilled` */
	u8 open;		/* enum call */
	u8 reached;		/* the open call got to netlink_unicast, nf_setsockopt or nf_getsockopt */
	u8 fresh;		/* added while it ran: it may return from a call not seen to begin */
	u8 marked;		/* it carries the storage that msgchan looks for */
	u64 sk;			/* the socket that the open call is about */
	u64 skb;		/* send: the buffer; get: address of the value's length */
	u64 watched;		/* a socket that is traced; these are its ids: */
	u32 portid;
	u32 netns;
	u64 closings;		/* what `closings` was when `watched` was set: else it may be gone */
	u64 dump_ns;		/* netlink_dump was entered; 0: it is not running */
	u8 parts;		/* this netlink_dump has queued a part, which is in `part` */
	u8 polls;		/* entries of `polled` */
	u8 broadcasting;	/* inside netlink_broadcast */
	u8 pad[5];
	union {
		u64 words[TRACER_RECORD_WORDS];
		struct tracer_send send;
		struct tracer_recv recv;
		struct tracer_opt opt;
	};
	struct tracer_extra part;
	struct polled polled[POLLED_MAX];
};

/* How a traced thread ended. */
struct ending {
	u64 ended_ns;
	u64 signal;		/* the signal that killed it; 0 if it exited by itself */
};

/*
 * Counts of one point's records. The ledger compares them with the records that
 * arrived on the disk.
 */
struct account {
	u64 emitted;
	u64 lost;		/* records for which the ring had no room */
	u64 checksum;		/* sum of the checksums of the emitted records, modulo 2^64 */
	u64 missed;		/* entries without return, returns without entry, full tables */
};

/* What the module tells of others; one for each enum msgchan_channel. */
struct witness {
	u64 foreign;		/* requests told in HOME_NETNS by threads that are not traced */
	u64 replies;		/* messages on icmp_proto to traced sockets */
	u64 foreign_replies;	/* messages on icmp_proto to other sockets */
};

/* The call of the current thread, or of an interrupt on it, that sends to a traced socket. */
struct origin {
	u64 start_ns;
	u64 skb;		/* of a unicast; 0 of a broadcast, which queues copies */
};

BPF_F_TABLE("array", u32, struct thread, slots, SLOTS, BPF_F_MMAPABLE);
BPF_F_TABLE("hash", u32, struct thread, spilled, SLOTS, BPF_F_ZERO_SEED);
/* Key: a slot's index, value: the thread that has it. An insertion that succeeds takes the slot. */
BPF_F_TABLE("hash", u32, u32, owners, SLOTS, BPF_F_ZERO_SEED);
BPF_F_TABLE("hash", u64, u32, ports, MAX_PORTS, BPF_F_ZERO_SEED);
/* 1 where some traced socket's port id ends in these bits: asked before `ports`, as it is cheap. */
BPF_TABLE("array", u32, u32, port_hints, PORT_HINTS);
/* How many traced sockets were closed: then another one may have the address of one of them. */
BPF_TABLE("array", u32, u64, closings, 1);
BPF_F_TABLE("hash", u32, struct origin, origins, SLOTS, BPF_F_ZERO_SEED);
BPF_TABLE("lru_hash", u32, struct ending, endings, SLOTS);
/* Key tgid << 32 | uid: the user ids that traced processes ran as. The oldest are dropped. */
BPF_TABLE("lru_hash", u64, u8, users, 4 * SLOTS);
BPF_TABLE("percpu_array", u32, struct account, accounts, TRACER_POINTS);
BPF_TABLE("percpu_array", u32, struct witness, witnesses, 4);
BPF_TABLE("array", u32, struct thread, blank_thread, 1);
BPF_RINGBUF_OUTPUT(events, 1);	/* its size is given when it is made: tracer/attach/loader.py */
#if MARKS
/* Nothing is kept in these: that a task or socket has an entry marks it as traced. */
BPF_TASK_STORAGE(marked_tasks, u32);
BPF_SK_STORAGE(marked_sockets, u32);
#endif

/*
 * Read a field of a kernel structure. In an fentry or fexit program (typed = 1)
 * the verifier knows the pointer's type and allows a plain load, which it makes
 * safe against page faults; elsewhere a helper must read it. typed is a constant,
 * so the compiler keeps only one of the two.
 */
static inline u64 load64(int typed, u64 base, u32 offset)
{
	u64 value = 0;

	if (typed)
		return *(volatile u64 *)(base + offset);
	bpf_probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
	return value;
}

static inline u32 load32(int typed, u64 base, u32 offset)
{
	u32 value = 0;

	if (typed)
		return *(volatile u32 *)(base + offset);
	bpf_probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
	return value;
}

static inline u16 load16(int typed, u64 base, u32 offset)
{
	u16 value = 0;

	if (typed)
		return *(volatile u16 *)(base + offset);
	bpf_probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
	return value;
}

static inline u32 netns_of(int typed, u64 sk)
{
	return load32(typed, load64(typed, sk, OFF_SOCK_NET), OFF_NET_INUM);
}

static inline u16 proto_of(int typed, u64 sk)
{
	return load16(typed, sk, OFF_SOCK_PROTOCOL);
}

/*
 * Always by the helper: in an fentry program the argument is typed struct sock,
 * and portid lies beyond its end, in the struct netlink_sock that contains it.
 */
static inline u32 portid_of(u64 sk)
{
	return load32(0, sk, OFF_NETLINK_PORTID);
}
