// SPDX-License-Identifier: GPL-2.0
/*
 * msgchan: message channels between user space and the kernel, made to be traced.
 * How the module, and each network namespace, begin and end; nothing calls in here.
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
 * Below 1024 are the kernel's own options; 128 is the one exception, for the
 * programs that were written for it, and belongs to ebtables where that is
 * loaded. User sockets of NETLINK_USERSOCK would not hold this module.
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
 * A load that fails frees the module at once, however many hold it: wait for
 * those who are just inside it, or opened a socket in that instant.
 */
static void __init wait_for_users(void)
{
#ifdef CONFIG_MODULE_UNLOAD
	while (module_refcount(THIS_MODULE) > 1)	/* one is the load's own */
		schedule_timeout_idle(1);
#endif
}

/*
 * The socket options come first, as they are what is most often taken, and
 * then nothing else has been shown to anybody; they are answered last.
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
