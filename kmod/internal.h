/* SPDX-License-Identifier: GPL-2.0 */
/* Declarations that the source files of msgchan share; each block names the file it is in. */
#ifndef _MSGCHAN_INTERNAL_H
#define _MSGCHAN_INTERNAL_H

#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/netlink.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <net/net_namespace.h>

#include "msgchan.h"

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#define MSGCHAN_PORT_BITS	8	/* hash buckets of the port table, as a power of two */

struct msgchan_stats {
	struct msgchan_counters channel[MSGCHAN_CHANNELS];
};

/*
 * One port id that sent a request on netlink_proto. The port table holds one
 * reference to the entry and every request being handled holds another one. An
 * entry may be evicted (its room given to a new port) only while the table's
 * reference is the last.
 */
struct msgchan_port_entry {
	struct hlist_node hash;
	struct list_head list;
	struct list_head closed;	/* in closed_ports; empty while the port's socket is open */
	struct rcu_head rcu;
	refcount_t refs;
	u32 portid;
	u64 serial;
	atomic64_t requests;
	atomic64_t replies;
	atomic64_t request_bytes;
	atomic64_t reply_bytes;
	atomic64_t errors;
};

/* What msgchan keeps of each network namespace. */
struct msgchan_net {
	u32 netns;			/* the namespace's inode number, as in /proc/PID/ns/net */
	struct sock *netlink;
	struct sock *icmp;
	struct msgchan_stats __percpu *stats;

	spinlock_t port_lock;		/* held to change the port table; lookups use RCU */
	DECLARE_HASHTABLE(ports, MSGCHAN_PORT_BITS);
	struct list_head port_list;	/* all ports, in the order of their first requests */
	struct list_head closed_ports;	/* those without a socket, first closed first */
	u32 port_count;
	u64 port_serial;		/* serial number of the newest port */
	struct msgchan_port_entry other_ports;	/* requests not counted by port; see msgchan.h */

	spinlock_t listener_lock;	/* held to change listeners; readers use RCU */
	struct list_head listeners;
	u32 listener_count;

	spinlock_t text_lock;		/* protects text */
	char text[MSGCHAN_TEXT_MAX];	/* last plain-text set; no NUL if it fills the array */
};

/* One request on its way through the module. */
struct msgchan_call {
	struct msgchan_net *mn;
	struct msgchan_port_entry *port;	/* set on netlink_proto only */
	enum msgchan_channel channel;
	bool quiet;		/* STATS or PORTS: neither traced nor counted */
	u32 portid;
	u32 seq;
	u64 token;
	u64 handler_waited_ns;
	u32 tellers;		/* tracepoints that want this request's times; see stats.c */
	u64 begin_ns;		/* these four are read only for a teller */
	u64 done_ns;
	u64 copy_ns;
	u64 copied_ns;
};

/* net.c */
extern unsigned int msgchan_net_id;
struct msgchan_net *msgchan_net(const struct net *net);

/* stats.c: each function fires a tracepoint and updates the counters that belong to it */
int msgchan_stats_init(struct msgchan_net *mn);
void msgchan_stats_exit(struct msgchan_net *mn);
void msgchan_begin(struct msgchan_call *call, u32 type, u32 size);
u64 msgchan_wait(struct msgchan_call *call, u64 ns);
void msgchan_end(struct msgchan_call *call, int error);
void msgchan_replied(struct msgchan_call *call, u32 size, int ret);
void msgchan_copy_begin(struct msgchan_call *call, u32 size);
void msgchan_copy_end(struct msgchan_call *call, u32 size, u32 left);
void msgchan_sum_stats(struct msgchan_net *mn, struct msgchan_stats *sum);

/* port_table.c */
void msgchan_ports_init(struct msgchan_net *mn);
void msgchan_ports_exit(struct msgchan_net *mn);
void msgchan_port_get(struct msgchan_call *call, u32 size, bool is_permitted);
void msgchan_port_put(struct msgchan_call *call);
void msgchan_port_released(struct msgchan_net *mn, u32 portid);
u32 msgchan_list_ports(struct msgchan_net *mn, u64 after, void *to, u32 room);

/* delay.c */
u64 msgchan_delay(u64 ns);

/* request.c: structured requests, the same on netlink and socket options */
bool msgchan_is_quiet(u32 op);
int msgchan_check(const struct msgchan_request *req, u32 payload_room);
bool msgchan_needs_right(const struct net *net, const struct msgchan_request *req);
u32 msgchan_reply_room(struct msgchan_net *mn, const struct msgchan_request *req);
u32 msgchan_fill_reply(struct msgchan_net *mn, const struct msgchan_request *req,
		       const void *payload, void *to, u32 room);

/* netlink.c */
extern int msgchan_netlink_proto;
void msgchan_each_message(struct sk_buff *skb,
			  void (*handle)(struct sk_buff *skb, const struct nlmsghdr *nlh));
void msgchan_send(struct msgchan_call *call, struct sock *from, struct sk_buff *reply);
void msgchan_ack(struct msgchan_call *call, struct sk_buff *skb,
		 const struct nlmsghdr *nlh, int error);
int msgchan_netlink_init(struct net *net, struct msgchan_net *mn);
void msgchan_netlink_exit(struct msgchan_net *mn);

/* icmp.c */
extern int msgchan_icmp_proto;
int msgchan_icmp_init(struct net *net, struct msgchan_net *mn);
void msgchan_icmp_pre_exit(struct net *net);
void msgchan_icmp_exit(struct msgchan_net *mn);
void msgchan_icmp_released(struct msgchan_net *mn, u32 portid);

/* sockopt.c */
extern int msgchan_sockopt_base;
int msgchan_sockopt_register(void);
void msgchan_sockopt_open(void);
void msgchan_sockopt_unregister(void);

/* release.c */
int msgchan_release_register(void);
void msgchan_release_unregister(void);

#endif /* _MSGCHAN_INTERNAL_H */
