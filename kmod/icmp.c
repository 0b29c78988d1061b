// SPDX-License-Identifier: GPL-2.0
/* The channel on icmp_proto: each listener gets a message for every incoming ICMP packet. */
#include <linux/icmp.h>
#include <linux/ip.h>
#include <linux/moduleparam.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <net/ip.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "internal.h"

int msgchan_icmp_proto = MSGCHAN_ICMP_PROTO;
module_param_named(icmp_proto, msgchan_icmp_proto, int, 0444);
MODULE_PARM_DESC(icmp_proto,
		 "Netlink protocol of the ICMP notifier, 0 to 31, not netlink_proto (default 31)");

/*
 * After a socket is closed, a new socket may get its port id before the
 * notifier in release.c hears of the close. Removing a listener by port id alone
 * could then remove the new socket's. So a listener holds a reference to its
 * socket, and a release removes it only if that very socket is dead.
 */
struct msgchan_listener {
	struct list_head list;
	struct rcu_head rcu;
	struct sock *sk;
	u32 portid;
};

static struct msgchan_listener *find_listener(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_listener *listener;

	lockdep_assert_held(&mn->listener_lock);
	list_for_each_entry(listener, &mn->listeners, list)
		if (listener->portid == portid)
			return listener;
	return NULL;
}

static void drop_listener(struct msgchan_net *mn, struct msgchan_listener *listener)
{
	lockdep_assert_held(&mn->listener_lock);
	list_del_rcu(&listener->list);
	mn->listener_count--;
	sock_put(listener->sk);		/* RCU readers use the port id, never sk */
	kfree_rcu(listener, rcu);
}

static int add_listener(struct msgchan_net *mn, struct sock *sk, u32 portid)
{
	struct msgchan_listener *listener, *known;
	int error = 0;

	listener = kzalloc(sizeof(*listener), GFP_KERNEL_ACCOUNT);
	if (!listener)
		return -ENOMEM;
	listener->portid = portid;
	listener->sk = sk;

	spin_lock_bh(&mn->listener_lock);
	known = find_listener(mn, portid);
	if (known && known->sk != sk) {
		drop_listener(mn, known);
		known = NULL;
	}
	if (!known && mn->listener_count >= MSGCHAN_LISTENERS_MAX) {
		error = -ENOSPC;
	} else if (!known) {
		sock_hold(sk);
		list_add_tail_rcu(&listener->list, &mn->listeners);
		mn->listener_count++;
		listener = NULL;
	}
	spin_unlock_bh(&mn->listener_lock);

	kfree(listener);
	return error;
}

static void close_listener(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_listener *listener;

	spin_lock_bh(&mn->listener_lock);
	listener = find_listener(mn, portid);
	if (listener)
		drop_listener(mn, listener);
	spin_unlock_bh(&mn->listener_lock);
}

/* A socket with this port id was closed; a new socket may have the id already. */
void msgchan_icmp_released(struct msgchan_net *mn, u32 portid)
{
	struct msgchan_listener *listener;

	spin_lock_bh(&mn->listener_lock);
	listener = find_listener(mn, portid);
	if (listener && sock_flag(listener->sk, SOCK_DEAD))
		drop_listener(mn, listener);
	spin_unlock_bh(&mn->listener_lock);
}

static void notify(struct msgchan_net *mn, u32 portid, const struct msgchan_icmp *packet)
{
	struct msgchan_call call = {
		.mn = mn,
		.channel = MSGCHAN_CH_ICMP,
		.portid = portid,
	};
	struct nlmsghdr *nlh;
	struct sk_buff *skb;
	int ret = -ENOBUFS;

	skb = nlmsg_new(sizeof(*packet), GFP_ATOMIC | __GFP_NOWARN);
	if (skb) {
		nlh = nlmsg_put(skb, 0, 0, IMP2_K_MSG, sizeof(*packet), 0);
		memcpy(nlmsg_data(nlh), packet, sizeof(*packet));
		ret = netlink_unicast(mn->icmp, skb, portid, MSG_DONTWAIT);
	}
	msgchan_replied(&call, nlmsg_msg_size(sizeof(*packet)), ret);
	if (ret == -ECONNREFUSED)
		msgchan_icmp_released(mn, portid);
}

static unsigned int icmp_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct msgchan_net *mn = msgchan_net(state->net);
	const struct iphdr *ip = ip_hdr(skb);
	struct msgchan_listener *listener;
	struct msgchan_icmp packet;

	/* Of a fragmented packet only the first fragment (offset 0) is reported. */
	if (ip->protocol != IPPROTO_ICMP || ip->frag_off & htons(IP_OFFSET))
		return NF_ACCEPT;
	packet.src = ip->saddr;
	packet.dest = ip->daddr;

	rcu_read_lock();
	list_for_each_entry_rcu(listener, &mn->listeners, list)
		notify(mn, listener->portid, &packet);
	rcu_read_unlock();
	return NF_ACCEPT;
}

static const struct nf_hook_ops icmp_ops = {
	.hook = icmp_hook,
	.pf = NFPROTO_IPV4,
	.hooknum = NF_INET_PRE_ROUTING,
	.priority = NF_IP_PRI_FIRST,
};

static int handle(struct msgchan_net *mn, struct sk_buff *skb, u16 type)
{
	if (!netlink_net_capable(skb, CAP_NET_ADMIN))
		return -EPERM;
	switch (type) {
	case IMP2_U_PID:
		return add_listener(mn, NETLINK_CB(skb).sk, NETLINK_CB(skb).portid);
	case IMP2_CLOSE:
		close_listener(mn, NETLINK_CB(skb).portid);
		return 0;
	default:
		return -EINVAL;
	}
}

static void icmp_message(struct sk_buff *skb, const struct nlmsghdr *nlh)
{
	struct msgchan_call call = {
		.mn = msgchan_net(sock_net(skb->sk)),
		.channel = MSGCHAN_CH_ICMP,
		.portid = NETLINK_CB(skb).portid,
		.seq = nlh->nlmsg_seq,
	};
	int error;

	msgchan_begin(&call, nlh->nlmsg_type, nlh->nlmsg_len);
	error = handle(call.mn, skb, nlh->nlmsg_type);
	msgchan_end(&call, error);
	if (error || nlh->nlmsg_flags & NLM_F_ACK)
		msgchan_ack(&call, skb, nlh, error);
}

static void icmp_input(struct sk_buff *skb)
{
	msgchan_each_message(skb, icmp_message);
}

int msgchan_icmp_init(struct net *net, struct msgchan_net *mn)
{
	struct netlink_kernel_cfg cfg = { .input = icmp_input };
	int error;

	spin_lock_init(&mn->listener_lock);
	INIT_LIST_HEAD(&mn->listeners);
	mn->icmp = netlink_kernel_create(net, msgchan_icmp_proto, &cfg);
	if (!mn->icmp)
		return -EBUSY;
	error = nf_register_net_hook(net, &icmp_ops);
	if (error)
		netlink_kernel_release(mn->icmp);
	return error;
}

/* The kernel waits for an RCU grace period between pre_exit and msgchan_icmp_exit(). */
void msgchan_icmp_pre_exit(struct net *net)
{
	nf_unregister_net_hook(net, &icmp_ops);
}

void msgchan_icmp_exit(struct msgchan_net *mn)
{
	struct msgchan_listener *listener, *next;

	spin_lock_bh(&mn->listener_lock);
	list_for_each_entry_safe(listener, next, &mn->listeners, list)
		drop_listener(mn, listener);
	spin_unlock_bh(&mn->listener_lock);
	netlink_kernel_release(mn->icmp);
}
