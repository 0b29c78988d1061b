// SPDX-License-Identifier: GPL-2.0
/*
 * The counters of each channel. The functions that count also fire the module's
 * tracepoints, so that a tracer that sees every event arrives at the same numbers.
 */
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "internal.h"
#include "msgchan_trace.h"

static struct msgchan_counters __percpu *counters(const struct msgchan_call *call)
{
	return &call->mn->stats->channel[call->channel];
}

/* Tracepoints that tell of a whole request at once, as bits of msgchan_call.tellers. */
enum {
	TELL_MARKED = 1,
	TELL_ANY = 2,
};

/* Does the current task carry BPF task storage? Kbuild finds out whether tasks can. */
static bool is_marked(void)
{
#ifdef MSGCHAN_TASK_STORAGE
	return rcu_access_pointer(current->bpf_storage);
#else
	return false;
#endif
}

static u32 tellers(void)
{
	u32 wanted = 0;

	if (trace_handled_enabled() && is_marked())
		wanted |= TELL_MARKED;
	if (trace_handled_any_enabled())
		wanted |= TELL_ANY;
	return wanted;
}

static void tell(struct msgchan_call *call, int error, u32 size)
{
	if (call->tellers & TELL_MARKED) {
		this_cpu_add(counters(call)->told, 1);
		trace_handled(call->token, call->begin_ns, call->done_ns, call->copy_ns,
			      call->copied_ns, call->channel, error, call->portid,
			      call->seq, size, call->mn->netns);
	}
	if (call->tellers & TELL_ANY)
		trace_handled_any(call->token, call->begin_ns, call->done_ns, call->copy_ns,
				  call->copied_ns, call->channel, error, call->portid,
				  call->seq, size, call->mn->netns);
}

void msgchan_begin(struct msgchan_call *call, u32 type, u32 size)
{
	if (call->quiet)
		return;
	call->tellers = tellers();
	if (call->tellers)
		call->begin_ns = ktime_get_mono_fast_ns();
	trace_request_received(call->token, call->channel, call->portid,
			       call->seq, type, size, call->mn->netns);
	this_cpu_add(counters(call)->requests, 1);
	this_cpu_add(counters(call)->request_bytes, size);
}

/* msgchan_delay(), added to the channel's waited_ns. */
u64 msgchan_wait(struct msgchan_call *call, u64 ns)
{
	u64 waited = msgchan_delay(ns);

	if (!call->quiet)
		this_cpu_add(counters(call)->waited_ns, waited);
	return waited;
}

static void count_error(struct msgchan_call *call)
{
	this_cpu_add(counters(call)->errors, 1);
	if (call->port)
		atomic64_inc(&call->port->errors);
}

static void count_reply(struct msgchan_call *call, u32 size)
{
	this_cpu_add(counters(call)->replies, 1);
	this_cpu_add(counters(call)->reply_bytes, size);
	if (!call->port)
		return;
	atomic64_inc(&call->port->replies);
	atomic64_add(size, &call->port->reply_bytes);
}

void msgchan_end(struct msgchan_call *call, int error)
{
	if (call->quiet)
		return;
	if (error)
		count_error(call);
	trace_handler_done(call->token, call->channel, call->portid, call->seq, error);
	if (!call->tellers)
		return;
	call->done_ns = ktime_get_mono_fast_ns();
	/* A get that succeeded so far is told when its answer has been copied out. */
	if (error || call->channel != MSGCHAN_CH_GETSOCKOPT)
		tell(call, error, 0);
}

void msgchan_replied(struct msgchan_call *call, u32 size, int ret)
{
	if (call->quiet)
		return;
	if (ret < 0)
		count_error(call);
	else
		count_reply(call, size);
	trace_reply_sent(call->token, call->channel, call->portid, call->seq, size, ret,
			 call->mn->netns);
	if (call->channel == MSGCHAN_CH_ICMP)
		trace_icmp_sent(call->portid, ret, call->mn->netns);
}

void msgchan_copy_begin(struct msgchan_call *call, u32 size)
{
	if (call->quiet)
		return;
	trace_copy_begin(call->token, size);
	if (call->tellers)
		call->copy_ns = ktime_get_mono_fast_ns();
}

void msgchan_copy_end(struct msgchan_call *call, u32 size, u32 left)
{
	if (call->quiet)
		return;
	if (call->tellers) {
		call->copied_ns = ktime_get_mono_fast_ns();
		tell(call, left ? -EFAULT : 0, size);
	}
	trace_copy_end(call->token, size, left);
	this_cpu_add(counters(call)->copies, 1);
	if (left)
		count_error(call);
	else
		count_reply(call, size);
}

void msgchan_sum_stats(struct msgchan_net *mn, struct msgchan_stats *sum)
{
	const struct msgchan_counters *c;
	int cpu, i;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		for (i = 0; i < MSGCHAN_CHANNELS; i++) {
			c = &per_cpu_ptr(mn->stats, cpu)->channel[i];
			sum->channel[i].requests += READ_ONCE(c->requests);
			sum->channel[i].replies += READ_ONCE(c->replies);
			sum->channel[i].copies += READ_ONCE(c->copies);
			sum->channel[i].request_bytes += READ_ONCE(c->request_bytes);
			sum->channel[i].reply_bytes += READ_ONCE(c->reply_bytes);
			sum->channel[i].errors += READ_ONCE(c->errors);
			sum->channel[i].waited_ns += READ_ONCE(c->waited_ns);
			sum->channel[i].told += READ_ONCE(c->told);
		}
	}
}

int msgchan_stats_init(struct msgchan_net *mn)
{
	mn->stats = alloc_percpu_gfp(struct msgchan_stats, GFP_KERNEL_ACCOUNT);
	return mn->stats ? 0 : -ENOMEM;
}

void msgchan_stats_exit(struct msgchan_net *mn)
{
	free_percpu(mn->stats);
}
