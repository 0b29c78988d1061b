// SPDX-License-Identifier: GPL-2.0
/*
 * msgchan: message channels between user space and the kernel, made to be traced.
 * This file sets up and tears down the module and its state in each network
 * namespace. No other file calls into it.
 */
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <net/net_namespace.h>

#include "internal.h"

static int __net_init msgchan_net_init(struct net *net)
{
	struct msgchan_net *mn = msgchan_net(net);
	int error;

	mn->netns = net->ns.inum;
	spin_lock_init(&mn->text_lock);
	msgchan_ports_init(mn);
	error = msgchan_stats_init(mn);
	if (error)
		return error;
	error = msgchan_netlink_init(net, mn);
	if (error)
		goto stats;
	error = msgchan_icmp_init(net, mn);
	if (error)
		goto netlink;
	return 0;

netlink:
	msgchan_netlink_exit(mn);
stats:
	msgchan_stats_exit(mn);
	return error;
}

static void __net_exit msgchan_net_pre_exit(struct net *net)
{
	msgchan_icmp_pre_exit(net);
}

static void __net_exit msgchan_net_exit(struct net *net)
{
	struct msgchan_net *mn = msgchan_net(net);

	msgchan_icmp_exit(mn);
	msgchan_netlink_exit(mn);
	msgchan_ports_exit(mn);
	msgchan_stats_exit(mn);
}

static struct pernet_operations msgchan_net_ops = {
	.init = msgchan_net_init,
	.pre_exit = msgchan_net_pre_exit,
	.exit = msgchan_net_exit,
	.id = &msgchan_net_id,
	.size = sizeof(struct msgchan_net),
};

/*
 * Option numbers below 1024 belong to the kernel. The one exception is 128,
 * because existing user programs use it; where ebtables is loaded, 128 is
 * ebtables' own and the registration fails with EBUSY. NETLINK_USERSOCK is
 * refused because the kernel registers that protocol itself: an open user
 * socket would not hold a reference to this module, which could be unloaded
 * under it.
 */
static int __init check_parameters(void)
{
	if (msgchan_sockopt_base != 128 &&
	    (msgchan_sockopt_base < 1024 || msgchan_sockopt_base > INT_MAX - MSGCHAN_SO_COUNT))
		return -EINVAL;
	if (msgchan_netlink_proto < 0 || msgchan_netlink_proto >= MAX_LINKS ||
	    msgchan_icmp_proto < 0 || msgchan_icmp_proto >= MAX_LINKS ||
	    msgchan_netlink_proto == msgchan_icmp_proto)
		return -EINVAL;
	if (msgchan_netlink_proto == NETLINK_USERSOCK || msgchan_icmp_proto == NETLINK_USERSOCK)
		return -EBUSY;
	return 0;
}

/*
 * When the init function fails, the kernel frees the module at once, without
 * looking at its reference count. So wait here until nobody else holds it: a
 * setsockopt may be inside a handler, or a program may have opened a netlink
 * socket in the moment between registration and failure.
 */
static void __init wait_for_users(void)
{
#ifdef CONFIG_MODULE_UNLOAD
	while (module_refcount(THIS_MODULE) > 1)	/* the load itself holds one */
		schedule_timeout_idle(1);
#endif
}

/*
 * Socket options are registered first, because that is the step most likely to
 * fail (ebtables may own the number), and a failure then needs no undoing. Until
 * msgchan_sockopt_open() at the end, when every namespace is set up, their
 * handlers return ENOPROTOOPT.
 */
static int __init msgchan_init(void)
{
	int error;

	error = check_parameters();
	if (error)
		return error;
	error = msgchan_sockopt_register();
	if (error)
		return error;
	error = register_pernet_subsys(&msgchan_net_ops);
	if (error)
		goto sockopt;
	error = msgchan_release_register();
	if (error)
		goto pernet;
	msgchan_sockopt_open();
	return 0;

pernet:
	unregister_pernet_subsys(&msgchan_net_ops);
sockopt:
	msgchan_sockopt_unregister();
	wait_for_users();
	return error;
}

static void __exit msgchan_exit(void)
{
	msgchan_sockopt_unregister();
	msgchan_release_unregister();
	unregister_pernet_subsys(&msgchan_net_ops);
}

module_init(msgchan_init);
module_exit(msgchan_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The tracer authors");
MODULE_DESCRIPTION("Message channels between user space and the kernel, made to be traced");
MODULE_VERSION("1.0");
