// SPDX-License-Identifier: GPL-2.0
/* What the module keeps for each network namespace, and how a channel finds it. */
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "internal.h"

unsigned int msgchan_net_id;

struct msgchan_net *msgchan_net(const struct net *net)
{
	return net_generic(net, msgchan_net_id);
}
