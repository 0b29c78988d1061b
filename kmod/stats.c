// SPDX-License-Identifier: GPL-2.0
/* Counters by channel and by port id, next to the tracepoints they agree with. */
#include <linux/hash.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"
#include "msgchan_trace.h"

static struct msgchan_counters __percpu *counters(const struct msgchan_call *call)
{
	return &call->mn->stats->channel[call->channel];
}

static struct msgchan_port_entry *find_port(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_port_entry *port;

	hash_for_each_possible_rcu(mn->ports, port, hash, portid,
				   lockdep_is_held(&mn->port_lock))
		if (port->portid == portid)
			return port;
	return NULL;
}

static struct msgchan_port_entry *add_port(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_port_entry *port, *known;

	if (READ_ONCE(mn->port_count) >= MSGCHAN_PORTS_MAX)
		return NULL;
	port = kzalloc(sizeof(*port), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!port)
		return NULL;
	port->portid = portid;

	spin_lock(&mn->port_lock);
	known = find_port(mn, portid);
	if (!known && mn->port_count < MSGCHAN_PORTS_MAX) {
		hash_add_rcu(mn->ports, &port->hash, portid);
		list_add_tail_rcu(&port->list, &mn->port_list);
		WRITE_ONCE(mn->port_count, mn->port_count + 1);
		known = port;
	}
	spin_unlock(&mn->port_lock);

	if (known != port)
		kfree(port);
	return known;
}

/* Entries are freed with the namespace only, so the result outlives RCU. */
static struct msgchan_port_entry *get_port(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_port_entry *port;

	rcu_read_lock();
	port = find_port(mn, portid);
	rcu_read_unlock();
	if (!port)
		port = add_port(mn, portid);
	return port ?: &mn->other_ports;
}

void msgchan_begin(struct msgchan_call *call, u32 type, u32 size)
{
	if (call->quiet)
		return;
	trace_request_received(call->token, call->channel, call->portid,
			       call->seq, type, size, call->mn->netns);
	this_cpu_add(counters(call)->requests, 1);
	this_cpu_add(counters(call)->request_bytes, size);
	if (call->channel != MSGCHAN_CH_NETLINK)
		return;
	call->port = get_port(call->mn, call->portid);
	atomic64_inc(&call->port->requests);
	atomic64_add(size, &call->port->request_bytes);
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
		}
	}
}

static void read_port(struct msgchan_port_entry *port, void *to)
{
	struct msgchan_port out = {
		.portid = port->portid,
		.counters = {
			.requests = atomic64_read(&port->requests),
			.replies = atomic64_read(&port->replies),
			.request_bytes = atomic64_read(&port->request_bytes),
			.reply_bytes = atomic64_read(&port->reply_bytes),
			.errors = atomic64_read(&port->errors),
		},
	};

	memcpy(to, &out, sizeof(out));	/* to may be aligned to 4 bytes only */
}

/* Fill room bytes at most with the entries after the first skip; bytes filled. */
u32 msgchan_list_ports(struct msgchan_net *mn, u32 skip, void *to, u32 room)
{
	struct msgchan_port_entry *port;
	u32 used = 0, index = 0;

	rcu_read_lock();
	list_for_each_entry_rcu(port, &mn->port_list, list) {
		if (room - used < sizeof(struct msgchan_port))
			break;
		if (index++ < skip)
			continue;
		read_port(port, to + used);
		used += sizeof(struct msgchan_port);
	}
	rcu_read_unlock();

	if (index >= skip && room - used >= sizeof(struct msgchan_port) &&
	    atomic64_read(&mn->other_ports.requests)) {
		read_port(&mn->other_ports, to + used);
		used += sizeof(struct msgchan_port);
	}
	return used;
}

int msgchan_stats_init(struct msgchan_net *mn)
{
	spin_lock_init(&mn->port_lock);
	hash_init(mn->ports);
	INIT_LIST_HEAD(&mn->port_list);
	mn->stats = alloc_percpu_gfp(struct msgchan_stats, GFP_KERNEL_ACCOUNT);
	return mn->stats ? 0 : -ENOMEM;
}

void msgchan_stats_exit(struct msgchan_net *mn)
{
	struct msgchan_port_entry *port, *next;

	list_for_each_entry_safe(port, next, &mn->port_list, list)
		kfree(port);
	free_percpu(mn->stats);
}
