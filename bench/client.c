// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client of the bench: sends the same request again and again on every
 * channel, and writes to FILE, as JSON, how long a call took.
 *
 *	client COUNT FILE
 *
 * Each call carries 100 bytes. "netlink" is an echo request of msgchan and the
 * receive of its reply, "setsockopt" and "getsockopt" are the same request as
 * a socket option, "unix" is a datagram through a socket pair. Times are ns of
 * CLOCK_MONOTONIC, one reading of the clock included. Between them it pauses
 * now and then: a tool that reads what it recorded must find time for that on
 * the one CPU, or it measures what an event costs that is lost.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "msgchan.h"

#define PAYLOAD		100
#define WARM_UP		101
#define PAUSE_EVERY	16	/* calls */
#define PAUSE_US	20000
#define LENGTH		NLMSG_LENGTH(sizeof(struct msgchan_request) + PAYLOAD)
#define COUNT_MAX	100003
#define CHANNELS	4

struct message {
	struct nlmsghdr head;
	struct msgchan_request request;
	char payload[PAYLOAD];
};

struct channel {
	const char *name;
	int (*open)(void);
	int (*call)(void);	/* 0, or -1 and errno */
};

static const struct msgchan_request echo = {
	.token = 7,
	.op = MSGCHAN_OP_ECHO,
	.reply_size = PAYLOAD,
	.payload_size = PAYLOAD,
};

static int fds[2];
static struct message message;
static char answer[4096];
static long long times[COUNT_MAX];

/* Not timed. A getsockopt's reply overwrites the request. */
static void prepare(void)
{
	message.head.nlmsg_len = LENGTH;
	message.head.nlmsg_type = MSGCHAN_TYPE_REQUEST + MSGCHAN_OP_ECHO;
	message.head.nlmsg_flags = NLM_F_REQUEST;
	message.head.nlmsg_seq++;
	message.request = echo;
}

static int open_netlink(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	fds[0] = socket(AF_NETLINK, SOCK_RAW, MSGCHAN_NETLINK_PROTO);
	if (fds[0] < 0)
		return -1;
	return connect(fds[0], (struct sockaddr *)&kernel, sizeof(kernel));
}

static int call_netlink(void)
{
	const struct nlmsghdr *head = (const struct nlmsghdr *)answer;

	if (send(fds[0], &message, LENGTH, 0) != LENGTH ||
	    recv(fds[0], answer, sizeof(answer), 0) < 0)
		return -1;
	if (head->nlmsg_type == MSGCHAN_TYPE_REPLY + MSGCHAN_OP_ECHO)
		return 0;
	errno = EBADMSG;
	return -1;
}

static int open_sockopt(void)
{
	fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
	return fds[0] < 0 ? -1 : 0;
}

static int call_setsockopt(void)
{
	return setsockopt(fds[0], IPPROTO_IP, MSGCHAN_SOCKOPT_BASE + MSGCHAN_SO_REQUEST,
			  &message.request, sizeof(message.request) + PAYLOAD);
}

static int call_getsockopt(void)
{
	socklen_t size = sizeof(message.request) + PAYLOAD;

	return getsockopt(fds[0], IPPROTO_IP, MSGCHAN_SOCKOPT_BASE + MSGCHAN_SO_REQUEST,
			  &message.request, &size);
}

static int open_unix(void)
{
	return socketpair(AF_UNIX, SOCK_DGRAM, 0, fds);
}

static int call_unix(void)
{
	if (send(fds[0], message.payload, PAYLOAD, 0) != PAYLOAD ||
	    recv(fds[1], answer, sizeof(answer), 0) != PAYLOAD)
		return -1;
	return 0;
}

static const struct channel channels[CHANNELS] = {
	{ "netlink", open_netlink, call_netlink },
	{ "setsockopt", open_sockopt, call_setsockopt },
	{ "getsockopt", open_sockopt, call_getsockopt },
	{ "unix", open_unix, call_unix },
};

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	long long a = *(const long long *)left, b = *(const long long *)right;

	return (a > b) - (a < b);
}

/* Write the times of `count` calls, after a few that are not timed. */
static int measure(const struct channel *channel, int count)
{
	int i;

	if (channel->open())
		return -1;
	for (i = -WARM_UP; i < count; i++) {
		long long begin, end;

		if (i % PAUSE_EVERY == 0)
			usleep(PAUSE_US);
		prepare();
		begin = now();
		if (channel->call())
			return -1;
		end = now();
		times[i < 0 ? 0 : i] = end - begin;
	}
	return 0;
}

static void print_times(FILE *out, const char *name, int count)
{
	qsort(times, count, sizeof(times[0]), compare);
	fprintf(out, "\"%s\": {\"count\": %d, \"min\": %lld, \"p50\": %lld, \"p99\": %lld}",
		name, count, times[0], times[(count - 1) / 2], times[(count - 1) * 99 / 100]);
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[1]) : 0;
	FILE *out;
	int i;

	if (count < 1 || count > COUNT_MAX) {
		fprintf(stderr, "usage: client COUNT FILE, COUNT at most %d\n", COUNT_MAX);
		return 2;
	}
	out = fopen(argv[2], "w");
	if (!out) {
		perror(argv[2]);
		return 1;
	}
	for (i = 0; i < CHANNELS; i++) {
		if (measure(&channels[i], count)) {
			perror(channels[i].name);
			return 1;
		}
		fputs(i ? ", " : "{", out);
		print_times(out, channels[i].name, count);
	}
	fputs("}\n", out);
	if (fclose(out)) {
		perror(argv[2]);
		return 1;
	}
	return 0;
}
