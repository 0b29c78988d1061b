// SPDX-License-Identifier: GPL-2.0-or-later
/* One echo request over netlink and one over a socket option. */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "msgchan.h"

#define TEXT "a message"

static const struct msgchan_request request = {
	.token = 7,
	.op = MSGCHAN_OP_ECHO,
	.payload_size = sizeof(TEXT),
	.reply_size = sizeof(TEXT),
};

static int over_netlink(void)
{
	struct {
		struct nlmsghdr head;
		struct msgchan_request request;
		char payload[sizeof(TEXT)];
	} message = {
		.head.nlmsg_len = sizeof(message),
		.head.nlmsg_type = MSGCHAN_TYPE_REQUEST + MSGCHAN_OP_ECHO,
		.head.nlmsg_flags = NLM_F_REQUEST,
		.head.nlmsg_seq = 1,
		.request = request,
		.payload = TEXT,
	};
	union {
		struct nlmsghdr head;
		char bytes[4096];
	} answer;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msgchan_reply *reply = NLMSG_DATA(&answer.head);
	int fd = socket(AF_NETLINK, SOCK_RAW, MSGCHAN_NETLINK_PROTO);

	if (fd < 0 ||
	    sendto(fd, &message, sizeof(message), 0, (void *)&kernel, sizeof(kernel)) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0)
		return -1;
	close(fd);
	if (answer.head.nlmsg_type != MSGCHAN_TYPE_REPLY + MSGCHAN_OP_ECHO)
		return -1;	/* an NLMSG_ERROR says why */
	printf("netlink: token %llu, %u bytes: %s\n", reply->token, reply->size,
	       (char *)(reply + 1));
	return 0;
}

static int over_sockopt(void)
{
	struct {
		struct msgchan_request request;
		char payload[sizeof(TEXT)];
	} buffer = { request, TEXT };	/* the reply overwrites it */
	struct msgchan_reply *reply = (void *)&buffer;
	socklen_t size = sizeof(buffer);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || getsockopt(fd, IPPROTO_IP, MSGCHAN_SOCKOPT_BASE + MSGCHAN_SO_REQUEST,
				 &buffer, &size) < 0)
		return -1;
	close(fd);
	printf("getsockopt: token %llu, %u bytes: %s\n", reply->token, reply->size,
	       (char *)(reply + 1));
	return 0;
}

int main(void)
{
	if (over_netlink() || over_sockopt()) {
		perror("echo");
		return 1;
	}
	return 0;
}
