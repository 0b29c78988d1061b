/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Three text messages by one sendmmsg, their answers by one recvmmsg. */
#define _GNU_SOURCE
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define COUNT 3

int main(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct mmsghdr out[COUNT] = {}, in[COUNT] = {};
	struct nlmsghdr message[COUNT] = {};
	struct iovec to[COUNT], from[COUNT];
	char room[COUNT][100];
	int fd = socket(AF_NETLINK, SOCK_RAW, 30), i;

	if (fd < 0 || bind(fd, (struct sockaddr *)&kernel, sizeof(kernel)))
		return 1;
	for (i = 0; i < COUNT; i++) {
		message[i].nlmsg_len = sizeof(message[i]);
		message[i].nlmsg_seq = i + 1;
		to[i] = (struct iovec){ &message[i], sizeof(message[i]) };
		from[i] = (struct iovec){ room[i], sizeof(room[i]) };
		out[i].msg_hdr = (struct msghdr){ &kernel, sizeof(kernel), &to[i], 1 };
		in[i].msg_hdr = (struct msghdr){ .msg_iov = &from[i], .msg_iovlen = 1 };
	}
	if (sendmmsg(fd, out, COUNT, 0) != COUNT)
		return 2;
	if (recvmmsg(fd, in, COUNT, 0, NULL) != COUNT)
		return 3;
	printf("%u %u %u\n", in[0].msg_len, in[1].msg_len, in[2].msg_len);
	return 0;
}
