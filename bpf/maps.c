/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The probes' maps: a stack of open calls for each thread, the ring buffer, and
 * the counters. An open call is one that was entered and has not returned.
 *
 * tracer/attach/program.py defines these macros on the compiler's command line:
 * field offsets (OFF_*), numbers of argument slots (SLOTS_*), sites (SITE_*) and
 * HOME_NETNS, the recorder's own network namespace.
 */
#include <uapi/linux/ptrace.h>

#define MAX_DEPTH 8	/* a power of two: frame_at() masks with it */
#define AF_NETLINK 16

/* One open call. See struct tracer_event for the fields without a comment. */
struct frame {
	u64 start_ns;
	u64 buf;
	u64 id;			/* portid and seq, or sock */
	u32 size;
	u32 netns;
	u16 type;
	u16 flags;
	u8 point;
	u8 proto;
	u8 wanted;		/* something was observed inside, so emit this call at its return */
	u8 direction;
};

enum traced {
	BYSTANDER,		/* not traced itself, but sending to a traced socket right now */
	TRACED,
	TRACED_FRESH,		/* added while it ran: it may return from a call not seen to begin */
};

struct thread {
	u32 depth;
	u32 tid;
	u32 tgid;
	u32 traced;		/* enum traced */
	struct frame frames[MAX_DEPTH];
};

/* How a traced thread ended. */
struct ending {
	u64 ended_ns;
	u64 signal;		/* the signal that killed it; 0 if it exited by itself */
};

/*
 * Counts of one point's records. The ledger compares them with the records that
 * arrived on the disk; time_sum also reveals a record whose times were altered.
 */
struct account {
	u64 emitted;
	u64 lost;		/* records for which the ring had no room */
	u64 time_sum;		/* sum of start_ns + end_ns of the emitted records, modulo 2^64 */
	u64 missed;		/* entries without return, returns without entry, full tables */
};

/* Requests and replies at the module's tracepoints; one for each enum msgchan_channel. */
struct witness {
	u64 foreign;		/* requests in HOME_NETNS by threads that are not traced */
	u64 replies;		/* replies to traced sockets */
	u64 foreign_replies;	/* replies to other sockets */
};

BPF_F_TABLE("hash", u32, struct thread, threads, MAX_THREADS, BPF_F_ZERO_SEED);
BPF_F_TABLE("hash", u64, u32, ports, MAX_PORTS, BPF_F_ZERO_SEED);
BPF_TABLE("lru_hash", u32, struct ending, endings, MAX_THREADS);
/* Key tgid << 32 | uid: the user ids that traced processes ran as. The oldest are dropped. */
BPF_TABLE("lru_hash", u64, u8, users, 4 * MAX_THREADS);
BPF_TABLE("percpu_array", u32, struct account, accounts, TRACER_POINTS);
BPF_TABLE("percpu_array", u32, struct witness, witnesses, 4);
BPF_TABLE("array", u32, struct thread, blank_thread, 1);
BPF_RINGBUF_OUTPUT(events, RING_PAGES);

static inline u64 id_of(u32 portid, u32 seq)
{
	return (u64)seq << 32 | portid;
}

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

/*
 * Always by the helper: in an fentry program the argument is typed struct sock,
 * and portid lies beyond its end, in the struct netlink_sock that contains it.
 */
static inline u32 portid_of(u64 sk)
{
	return load32(0, sk, OFF_NETLINK_PORTID);
}
