// SPDX-License-Identifier: GPL-2.0
/* Structured requests: the checks and replies that netlink and socket options share. */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "internal.h"

/* STATS and PORTS read the counters, so they must not be counted themselves. */
bool msgchan_is_quiet(u32 op)
{
	return op == MSGCHAN_OP_STATS || op == MSGCHAN_OP_PORTS;
}

/* Check a request that payload_room bytes follow. Returns 0 or a negative errno. */
int msgchan_check(const struct msgchan_request *req, u32 payload_room)
{
	if (req->op >= MSGCHAN_OPS || req->error > MAX_ERRNO)
		return -EINVAL;
	if (req->payload_size > MSGCHAN_PAYLOAD_MAX || req->reply_size > MSGCHAN_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (req->payload_size > payload_room)
		return -EINVAL;
	if (req->handler_delay_ns > MSGCHAN_DELAY_MAX_NS ||
	    req->reply_delay_ns > MSGCHAN_DELAY_MAX_NS ||
	    req->copy_delay_ns > MSGCHAN_DELAY_MAX_NS)
		return -EINVAL;
	return 0;
}

/*
 * Must the caller check CAP_NET_ADMIN in the initial user namespace as well? A
 * delay holds a CPU, which the root user of a container must not do. Where the
 * initial user namespace owns the network namespace, every request has passed
 * that very check already. It is not repeated there, because its time would
 * count in the stage that a test measures.
 */
bool msgchan_needs_right(const struct net *net, const struct msgchan_request *req)
{
	return net->user_ns != &init_user_ns &&
	       (req->handler_delay_ns || req->reply_delay_ns || req->copy_delay_ns);
}

/* Bytes to allocate for the reply's payload; req has passed msgchan_check(). */
u32 msgchan_reply_room(struct msgchan_net *mn, const struct msgchan_request *req)
{
	u32 ports;

	switch (req->op) {
	case MSGCHAN_OP_ECHO:
	case MSGCHAN_OP_SOURCE:
		return req->reply_size;
	case MSGCHAN_OP_STATS:
		return sizeof(struct msgchan_stats);
	case MSGCHAN_OP_PORTS:
		ports = READ_ONCE(mn->port_count) + 1;
		return min_t(u32, req->reply_size, ports * sizeof(struct msgchan_port));
	default:
		return 0;
	}
}

static void fill_echo(const struct msgchan_request *req, const void *payload, void *to, u32 room)
{
	u32 size = min(req->payload_size, room);

	memmove(to, payload, size);
	memset(to + size, 0, room - size);
}

static void fill_source(const struct msgchan_request *req, u8 *to, u32 room)
{
	u32 i;

	for (i = 0; i < room; i++)
		to[i] = req->token + i;
}

static void fill_stats(struct msgchan_net *mn, void *to)
{
	struct msgchan_stats sum;

	msgchan_sum_stats(mn, &sum);
	memcpy(to, &sum, sizeof(sum));	/* in a netlink message, to is aligned to 4 bytes only */
}

static u32 fill_ports(struct msgchan_net *mn, const struct msgchan_request *req,
		      const void *payload, void *to, u32 room)
{
	u64 after = 0;

	if (req->payload_size >= sizeof(after))
		memcpy(&after, payload, sizeof(after));
	return msgchan_list_ports(mn, after, to, room);
}

/*
 * Write the reply's payload. room is what msgchan_reply_room() returned; payload,
 * the request's, may be the same memory as to. Returns the bytes written.
 */
u32 msgchan_fill_reply(struct msgchan_net *mn, const struct msgchan_request *req,
		       const void *payload, void *to, u32 room)
{
	switch (req->op) {
	case MSGCHAN_OP_ECHO:
		fill_echo(req, payload, to, room);
		break;
	case MSGCHAN_OP_SOURCE:
		fill_source(req, to, room);
		break;
	case MSGCHAN_OP_STATS:
		fill_stats(mn, to);
		break;
	case MSGCHAN_OP_PORTS:
		return fill_ports(mn, req, payload, to, room);
	}
	return room;
}
