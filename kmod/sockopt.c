// SPDX-License-Identifier: GPL-2.0
/* The two socket options of level SOL_IP: one for plain text, one for structured requests. */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/netfilter.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sockptr.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <net/sock.h>

#include "internal.h"

int msgchan_sockopt_base = MSGCHAN_SOCKOPT_BASE;
module_param_named(sockopt_base, msgchan_sockopt_base, int, 0444);
MODULE_PARM_DESC(sockopt_base,
		 "First of the two socket options (level SOL_IP): 128, which excludes ebtables, or from 1024 on (default 10128)");

static bool sockopt_ready;	/* every namespace is set up; see msgchan_init() */

static bool may_ask(const struct sock *sk)
{
	return ns_capable(sock_net(sk)->user_ns, CAP_NET_ADMIN);
}

/*
 * Write the text to the kernel log, if the caller has CAP_NET_ADMIN in the
 * initial user namespace: the log is shared by all namespaces.
 */
static void log_text(const char *text, size_t size)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

	/* Without this flag, the number of suppressed lines is logged as a warning. */
	ratelimit_set_flags(&limit, RATELIMIT_MSG_ON_RELEASE);
	if (ns_capable_noaudit(&init_user_ns, CAP_NET_ADMIN) && __ratelimit(&limit))
		pr_info("%s[%d] set \"%*pE\"\n", current->comm, task_pid_nr(current),
			(int)size, text);
}

static int set_text(struct msgchan_net *mn, struct sock *sk, sockptr_t arg, unsigned int len)
{
	char text[MSGCHAN_TEXT_MAX] = {};
	unsigned int size = min_t(unsigned int, len, sizeof(text));

	if (!may_ask(sk))
		return -EPERM;
	if (copy_from_sockptr(text, arg, size))
		return -EFAULT;
	spin_lock(&mn->text_lock);
	memcpy(mn->text, text, sizeof(mn->text));
	spin_unlock(&mn->text_lock);
	log_text(text, strnlen(text, size));
	return 0;
}

/* Copy the payload in, as an ECHO or SINK must, and drop it: setsockopt returns no data. */
static int sink_payload(sockptr_t arg, u32 size)
{
	void *payload = kvmalloc(size, GFP_KERNEL);
	int error = 0;

	if (!payload)
		return -ENOMEM;
	if (copy_from_sockptr_offset(payload, arg, sizeof(struct msgchan_request), size))
		error = -EFAULT;
	kvfree(payload);
	return error;
}

static int check_request(const struct sock *sk, const struct msgchan_request *req,
			 unsigned int len)
{
	int error = msgchan_check(req, len - sizeof(*req));

	if (!error && msgchan_needs_right(sock_net(sk), req) && !capable(CAP_NET_ADMIN))
		error = -EPERM;
	return error;
}

static int set_request(struct msgchan_call *call, struct sock *sk,
		       const struct msgchan_request *req, int copied,
		       sockptr_t arg, unsigned int len)
{
	int error;

	if (!may_ask(sk))
		return -EPERM;
	if (copied)
		return copied;
	if (req->op != MSGCHAN_OP_ECHO && req->op != MSGCHAN_OP_SINK)
		return -EINVAL;
	error = check_request(sk, req, len);
	if (error)
		return error;
	msgchan_wait(call, req->handler_delay_ns);
	if (req->error)
		return -(int)req->error;
	return req->payload_size ? sink_payload(arg, req->payload_size) : 0;
}

/* Copy the request in. Returns 0, or a negative errno and a *req of all zero. */
static int read_request(struct msgchan_request *req, sockptr_t arg, unsigned int len)
{
	int error = -EINVAL;

	if (len >= sizeof(*req)) {
		error = copy_from_sockptr(req, arg, sizeof(*req)) ? -EFAULT : 0;
		if (!error)
			return 0;
	}
	memset(req, 0, sizeof(*req));
	return error;
}

static int sockopt_set(struct sock *sk, int option, sockptr_t arg, unsigned int len)
{
	struct msgchan_call call = { .channel = MSGCHAN_CH_SETSOCKOPT };
	struct msgchan_request req = {};
	int error, copied = 0;

	/* Pairs with msgchan_sockopt_open(). */
	if (!smp_load_acquire(&sockopt_ready))
		return -ENOPROTOOPT;
	call.mn = msgchan_net(sock_net(sk));
	if (option == msgchan_sockopt_base + MSGCHAN_SO_REQUEST)
		copied = read_request(&req, arg, len);
	call.token = req.token;

	msgchan_begin(&call, option, len);
	if (option == msgchan_sockopt_base + MSGCHAN_SO_TEXT)
		error = set_text(call.mn, sk, arg, len);
	else
		error = set_request(&call, sk, &req, copied, arg, len);
	msgchan_end(&call, error);
	return error;
}

