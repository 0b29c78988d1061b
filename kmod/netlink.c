// SPDX-License-Identifier: GPL-2.0
/* The channel on netlink_proto: plain text (message type 0) and structured requests. */
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "internal.h"

int msgchan_netlink_proto = MSGCHAN_NETLINK_PROTO;
module_param_named(netlink_proto, msgchan_netlink_proto, int, 0444);
MODULE_PARM_DESC(netlink_proto,
		 "Netlink protocol of plain text and structured requests, 0 to 31 (default 30)");

/*
 * Call handle for each message in skb, up to the first with a bad length.
 * netlink_rcv_skb() does the same, but skips types below NLMSG_MIN_TYPE, and
 * plain text has type 0.
 */
void msgchan_each_message(struct sk_buff *skb,
			  void (*handle)(struct sk_buff *skb, const struct nlmsghdr *nlh))
{
	const struct nlmsghdr *nlh;

	while (skb->len >= NLMSG_HDRLEN) {
		nlh = nlmsg_hdr(skb);
		if (!nlmsg_ok(nlh, skb->len))
			return;
		handle(skb, nlh);
		skb_pull(skb, min_t(u32, NLMSG_ALIGN(nlh->nlmsg_len), skb->len));

		/* Each message may busy-wait twice, and a buffer may hold thousands. */
		if (fatal_signal_pending(current))
			return;
		cond_resched();
	}
}

/* Send reply to the port that asked. The buffer is consumed, also on failure. */
void msgchan_send(struct msgchan_call *call, struct sock *from, struct sk_buff *reply)
{
	u32 size = reply->len;
	int ret;

	ret = netlink_unicast(from, reply, call->portid, MSG_DONTWAIT);
	msgchan_replied(call, size, ret);
}

/*
 * Send an ack (error 0) or an error message. netlink_ack() does not return
 * whether the message was queued, nor its size, and the counters need both.
 * This ack always carries the request's header without its payload, which
 * NLM_F_CAPPED says.
 */
void msgchan_ack(struct msgchan_call *call, struct sk_buff *skb,
		 const struct nlmsghdr *nlh, int error)
{
	struct sock *sender = NETLINK_CB(skb).sk;
	struct nlmsgerr *body;
	struct nlmsghdr *head;
	struct sk_buff *ack;

	ack = nlmsg_new(sizeof(*body), GFP_KERNEL);
	if (!ack) {
		/* Wake the sender with an error, as netlink_ack() does: no ack will come. */
		sender->sk_err = ENOBUFS;
		sender->sk_error_report(sender);
		msgchan_replied(call, nlmsg_msg_size(sizeof(*body)), -ENOBUFS);
		return;
	}
	head = nlmsg_put(ack, call->portid, nlh->nlmsg_seq, NLMSG_ERROR,
			 sizeof(*body), NLM_F_CAPPED);
	body = nlmsg_data(head);
	body->error = error;
	body->msg = *nlh;
	msgchan_send(call, skb->sk, ack);
}

static struct sk_buff *new_reply(const struct msgchan_call *call, int type, u32 size)
{
	struct sk_buff *reply = nlmsg_new(size, GFP_KERNEL | __GFP_NOWARN);

	if (reply)
		nlmsg_put(reply, call->portid, call->seq, type, size, 0);
	return reply;
}

static int handle_text(struct msgchan_call *call, struct sk_buff **reply)
{
	const u32 size = strlen(MSGCHAN_NETLINK_TEXT);

	*reply = new_reply(call, MSGCHAN_TYPE_TEXT_REPLY, size);
	if (!*reply)
		return -ENOBUFS;
	memcpy(nlmsg_data(nlmsg_hdr(*reply)), MSGCHAN_NETLINK_TEXT, size);
	return 0;
}

static int build_reply(struct msgchan_call *call, const struct msgchan_request *req,
		       const void *payload, struct sk_buff **reply)
{
	u32 room = msgchan_reply_room(call->mn, req);
	struct msgchan_reply head = {
		.token = req->token,
		.op = req->op,
		.handler_waited_ns = call->handler_waited_ns,
	};
	struct nlmsghdr *nlh;

	*reply = new_reply(call, MSGCHAN_TYPE_REPLY + req->op, sizeof(head) + room);
	if (!*reply)
		return -ENOBUFS;
	nlh = nlmsg_hdr(*reply);
	head.size = msgchan_fill_reply(call->mn, req, payload,
				       nlmsg_data(nlh) + sizeof(head), room);
	memcpy(nlmsg_data(nlh), &head, sizeof(head));
	nlh->nlmsg_len = nlmsg_msg_size(sizeof(head) + head.size);
	skb_trim(*reply, NLMSG_ALIGN(nlh->nlmsg_len));
	return 0;
}

