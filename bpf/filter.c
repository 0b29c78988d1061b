/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who is traced, and the stack of open calls.
 *
 * A thread is traced when it has an entry in `threads` whose field traced is not
 * BYSTANDER. User space enters the first threads; when a traced thread forks,
 * its child is entered here. A netlink socket is traced when a traced thread
 * bound it: then messages to it are recorded whoever sends them, for example a
 * notification that an interrupt sends while some other program is current.
 */

/* The key in `threads`. The idle tasks of all CPUs have tid 0, so each gets a key by CPU. */
static inline u32 current_key(void)
{
	u32 tid = bpf_get_current_pid_tgid();

	return tid ? tid : 0x80000000 | bpf_get_smp_processor_id();
}

static inline struct thread *current_thread(void)
{
	u32 key = current_key();

	return threads.lookup(&key);
}

static inline struct thread *traced_thread(void)
{
	struct thread *thread = current_thread();

	return thread && thread->traced ? thread : 0;
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

/*
 * Enter the current thread as a bystander: it is not traced, but it, or an
 * interrupt that runs on it, sends to a traced socket. It needs a stack of open
 * calls until leave_bystander().
 */
static inline struct thread *enter_bystander(void)
{
	u32 key = current_key(), zero = 0;
	struct thread *blank = blank_thread.lookup(&zero);
	struct thread *thread;

	if (!blank)
		return 0;
	threads.update(&key, blank);
	thread = threads.lookup(&key);
	if (thread) {
		thread->tid = bpf_get_current_pid_tgid();
		thread->tgid = bpf_get_current_pid_tgid() >> 32;
	}
	return thread;
}

static inline void leave_bystander(struct thread *thread)
{
	u32 key = current_key();

	if (!thread->traced && thread->depth == 0)
		threads.delete(&key);
}

/*
 * The frame at this depth, 0 if the stack has none there. The mask changes
 * nothing after the test, but the verifier needs it: the compiler may test one
 * register and use another one as the index, whose bound the verifier then does
 * not know.
 */
static inline struct frame *frame_at(struct thread *thread, u32 depth)
{
	if (depth >= MAX_DEPTH)
		return 0;
	asm volatile("%0 &= 7" : "+r"(depth));
	return &thread->frames[depth];
}

static inline struct frame *top(struct thread *thread)
{
	return frame_at(thread, thread->depth - 1);
}

/*
 * Open a call. Returns 0 when the stack is full; the depth counts on, so that
 * the returns of such calls are matched with them and not with outer calls.
 */
static inline struct frame *push(struct thread *thread, u8 point)
{
	struct frame *frame = frame_at(thread, thread->depth);

	thread->depth++;
	if (!frame) {
		count_missed(point);
		return 0;
	}
	frame->buf = 0;
	frame->id = 0;
	frame->size = 0;
	frame->netns = 0;
	frame->type = 0;
	frame->flags = 0;
	frame->point = point;
	frame->proto = 0;
	frame->wanted = 0;
	frame->direction = 0;
	frame->start_ns = bpf_ktime_get_ns();
	return frame;
}

/*
 * Close the innermost open call of this point and return its frame. Calls that
 * were opened inside it and are still open missed their returns, for instance
 * because no kretprobe instance was free; they are counted as missed and dropped.
 */
static inline struct frame *pop(struct thread *thread, u8 point)
{
	u32 depth = thread->depth;
	struct frame *frame;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < MAX_DEPTH; i++) {
		frame = frame_at(thread, --depth);
		if (!frame)
			break;
		if (frame->point == point) {
			thread->depth = depth;
			return frame;
		}
		count_missed(frame->point);
	}
	if (thread->depth > MAX_DEPTH)
		thread->depth--;
	if (thread->traced != TRACED_FRESH)
		count_missed(point);
	return 0;
}

/* Open a system call. No call can enclose it, so whatever is still open missed its return. */
static inline struct frame *push_syscall(struct thread *thread, u8 point)
{
	struct frame *frame = top(thread);

	if (frame)
		count_missed(frame->point);
	thread->depth = 0;
	thread->traced = TRACED;
	return push(thread, point);
}

static inline void emit(struct thread *thread, struct frame *frame, u64 end_ns, s32 ret, u8 kind)
{
	struct account *account = account_of(frame->point);
	struct frame *outer = top(thread);
	struct tracer_event *event;

	if (outer)
		outer->wanted = 1;
	if (!account)
		return;
	event = events.ringbuf_reserve(sizeof(*event));
	if (!event) {
		account->lost++;
		return;
	}
	event->start_ns = frame->start_ns;
	event->end_ns = end_ns;
	event->buf = frame->buf;
	event->sock = frame->id;
	event->tid = thread->tid;
	event->tgid = thread->tgid;
	event->netns = frame->netns;
	event->size = frame->size;
	event->ret = ret;
	event->type = frame->type;
	event->flags = frame->flags;
	event->cpu = bpf_get_smp_processor_id();
	event->kind = kind;
	event->point = frame->point;
	event->depth = thread->depth;
	event->proto = frame->proto;
	event->direction = frame->direction;
	account->emitted++;
	account->time_sum += frame->start_ns + end_ns;
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static inline void emit_span(struct thread *thread, struct frame *frame, s32 ret)
{
	emit(thread, frame, bpf_ktime_get_ns(), ret, TRACER_SPAN);
}

static inline void emit_task(u64 task, u32 tid, u32 tgid)
{
	struct account *account = account_of(0);
	u64 parent = load64(0, task, OFF_TASK_REAL_PARENT);
	u64 nsproxy = load64(0, task, OFF_TASK_NSPROXY);
	struct tracer_task *record;

	if (!account)
		return;
	record = events.ringbuf_reserve(sizeof(*record));
	if (!record) {
		account->lost++;
		return;
	}
	record->start_ns = bpf_ktime_get_ns();
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), (void *)(task + OFF_TASK_COMM));
	record->reserved0 = 0;
	record->tid = tid;
	record->tgid = tgid;
	record->netns = load32(0, load64(0, nsproxy, OFF_NSPROXY_NET), OFF_NET_INUM);
	record->ppid = load32(0, parent, OFF_TASK_TGID);
	record->reserved1 = 0;
	record->cpu = bpf_get_smp_processor_id();
	record->kind = TRACER_TASK;
	record->point = 0;
	record->depth = 0;
	record->proto = 0;
	record->reserved2 = 0;
	account->emitted++;
	account->time_sum += record->start_ns;
	events.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
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

static inline void adopt(u64 task, u32 tid, u32 tgid)
{
	u32 zero = 0;
	struct thread *blank = blank_thread.lookup(&zero);
	struct thread *thread;

	if (!blank)
		return;
	threads.update(&tid, blank);
	thread = threads.lookup(&tid);
	if (!thread) {
		count_missed(0);	/* more threads than MAX_THREADS */
		return;
	}
	thread->tid = tid;
	thread->tgid = tgid;
	thread->traced = TRACED;
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
	struct thread *thread = threads.lookup(&old);

	if (!thread || !thread->traced)
		return 0;
	if (old != tid)
		threads.delete(&old);
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
	struct frame *frame;

	if (!thread)
		return 0;
	frame = top(thread);
	if (frame)
		count_missed(frame->point);
	ending.ended_ns = bpf_ktime_get_ns();
	ending.signal = load32(0, ctx->args[0], OFF_TASK_EXIT_CODE) & 0x7f;
	endings.update(&tid, &ending);
	note_user(ctx->args[0], bpf_get_current_pid_tgid() >> 32);
	threads.delete(&tid);
	return 0;
}
