// SPDX-License-Identifier: GPL-2.0
/* The port table counts requests and replies on netlink_proto by port id. */
#include <linux/hash.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

static struct msgchan_port_entry *find_port(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_port_entry *port;

	hash_for_each_possible_rcu(mn->ports, port, hash, portid,
				   lockdep_is_held(&mn->port_lock))
		if (port->portid == portid)
			return port;
	return NULL;
}

/* Remove port, and add what it counted to port id 0, so that the sum stays the same. */
static void evict(struct msgchan_net *mn, struct msgchan_port_entry *port)
{
	struct msgchan_port_entry *other = &mn->other_ports;

	lockdep_assert_held(&mn->port_lock);
	atomic64_add(atomic64_read(&port->requests), &other->requests);
	atomic64_add(atomic64_read(&port->replies), &other->replies);
	atomic64_add(atomic64_read(&port->request_bytes), &other->request_bytes);
	atomic64_add(atomic64_read(&port->reply_bytes), &other->reply_bytes);
	atomic64_add(atomic64_read(&port->errors), &other->errors);
	other->serial++;
	hash_del_rcu(&port->hash);
	list_del(&port->list);
	list_del(&port->closed);
	WRITE_ONCE(mn->port_count, mn->port_count - 1);
	kfree_rcu(port, rcu);
}

/*
 * Make sure there is room for one more port. If the table is full, evict the
 * port whose socket was closed first. False if no port can be evicted.
 */
static bool make_room(struct msgchan_net *mn)
{
	struct msgchan_port_entry *port;

	lockdep_assert_held(&mn->port_lock);
	if (mn->port_count < MSGCHAN_PORTS_MAX)
		return true;
	list_for_each_entry(port, &mn->closed_ports, closed) {
		/* Fails while a request holds the entry: a new socket has the port id. */
		if (!refcount_dec_if_one(&port->refs))
			continue;
		evict(mn, port);
		return true;
	}
	return false;
}

static void insert(struct msgchan_net *mn, struct msgchan_port_entry *port)
{
	lockdep_assert_held(&mn->port_lock);
	port->serial = ++mn->port_serial;
	hash_add_rcu(mn->ports, &port->hash, port->portid);
	list_add_tail(&port->list, &mn->port_list);
	WRITE_ONCE(mn->port_count, mn->port_count + 1);
}

/* Find or create the port's entry and take a reference. NULL if there is no room. */
static struct msgchan_port_entry *add_port(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_port_entry *port, *known;

	if (READ_ONCE(mn->port_count) >= MSGCHAN_PORTS_MAX && list_empty(&mn->closed_ports))
		return NULL;
	port = kzalloc(sizeof(*port), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!port)
		return NULL;
	port->portid = portid;
	INIT_LIST_HEAD(&port->closed);
	refcount_set(&port->refs, 1);

	spin_lock(&mn->port_lock);
	known = find_port(mn, portid);
	if (!known && make_room(mn)) {
		insert(mn, port);
		known = port;
	}
	if (known)
		refcount_inc(&known->refs);
	spin_unlock(&mn->port_lock);

	if (known != port)
		kfree(port);
	return known;
}

/* A new socket sends with the port id of a closed one: it must not be evicted now. */
static void reopen(struct msgchan_net *mn, struct msgchan_port_entry *port)
{
	spin_lock(&mn->port_lock);
	list_del_init(&port->closed);
	spin_unlock(&mn->port_lock);
}

static struct msgchan_port_entry *get_port(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_port_entry *port;

	rcu_read_lock();
	port = find_port(mn, portid);
	if (port && !refcount_inc_not_zero(&port->refs))
		port = NULL;	/* another CPU is evicting it */
	rcu_read_unlock();
	if (!port)
		port = add_port(mn, portid);
	if (port && !list_empty(&port->closed))
		reopen(mn, port);
	return port;
}

/*
 * Count a request at its port id, and hold the entry until msgchan_port_put().
 * Requests without CAP_NET_ADMIN are counted at port id 0: with an entry for each
 * socket, an unprivileged program could fill the table.
 */
void msgchan_port_get(struct msgchan_call *call, u32 size, bool is_permitted)
{
	struct msgchan_port_entry *port = NULL;

	if (call->quiet)
		return;
	if (is_permitted)
		port = get_port(call->mn, call->portid);
	if (!port) {
		port = &call->mn->other_ports;
		refcount_inc(&port->refs);
	}
	atomic64_inc(&port->requests);
	atomic64_add(size, &port->request_bytes);
	call->port = port;
}

void msgchan_port_put(struct msgchan_call *call)
{
	/* Never the last reference: the table's own is dropped by make_room() only. */
	if (call->port)
		refcount_dec(&call->port->refs);
}

/*
 * A socket was closed, so its port's entry may be evicted from now on. If a new
 * socket has the same port id already, its next request takes the entry out of
 * the closed list again, or gets a new one if it was evicted meanwhile.
 */
void msgchan_port_released(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_port_entry *port;

	spin_lock(&mn->port_lock);
	port = find_port(mn, portid);
	if (port && list_empty(&port->closed))
		list_add_tail(&port->closed, &mn->closed_ports);
	spin_unlock(&mn->port_lock);
}

static void read_port(struct msgchan_port_entry *port, void *to)
{
	struct msgchan_port out = {
		.portid = port->portid,
		.is_closed = !list_empty(&port->closed),
		.serial = port->serial,
		.counters = {
			.requests = atomic64_read(&port->requests),
			.replies = atomic64_read(&port->replies),
			.request_bytes = atomic64_read(&port->request_bytes),
			.reply_bytes = atomic64_read(&port->reply_bytes),
			.errors = atomic64_read(&port->errors),
		},
	};

	memcpy(to, &out, sizeof(out));	/* in a netlink message, to is aligned to 4 bytes only */
}

/*
 * Fill at most room bytes: port id 0, then the ports with a serial number
 * greater than after. Returns the bytes filled. The lock keeps ports from being
 * evicted meanwhile, so no request is listed twice or missing.
 */
u32 msgchan_list_ports(struct msgchan_net *mn, u64 after, void *to, u32 room)
{
	struct msgchan_port_entry *port;
	u32 used = 0;

	if (room < sizeof(struct msgchan_port))
		return 0;
	spin_lock(&mn->port_lock);
	read_port(&mn->other_ports, to);
	used += sizeof(struct msgchan_port);
	list_for_each_entry(port, &mn->port_list, list) {
		if (room - used < sizeof(struct msgchan_port))
			break;
		if (port->serial <= after)
			continue;
		read_port(port, to + used);
		used += sizeof(struct msgchan_port);
	}
	spin_unlock(&mn->port_lock);
	return used;
}

void msgchan_ports_init(struct msgchan_net *mn)
{
	spin_lock_init(&mn->port_lock);
	hash_init(mn->ports);
	INIT_LIST_HEAD(&mn->port_list);
	INIT_LIST_HEAD(&mn->closed_ports);
	INIT_LIST_HEAD(&mn->other_ports.closed);
	refcount_set(&mn->other_ports.refs, 1);
}

/* Called when the channel's kernel socket is released: no request can be running. */
void msgchan_ports_exit(struct msgchan_net *mn)
{
	struct msgchan_port_entry *port, *next;

	list_for_each_entry_safe(port, next, &mn->port_list, list)
		kfree(port);
}
