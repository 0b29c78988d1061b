/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the probes keep: a stack of open calls per thread, the ring, and what
 * is counted. The offsets (OFF_*), argument slots (SLOTS_*) and sites (SITE_*)
 * are given on the compiler's command line by tracer/attach/probes.py, and so is
 * HOME_NETNS, the recorder's own network namespace.
 */
#include <uapi/linux/ptrace.h>

#define MAX_DEPTH 8	/* a power of two: frame_at() masks with it */
#define AF_NETLINK 16

/* One open call. The fields are those of struct tracer_event. */
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
	u8 wanted;		/* emit at return: something of interest happened inside */
	u8 direction;
};

enum traced {
	BYSTANDER,		/* somebody else, sending to a traced socket */
	TRACED,
	TRACED_FRESH,		/* entered by user space, perhaps in the middle of a call */
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
	u64 signal;		/* what killed it, 0: it came to its end */
};

/* What left a point for the ring, and the sum of its times: the ledger's witness. */
struct account {
	u64 emitted;
	u64 lost;		/* failed reservations */
	u64 time_sum;		/* of start_ns + end_ns of the emitted, modulo 2^64 */
	u64 missed;		/* returns that never came, or came without an entry */
};

/* Requests and replies at the module's tracepoints, by enum msgchan_channel. */
struct witness {
	u64 foreign;		/* requests in HOME_NETNS of threads that are not traced */
	u64 replies;		/* sent to traced sockets */
	u64 foreign_replies;
};

BPF_F_TABLE("hash", u32, struct thread, threads, MAX_THREADS, BPF_F_ZERO_SEED);
BPF_F_TABLE("hash", u64, u32, ports, MAX_PORTS, BPF_F_ZERO_SEED);
BPF_TABLE("lru_hash", u32, struct ending, endings, MAX_THREADS);
/* Which users a traced process had: tgid << 32 | uid. The oldest make room. */
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
 * A field of a kernel structure. In an fentry or fexit program the pointer is
 * typed and the verifier turns the load into one that cannot fault; elsewhere
 * the helper does. `typed` is a constant, so one of the two remains.
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

/* struct netlink_sock is larger than the struct sock that BTF types here. */
static inline u32 portid_of(u64 sk)
{
	return load32(0, sk, OFF_NETLINK_PORTID);
}
