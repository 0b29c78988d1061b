/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who is traced: threads that user space enters, and all that those start.
 */
static inline struct account *account_of(u32 point)
{
	return accounts.lookup(&point);
}

static inline void count_missed(u32 point)
{
	struct account *account = account_of(point);

	if (account)
		account->missed++;
}

static inline struct thread *traced_thread(void)
{
	u64 ids = bpf_get_current_pid_tgid();
	u32 tid = ids, at = tid & (SLOTS - 1);
	struct thread *thread = slots.lookup(&at);

	if (!thread)
		return 0;
	if (thread->ids == ids)
		return thread;
	return thread->crowded ? spilled.lookup(&tid) : 0;
}

/* The point whose account tells of this call, such as of a return that was missed. */
static inline u32 point_of(u8 call)
{
	return call == CALL_SEND ? TRACER_POINT_SEND :
	       call == CALL_RECV ? TRACER_POINT_RECV :
	       call == CALL_SET ? TRACER_POINT_SET :
	       call == CALL_GET ? TRACER_POINT_GET : TRACER_POINT_POLL;
}

/*
 * Mark the current thread for msgchan, which tells of the requests of marked threads only.
 * Only the thread itself can be marked everywhere; so this is done in its first call.
 */
static inline void mark(struct thread *thread)
{
#if MARKS
	u32 zero = 0;

	if (thread->marked)
		return;
	thread->marked = 1;
	marked_tasks.task_storage_get(bpf_get_current_task_btf(), &zero,
				      BPF_LOCAL_STORAGE_GET_F_CREATE);
#endif
}

/* Open a call. No call can enclose it, so one that is still open missed its return. */
static inline struct thread *open_call(u8 call)
{
	struct thread *thread = traced_thread();

	if (!thread)
		return 0;
	if (thread->open)
		count_missed(point_of(thread->open));
	thread->open = call;
	thread->reached = 0;
	thread->fresh = 0;
	mark(thread);
	return thread;
}

/* Close a call; 0 if the thread is not traced or the call was not seen to begin. */
static inline struct thread *close_call(u8 call)
{
	struct thread *thread = traced_thread();

	if (!thread)
		return 0;
	if (thread->open == call) {
		thread->open = CALL_NONE;
		return thread;
	}
	if (!thread->fresh)
		count_missed(point_of(call));
	return 0;
}

/* The thread, if it is inside this call. */
static inline struct thread *inside(u8 call)
{
	struct thread *thread = traced_thread();

	return thread && thread->open == call ? thread : 0;
}

/*
 * Write a record: the first `count` of its words and the last two. Word `address` was made of
 * a typed pointer in this very program, with which the verifier allows no arithmetic; read
 * back from the ring it is a plain number (none: NO_ADDRESS). An interrupt may run a probe
 * in the middle of this, so the counts are added to atomically.
 */
#define NO_ADDRESS TRACER_RECORD_WORDS

static inline void emit_words(u64 *words, u32 count, u32 point, u32 address)
{
	struct account *account = account_of(point);
	u64 sum = TRACER_SUM_SEED, *record;
	u32 i;

	if (!account)
		return;
	record = events.ringbuf_reserve(TRACER_RECORD_BYTES);
	if (!record) {
		__sync_fetch_and_add(&account->lost, 1);
		return;
	}
#pragma unroll
	for (i = 0; i < TRACER_RECORD_WORDS; i++) {
		if (i >= count && i < TRACER_RECORD_WORDS - 2)
			continue;
		record[i] = words[i];
		sum ^= i == address ? *(volatile u64 *)&record[i] : words[i];
		sum *= TRACER_SUM_FACTOR;
	}
	sum = (sum ^ sum >> 33) * TRACER_SUM_MIX;
	sum ^= sum >> 33;
	events.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	__sync_fetch_and_add(&account->emitted, 1);
	__sync_fetch_and_add(&account->checksum, sum);
}

static inline void emit(u64 *words, u32 count, u32 point)
{
	emit_words(words, count, point, NO_ADDRESS);
}

/* The last word of a record: cpu, kind, point, proto, channel, bits. */
static inline u64 tail(u8 kind, u8 point, u8 proto, u8 channel, u16 bits)
{
	return (u64)bits << 48 | (u64)channel << 40 | (u64)proto << 32 | (u64)point << 24 |
	       (u64)kind << 16 | (u16)bpf_get_smp_processor_id();
}

