// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * many_ports FIRST COUNT HOW [THREADS]: one text message from each of COUNT port
 * ids from FIRST on, and its answer. HOW: "close" each socket at once, or "keep"
 * all to the end. THREADS of them share the port ids. Prints how many were
 * answered, and how many refused. A port id that is taken is tried again.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "msgchan.h"

static unsigned int first, count, keep;
static atomic_uint next, answered, refused;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void speak(unsigned int portid)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK, .nl_pid = portid };
	struct nlmsghdr message = { .nlmsg_len = sizeof(message) };
	char answer[256];
	int fd = socket(AF_NETLINK, SOCK_RAW, MSGCHAN_NETLINK_PROTO);

	if (fd < 0)
		fail("socket");
	while (bind(fd, (struct sockaddr *)&from, sizeof(from)))
		if (errno != EADDRINUSE)
			fail("bind");
	if (send(fd, &message, sizeof(message), 0) != sizeof(message))
		fail("send");
	if (recv(fd, answer, sizeof(answer), 0) < (int)sizeof(message))
		fail("recv");
	if (((struct nlmsghdr *)answer)->nlmsg_type == NLMSG_ERROR)
		atomic_fetch_add(&refused, 1);
	else
		atomic_fetch_add(&answered, 1);
	if (!keep)
		close(fd);
}

static void *work(void *unused)
{
	unsigned int number;

	while ((number = atomic_fetch_add(&next, 1)) < count)
		speak(first + number);
	return unused;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 100000, 100000 };
	int i, n = argc > 4 ? atoi(argv[4]) : 1;
	pthread_t threads[n];

	first = atoi(argv[1]);
	count = atoi(argv[2]);
	keep = !strcmp(argv[3], "keep");
	if (keep && setrlimit(RLIMIT_NOFILE, &files))
		fail("setrlimit");
	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			fail("pthread_create");
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("%u %u\n", answered, refused);
	return 0;
}
