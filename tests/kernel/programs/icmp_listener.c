// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The listener that seed 003 describes: it registers its port with IMP2_U_PID,
 * prints a line for every ICMP packet, and closes with IMP2_CLOSE on SIGINT.
 */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "msgchan.h"

static volatile sig_atomic_t stop;

static void sig_int(int signo)
{
	(void)signo;
	stop = 1;
}

static int tell_kernel(int fd, int type)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nlmsghdr message = {
		.nlmsg_len = NLMSG_LENGTH(0),
		.nlmsg_type = type,
		.nlmsg_pid = getpid(),
	};

	return sendto(fd, &message, message.nlmsg_len, 0,
		      (struct sockaddr *)&kernel, sizeof(kernel)) < 0;
}

int main(void)
{
	struct sigaction action = { .sa_handler = sig_int };	/* no SA_RESTART: recv ends */
	struct sockaddr_nl local = { .nl_family = AF_NETLINK, .nl_pid = getpid() };
	struct {
		struct nlmsghdr hdr;
		struct msgchan_icmp icmp;
	} info;
	char src[INET_ADDRSTRLEN], dest[INET_ADDRSTRLEN];
	int fd = socket(AF_NETLINK, SOCK_RAW, MSGCHAN_ICMP_PROTO);

	if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof(local)) ||
	    sigaction(SIGINT, &action, NULL) || tell_kernel(fd, IMP2_U_PID)) {
		perror("icmp_listener");
		return 1;
	}
	setlinebuf(stdout);
	puts("ready");
	while (!stop) {
		if (recv(fd, &info, sizeof(info), 0) != sizeof(info))
			continue;
		inet_ntop(AF_INET, &info.icmp.src, src, sizeof(src));
		inet_ntop(AF_INET, &info.icmp.dest, dest, sizeof(dest));
		printf("src: %s, dest: %s\n", src, dest);
	}
	return tell_kernel(fd, IMP2_CLOSE) || close(fd);
}
