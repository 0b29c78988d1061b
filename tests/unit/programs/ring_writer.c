/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes into a ring as the kernel does (kernel/bpf/ringbuf.c), from several threads.
 *
 *	ring_writer FD SIZE RECORDS THREADS
 *
 * FD is a file: the consumer's page, the producer's page, and the data. A record
 * is reserved under a lock, busy, before the producer's position shows it; it is
 * filled and committed without the lock, out of order. Word i of record n is
 * (16 n + i) times FACTOR, so that a reader can tell each word of each record.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS 16
#define HEADER 8
#define RECORD (HEADER + 8 * WORDS)
#define BUSY 0x80000000u
#define FACTOR 0x9E3779B97F4A7C15ull
#define HELD 64		/* at most so many records of one thread are unfinished at a time */
#define PAUSE 500	/* at most so many turns of an empty loop before each is finished */

static _Atomic uint64_t *consumer, *producer;
static char *data;
static uint64_t size, records;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *at(uint64_t position)
{
	return data + position % size;
}

static void put_header(uint64_t position, uint32_t length)
{
	atomic_exchange((_Atomic uint32_t *)at(position), length);
}

/* The position of a new busy record; -1: no room now; -2: all were written. */
static int64_t reserve(void)
{
	uint64_t position;

	pthread_mutex_lock(&lock);
	position = atomic_load_explicit(producer, memory_order_relaxed);
	if (position / RECORD == records) {
		pthread_mutex_unlock(&lock);
		return -2;
	}
	if (position + RECORD - atomic_load_explicit(consumer, memory_order_acquire) > size - 1) {
		pthread_mutex_unlock(&lock);
		return -1;
	}
	put_header(position, BUSY | (8 * WORDS));
	atomic_store_explicit(producer, position + RECORD, memory_order_release);
	pthread_mutex_unlock(&lock);
	return position;
}

static void commit(uint64_t position)
{
	for (int i = 0; i < WORDS; i++)
		atomic_store_explicit((_Atomic uint64_t *)at(position + HEADER + 8 * i),
				      (position / RECORD * WORDS + i) * FACTOR,
				      memory_order_relaxed);
	put_header(position, 8 * WORDS);
}

static void *work(void *seed)
{
	unsigned int random = (uintptr_t)seed;
	int64_t held[HELD], position = 0;

	while (position != -2) {
		int count = 0, wanted = 1 + rand_r(&random) % HELD;

		while (count < wanted && (position = reserve()) >= 0)
			held[count++] = position;
		if (position == -1 && !count)
			sched_yield();
		while (count) {
			int next = rand_r(&random) % count;

			for (volatile int turn = rand_r(&random) % PAUSE; turn > 0; turn--)
				;
			commit(held[next]);
			held[next] = held[--count];
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long page = sysconf(_SC_PAGESIZE), threads = argc == 5 ? atol(argv[4]) : 0;
	pthread_t thread[16];
	char *file;

	if (threads < 1 || threads > 16)
		return 2;
	size = strtoull(argv[2], NULL, 10);
	records = strtoull(argv[3], NULL, 10);
	file = mmap(NULL, 2 * page + size, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
	if (file == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	consumer = (_Atomic uint64_t *)file;
	producer = (_Atomic uint64_t *)(file + page);
	data = file + 2 * page;
	for (long i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, work, (void *)(i + 1)))
			return 1;
	for (long i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return 0;
}