static int handle_request(struct msgchan_call *call, struct sk_buff *skb,
			  const struct nlmsghdr *nlh, const struct msgchan_request *req,
			  struct sk_buff **reply)
{
	int error;

	if (nlmsg_len(nlh) < sizeof(*req) || req->op != nlh->nlmsg_type - MSGCHAN_TYPE_REQUEST)
		return -EINVAL;
	error = msgchan_check(req, nlmsg_len(nlh) - sizeof(*req));
	if (error)
		return error;
	if (msgchan_needs_right(sock_net(skb->sk), req) && !netlink_capable(skb, CAP_NET_ADMIN))
		return -EPERM;
	call->handler_waited_ns = msgchan_wait(call, req->handler_delay_ns);
	if (req->error)
		return -(int)req->error;
	if (req->op == MSGCHAN_OP_SINK)
		return 0;
	return build_reply(call, req, nlmsg_data(nlh) + sizeof(*req), reply);
}

static bool is_request(u32 type)
{
	return type >= MSGCHAN_TYPE_REQUEST && type < MSGCHAN_TYPE_REQUEST + MSGCHAN_OPS;
}

static int handle(struct msgchan_call *call, struct sk_buff *skb, const struct nlmsghdr *nlh,
		  const struct msgchan_request *req, struct sk_buff **reply)
{
	bool is_permitted = netlink_net_capable(skb, CAP_NET_ADMIN);

	msgchan_port_get(call, nlh->nlmsg_len, is_permitted);
	if (!is_permitted)
		return -EPERM;
	if (nlh->nlmsg_type == MSGCHAN_TYPE_TEXT)
		return handle_text(call, reply);
	if (is_request(nlh->nlmsg_type))
		return handle_request(call, skb, nlh, req, reply);
	return -EINVAL;
}

/* Copy the struct request of a message; all zero (token too) where there is none. */
static void peek_request(const struct nlmsghdr *nlh, struct msgchan_request *req)
{
	memset(req, 0, sizeof(*req));
	if (is_request(nlh->nlmsg_type) && nlmsg_len(nlh) >= sizeof(*req))
		memcpy(req, nlmsg_data(nlh), sizeof(*req));
}

/* Wait between handler_done and the reply, and write the time waited into the reply. */
static void delay_reply(struct msgchan_call *call, const struct nlmsghdr *nlh,
			const struct msgchan_request *req, struct sk_buff *reply)
{
	u64 waited;

	if (!is_request(nlh->nlmsg_type))
		return;
	waited = msgchan_wait(call, req->reply_delay_ns);
	if (reply)
		memcpy(nlmsg_data(nlmsg_hdr(reply)) +
		       offsetof(struct msgchan_reply, reply_waited_ns), &waited, sizeof(waited));
}

static void netlink_message(struct sk_buff *skb, const struct nlmsghdr *nlh)
{
	struct msgchan_request req;
	struct sk_buff *reply = NULL;
	struct msgchan_call call = {
		.mn = msgchan_net(sock_net(skb->sk)),
		.channel = MSGCHAN_CH_NETLINK,
		.portid = NETLINK_CB(skb).portid,
		.seq = nlh->nlmsg_seq,
		.quiet = is_request(nlh->nlmsg_type) &&
			 msgchan_is_quiet(nlh->nlmsg_type - MSGCHAN_TYPE_REQUEST),
	};
	bool ack = nlh->nlmsg_flags & NLM_F_ACK;
	int error;

	peek_request(nlh, &req);
	call.token = req.token;

	msgchan_begin(&call, nlh->nlmsg_type, nlh->nlmsg_len);
	error = handle(&call, skb, nlh, &req, &reply);
	msgchan_end(&call, error);

	/* Skip the delay of a request that failed its checks: it must not hold a CPU. */
	if (reply || (!error && ack) || (req.error && error == -(int)req.error))
		delay_reply(&call, nlh, &req, reply);
	if (reply)
		msgchan_send(&call, skb->sk, reply);
	if (error || ack)
		msgchan_ack(&call, skb, nlh, error);
	msgchan_port_put(&call);
}

static void netlink_input(struct sk_buff *skb)
{
	msgchan_each_message(skb, netlink_message);
}

int msgchan_netlink_init(struct net *net, struct msgchan_net *mn)
{
	struct netlink_kernel_cfg cfg = { .input = netlink_input };

	mn->netlink = netlink_kernel_create(net, msgchan_netlink_proto, &cfg);
	return mn->netlink ? 0 : -EBUSY;
}

void msgchan_netlink_exit(struct msgchan_net *mn)
{
	netlink_kernel_release(mn->netlink);
}
