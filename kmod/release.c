// SPDX-License-Identifier: GPL-2.0
/*
 * When a netlink socket is closed, tell the channel of its protocol: the port
 * table may then evict the port's entry, and icmp.c drops the listener.
 */
#include <linux/netlink.h>
#include <linux/notifier.h>

#include "internal.h"

static int socket_released(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct netlink_notify *released = data;

	if (event != NETLINK_URELEASE)
		return NOTIFY_DONE;
	if (released->protocol == msgchan_netlink_proto)
		msgchan_port_released(msgchan_net(released->net), released->portid);
	else if (released->protocol == msgchan_icmp_proto)
		msgchan_icmp_released(msgchan_net(released->net), released->portid);
	return NOTIFY_DONE;
}

static struct notifier_block release_notifier = {
	.notifier_call = socket_released,
};

int msgchan_release_register(void)
{
	return netlink_register_notifier(&release_notifier);
}

void msgchan_release_unregister(void)
{
	netlink_unregister_notifier(&release_notifier);
}