static inline void emit_task(u64 task, u32 tid, u32 tgid)
{
	u64 parent = load64(0, task, OFF_TASK_REAL_PARENT);
	u64 nsproxy = load64(0, task, OFF_TASK_NSPROXY);
	union {
		struct tracer_task task;
		u64 words[TRACER_RECORD_WORDS];
	} record = {};

	record.task.start_ns = bpf_ktime_get_ns();
	bpf_probe_read_kernel(record.task.comm, sizeof(record.task.comm),
			      (void *)(task + OFF_TASK_COMM));
	record.task.netns = load32(0, load64(0, nsproxy, OFF_NSPROXY_NET), OFF_NET_INUM);
	record.task.ppid = load32(0, parent, OFF_TASK_TGID);
	record.words[14] = (u64)tgid << 32 | tid;
	record.words[15] = tail(TRACER_TASK, TRACER_POINT_TASK, 0, 0, 0);
	emit(record.words, TRACER_WORDS_TASK, TRACER_POINT_TASK);
}

/*
 * Note the user id that owns files which this process creates (fsuid). The
 * recorder trusts a send log only if its owner is a user that the process ran as.
 */
static inline void note_user(u64 task, u32 tgid)
{
	u64 key = (u64)tgid << 32 | load32(0, load64(0, task, OFF_TASK_CRED), OFF_CRED_FSUID);
	u8 one = 1;

	users.update(&key, &one);
}

/* Give a thread its slot, or an entry of `spilled` if another thread has that. */
static inline int settle(u32 tid, u32 tgid)
{
	u32 at = tid & (SLOTS - 1), zero = 0;
	struct thread *blank = blank_thread.lookup(&zero), *slot = slots.lookup(&at);

	if (!blank || !slot)
		return -1;
	if (!owners.insert(&at, &tid)) {
		slot->open = CALL_NONE;
		slot->fresh = 0;
		slot->marked = 0;
		slot->broadcasting = 0;
		slot->watched = 0;
		slot->dump_ns = 0;
	} else {
		slot->crowded = 1;
		if (spilled.update(&tid, blank))
			return -1;
		slot = spilled.lookup(&tid);
		if (!slot)
			return -1;
	}
	slot->ids = (u64)tgid << 32 | tid;
	return 0;
}

static inline void unsettle(u32 tid)
{
	u32 at = tid & (SLOTS - 1);
	struct thread *slot = slots.lookup(&at);

	if (slot && (u32)slot->ids == tid) {
		slot->ids = FREE;
		owners.delete(&at);
	} else {
		spilled.delete(&tid);
	}
}

/* Whether a thread other than the current one is traced. */
static inline int is_traced(u32 tid)
{
	u32 at = tid & (SLOTS - 1);
	struct thread *slot = slots.lookup(&at);

	return (slot && (u32)slot->ids == tid) || spilled.lookup(&tid);
}

static inline void adopt(u64 task, u32 tid, u32 tgid)
{
	if (settle(tid, tgid)) {
		count_missed(TRACER_POINT_TASK);	/* more threads than there is room for */
		return;
	}
	note_user(task, tgid);
	emit_task(task, tid, tgid);
}

RAW_TRACEPOINT_PROBE(sched_process_fork)
{
	u64 child = ctx->args[1];

	if (traced_thread())
		adopt(child, load32(0, child, OFF_TASK_PID), load32(0, child, OFF_TASK_TGID));
	return 0;
}

/* After exec the thread has the process's id as its tid, and a new name. */
RAW_TRACEPOINT_PROBE(sched_process_exec)
{
	u32 old = ctx->args[1], tid = bpf_get_current_pid_tgid();

	if (!is_traced(old))
		return 0;
	unsettle(old);
	adopt(ctx->args[0], tid, bpf_get_current_pid_tgid() >> 32);
	return 0;
}

/*
 * A system call returns before a signal ends its thread, so a call that is still
 * open here missed its return. The signal is noted for the ledger: a thread that
 * was killed may not have logged its last call on the user side.
 */
RAW_TRACEPOINT_PROBE(sched_process_exit)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct thread *thread = traced_thread();
	struct ending ending = {};

	if (!thread)
		return 0;
	if (thread->open)
		count_missed(point_of(thread->open));
	ending.ended_ns = bpf_ktime_get_ns();
	ending.signal = load32(0, ctx->args[0], OFF_TASK_EXIT_CODE) & 0x7f;
	endings.update(&tid, &ending);
	note_user(ctx->args[0], bpf_get_current_pid_tgid() >> 32);
	unsettle(tid);
	return 0;
}
