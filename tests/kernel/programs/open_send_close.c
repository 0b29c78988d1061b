// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that open, send and close on every channel of msgchan as fast as
 * they can, whether it is loaded or not, until standard input ends. Prints
 * how many times each channel answered.
 */
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "msgchan.h"

#define THREADS 2

static atomic_bool stop;
static atomic_ulong answered[3];

static void send_once(int proto, int flags, int counter)
{
	struct nlmsghdr message = { .nlmsg_len = NLMSG_LENGTH(0), .nlmsg_flags = flags };
	char answer[256];
	int fd = socket(AF_NETLINK, SOCK_RAW, proto);

	if (fd < 0)
		return;
	/* The second listener's socket is closed without a word, as a killed one's is. */
	if (send(fd, &message, sizeof(message), 0) > 0 &&
	    recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		atomic_fetch_add(&answered[counter], 1);
	close(fd);
}

static void ask_once(void)
{
	char text[64];
	socklen_t len = sizeof(text);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (!getsockopt(fd, IPPROTO_IP, MSGCHAN_SOCKOPT_BASE, text, &len))
		atomic_fetch_add(&answered[2], 1);
	close(fd);
}

static void *work(void *unused)
{
	unsigned int i, rounds = 1;

	while (!stop) {
		for (i = 0; i < rounds % 7; i++) {
			send_once(MSGCHAN_NETLINK_PROTO, 0, 0);
			send_once(MSGCHAN_ICMP_PROTO, NLM_F_ACK, 1);
			ask_once();
		}
		/* Uneven pauses, so that the module is idle now and then. */
		usleep(rounds++ * 977 % 5003);
	}
	return unused;
}

int main(void)
{
	pthread_t threads[THREADS];
	char byte;
	int i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	stop = 1;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%lu %lu %lu\n", answered[0], answered[1], answered[2]);
	return 0;
}