/* Copy an answer out and set *len; the caller has fired copy_begin already. */
static int copy_out(struct msgchan_call *call, void __user *user, int *len,
		    const void *from, u32 size)
{
	unsigned long left = copy_to_user(user, from, size);

	msgchan_copy_end(call, size, left);
	if (left)
		return -EFAULT;
	*len = size;
	return 0;
}

static int get_text(struct msgchan_call *call, struct sock *sk, void __user *user, int *len)
{
	static const char text[] = MSGCHAN_SOCKOPT_TEXT;
	u32 size = min_t(u32, sizeof(text), *len);
	int error = 0;

	if (!may_ask(sk))
		error = -EPERM;
	else if (*len < 0)
		error = -EINVAL;
	msgchan_end(call, error);
	if (error)
		return error;
	msgchan_copy_begin(call, size);
	return copy_out(call, user, len, text, size);
}

/* Allocate and fill a reply of *size bytes, header and payload; the caller kvfree()s it. */
static struct msgchan_reply *
build_reply(struct msgchan_call *call, const struct msgchan_request *req,
	    const void __user *payload, u32 *size)
{
	u32 room = msgchan_reply_room(call->mn, req);
	struct msgchan_reply *reply;

	reply = kvmalloc(sizeof(*reply) + max(room, req->payload_size), GFP_KERNEL);
	if (!reply)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(reply + 1, payload, req->payload_size)) {
		kvfree(reply);
		return ERR_PTR(-EFAULT);
	}
	*reply = (struct msgchan_reply) {
		.token = req->token,
		.op = req->op,
		.size = msgchan_fill_reply(call->mn, req, reply + 1, reply + 1, room),
		.handler_waited_ns = call->handler_waited_ns,
	};
	*size = sizeof(*reply) + reply->size;
	return reply;
}

static struct msgchan_reply *
handle_get(struct msgchan_call *call, struct sock *sk,
	   const struct msgchan_request *req, int copied,
	   const void __user *user, int len, u32 *size)
{
	int error;

	if (!may_ask(sk))
		return ERR_PTR(-EPERM);
	if (copied)
		return ERR_PTR(copied);
	error = check_request(sk, req, len);
	if (error)
		return ERR_PTR(error);
	call->handler_waited_ns = msgchan_wait(call, req->handler_delay_ns);
	if (req->error)
		return ERR_PTR(-(int)req->error);
	return build_reply(call, req, user + sizeof(*req), size);
}

static int get_request(struct msgchan_call *call, struct sock *sk,
		       const struct msgchan_request *req, int copied, void __user *user, int *len)
{
	struct msgchan_reply *reply;
	u32 size;
	int error;

	reply = handle_get(call, sk, req, copied, user, *len, &size);
	msgchan_end(call, PTR_ERR_OR_ZERO(reply));
	if (IS_ERR(reply))
		return PTR_ERR(reply);
	size = min_t(u32, size, *len);
	msgchan_copy_begin(call, size);
	reply->copy_waited_ns = msgchan_wait(call, req->copy_delay_ns);
	error = copy_out(call, user, len, reply, size);
	kvfree(reply);
	return error;
}

static int sockopt_get(struct sock *sk, int option, void __user *user, int *len)
{
	struct msgchan_call call = { .channel = MSGCHAN_CH_GETSOCKOPT };
	struct msgchan_request req = {};
	unsigned int room = max(*len, 0);
	int copied = 0;

	/* Pairs with msgchan_sockopt_open(). */
	if (!smp_load_acquire(&sockopt_ready))
		return -ENOPROTOOPT;
	call.mn = msgchan_net(sock_net(sk));
	if (option == msgchan_sockopt_base + MSGCHAN_SO_REQUEST) {
		copied = read_request(&req, USER_SOCKPTR(user), room);
		call.quiet = !copied && msgchan_is_quiet(req.op);
	}
	call.token = req.token;

	msgchan_begin(&call, option, room);
	if (option == msgchan_sockopt_base + MSGCHAN_SO_TEXT)
		return get_text(&call, sk, user, len);
	return get_request(&call, sk, &req, copied, user, len);
}

static struct nf_sockopt_ops sockopt_ops = {
	.pf = PF_INET,
	.set = sockopt_set,
	.get = sockopt_get,
	.owner = THIS_MODULE,
};

int msgchan_sockopt_register(void)
{
	sockopt_ops.set_optmin = msgchan_sockopt_base;
	sockopt_ops.set_optmax = msgchan_sockopt_base + MSGCHAN_SO_COUNT;
	sockopt_ops.get_optmin = sockopt_ops.set_optmin;
	sockopt_ops.get_optmax = sockopt_ops.set_optmax;
	return nf_register_sockopt(&sockopt_ops);
}

/* Called when every namespace is set up: the handlers answer from now on. */
void msgchan_sockopt_open(void)
{
	/* Pairs with sockopt_set() and sockopt_get(). */
	smp_store_release(&sockopt_ready, true);
}

void msgchan_sockopt_unregister(void)
{
	nf_unregister_sockopt(&sockopt_ops);
}
