// SPDX-License-Identifier: GPL-2.0
/*
 * The counters of each channel. The functions that count also fire the module's
 * tracepoints, so that a tracer that sees every event arrives at the same numbers.
 */
#include <linux/percpu.h>
#include <linux/string.h>

#include "internal.h"
#include "msgchan_trace.h"

static struct msgchan_counters __percpu *counters(const struct msgchan_call *call)
{
	return &call->mn->stats->channel[call->channel];
}

void msgchan_begin(struct msgchan_call *call, u32 type, u32 size)
{
	if (call->quiet)
		return;
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
}

void msgchan_copy_begin(struct msgchan_call *call, u32 size)
{
	if (!call->quiet)
		trace_copy_begin(call->token, size);
}

void msgchan_copy_end(struct msgchan_call *call, u32 size, u32 left)
{
	if (call->quiet)
		return;
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
