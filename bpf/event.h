/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The wire format of the ring buffer. Every record has 128 bytes, so that a reader can look
 * at a block of them as one array; `kind` tells which structure a record is.
 *
 * A system call makes one record, with all its boundaries: its times are valid where `bits`
 * says so, and hold anything elsewhere. What does not fit into it, such as the second message
 * of a buffer, makes a struct tracer_extra of its own.
 *
 * tracer/event.py repeats these layouts for numpy; tests/unit/test_event.py compares the
 * offset and size of every field.
 */
#ifndef TRACER_EVENT_H
#define TRACER_EVENT_H

#include <linux/types.h>

#define TRACER_RECORD_BYTES	128
#define TRACER_RECORD_WORDS	(TRACER_RECORD_BYTES / 8)

/*
 * The checksum of a record: h = TRACER_SUM_SEED; for each 64-bit word, h = (h ^ word) *
 * TRACER_SUM_FACTOR; at last h = (h ^ h >> 33) * TRACER_SUM_MIX, and h ^= h >> 33. The words are
 * the first TRACER_WORDS_* of the record's kind and the last two, which all kinds have in
 * common. The words between hold anything. The probes add the checksums up. That each depends
 * in all its bits on which value stands in which record makes the sum tell also of values
 * that two records exchanged. (Seed and factor are those of the 64-bit FNV-1a hash,
 * http://www.isthe.com/chongo/tech/comp/fnv/, which takes bytes; the last step is of
 * MurmurHash3, which is in the public domain.)
 */
#define TRACER_SUM_SEED		0xcbf29ce484222325ULL
#define TRACER_SUM_FACTOR	0x100000001b3ULL
#define TRACER_SUM_MIX		0xff51afd7ed558ccdULL
#define TRACER_WORDS_SEND	14
#define TRACER_WORDS_RECV	8
#define TRACER_WORDS_OPT	14
#define TRACER_WORDS_EXTRA	8
#define TRACER_WORDS_TASK	4

enum tracer_kind {
	TRACER_SEND = 1,	/* struct tracer_send */
	TRACER_RECV = 2,	/* struct tracer_recv */
	TRACER_OPT = 3,		/* struct tracer_opt */
	TRACER_EXTRA = 4,	/* struct tracer_extra */
	TRACER_TASK = 5,	/* struct tracer_task */
};

/* What a record tells of. Records are counted and summed by point. */
enum tracer_point {
	TRACER_POINT_TASK,
	TRACER_POINT_SEND,	/* SEND: a call of netlink_sendmsg that sent something */
	TRACER_POINT_RECV,	/* RECV: a call of netlink_recvmsg */
	TRACER_POINT_SET,	/* OPT: a setsockopt that reached nf_setsockopt */
	TRACER_POINT_GET,	/* OPT: a getsockopt that reached nf_getsockopt */
	TRACER_POINT_MESSAGE,	/* EXTRA: a further message of a sent buffer */
	TRACER_POINT_HANDLED,	/* EXTRA: msgchan's handler of a further message */
	TRACER_POINT_QUEUED,	/* EXTRA: a message queued at a traced socket */
	TRACER_POINT_COPY,	/* EXTRA: a copy of a socket option's value */
	TRACER_POINT_POLL,	/* EXTRA: a wait in poll, select or epoll on a netlink socket */
	TRACER_POINT_OVERRUN,	/* EXTRA: a traced socket's queue was full, a message is lost */
	TRACER_POINTS
};

/* The bits of struct tracer_send. */
#define TRACER_S_BEGUN		0x001	/* begin_ns is valid */
#define TRACER_S_DONE		0x002	/* done_ns is valid */
#define TRACER_S_QUEUED		0x004	/* queued_ns and the reply_ fields are valid */
#define TRACER_S_MODULE		0x008	/* begin_ns, done_ns, token, error are msgchan's own word */
#define TRACER_S_TRIED		0x010	/* the kernel called netlink_unicast to answer the sender */
#define TRACER_S_DUMP		0x020	/* the reply is a part of a dump */
#define TRACER_S_LAST		0x040	/* it is the last part */
#define TRACER_S_HEADLESS	0x080	/* the buffer begins with no nlmsghdr: seq, type, flags are 0 */
#define TRACER_S_SEVERAL	0x100	/* it has more messages; all their answers are QUEUED extras */

/* A call of netlink_sendmsg whose buffer reached netlink_unicast. */
struct tracer_send {
	__u64 enter_ns;		/* netlink_sendmsg is entered; times are CLOCK_MONOTONIC */
	__u64 unicast_ns;	/* netlink_unicast is entered */
	__u64 begin_ns;		/* the receiving handler begins: msgchan's, or netlink_rcv_skb */
	__u64 done_ns;		/* msgchan's handler is done; else netlink_unicast of the reply */
	__u64 queued_ns;	/* the first reply is queued at the sender's socket */
	__u64 exit_ns;		/* netlink_sendmsg returns */
	__u64 reply_skb;	/* address of the reply's sk_buff */
	__u64 token;		/* of msgchan's request */
	__u32 portid;		/* of the sender's socket */
	__u32 seq;		/* of the buffer's first message, like type, flags and size */
	__u32 netns;		/* inode number of the network namespace */
	__u32 size;		/* nlmsg_len; the buffer's length where that is no valid length */
	__s32 ret;		/* what netlink_sendmsg returned */
	__s32 error;		/* what msgchan's handler returned */
	__u32 buffer;		/* bytes of the whole buffer */
	__u32 dst;		/* port id that it is sent to; 0: the kernel */
	__u32 reply_size;	/* bytes of the reply's sk_buff */
	__s32 reply_error;	/* errno (negative) in its NLMSG_ERROR, or in a dump's NLMSG_DONE */
	__u16 type;
	__u16 flags;
	__u16 reply_type;	/* of its first message */
	__u16 reply_flags;
	__u32 tid;
	__u32 tgid;
	__u16 cpu;
	__u8 kind;
	__u8 point;
	__u8 proto;		/* netlink protocol */
	__u8 channel;		/* enum msgchan_channel, where TRACER_S_MODULE is set */
	__u16 bits;
};

/* The bits of struct tracer_recv. */
#define TRACER_R_COPY		0x001	/* copy_ns, skb and size are valid */
#define TRACER_R_COPIED		0x002	/* copied_ns is valid */

/* A call of netlink_recvmsg that copied a message, or failed otherwise than by EAGAIN. */
struct tracer_recv {
	__u64 enter_ns;		/* netlink_recvmsg is entered */
	__u64 copy_ns;		/* the copy to user space begins */
	__u64 copied_ns;	/* it is over */
	__u64 exit_ns;		/* netlink_recvmsg returns */
	__u64 skb;		/* address of the sk_buff that is read */
	__u32 portid;		/* of the socket */
	__u32 netns;
	__u32 size;		/* bytes copied */
	__s32 ret;		/* what netlink_recvmsg returned */
	__u32 flags;		/* MSG_* */
	__u32 reserved0;
	__u64 reserved1[6];	/* holds anything */
	__u32 tid;
	__u32 tgid;
	__u16 cpu;
	__u8 kind;
	__u8 point;
	__u8 proto;
	__u8 reserved2;
	__u16 bits;
};

/* The bits of struct tracer_opt. */
#define TRACER_O_BEGUN		0x001	/* begin_ns is valid */
#define TRACER_O_DONE		0x002	/* done_ns is valid */
#define TRACER_O_COPY		0x004	/* copy_ns and copied are valid */
#define TRACER_O_COPIED		0x008	/* copied_ns is valid */
#define TRACER_O_MODULE		0x010	/* these four, token and error are msgchan's own word */
#define TRACER_O_LEFT		0x020	/* left_ns is valid */

/* A setsockopt or getsockopt that reached netfilter's handlers. */
struct tracer_opt {
	__u64 enter_ns;		/* __sys_setsockopt or __sys_getsockopt is entered */
	__u64 nf_ns;		/* nf_setsockopt or nf_getsockopt is entered */
	__u64 begin_ns;		/* msgchan's handler begins */
	__u64 done_ns;		/* msgchan's handler is done */
	__u64 copy_ns;		/* the first copy of the value to user space begins */
	__u64 copied_ns;	/* it is over */
	__u64 left_ns;		/* nf_setsockopt or nf_getsockopt returns */
	__u64 exit_ns;		/* the system call returns */
	__u64 token;		/* of msgchan's request */
	__u64 sock;		/* address of the struct sock */
	__u32 netns;
	__u32 size;		/* set: the value's bytes; get: its length when the call returned */
	__s32 ret;		/* what the system call returned */
	__s32 error;		/* what msgchan's handler returned */
	__u32 optname;
	__u32 pf;		/* PF_INET (level SOL_IP) or PF_INET6 (level SOL_IPV6) */
	__u32 copied;		/* bytes of the first copy */
	__u32 reserved0;
	__u32 tid;
	__u32 tgid;
	__u16 cpu;
	__u8 kind;
	__u8 point;
	__u8 reserved1;
	__u8 channel;		/* enum msgchan_channel, where TRACER_O_MODULE is set */
	__u16 bits;
};

/* What called __netlink_sendskb: the field source of a TRACER_POINT_QUEUED record. */
enum tracer_source {
	TRACER_BY_OTHER,	/* nothing that is observed; start_ns == end_ns */
	TRACER_BY_UNICAST,	/* netlink_unicast, entered at start_ns */
	TRACER_BY_BROADCAST,	/* netlink_broadcast, entered at start_ns */
	TRACER_BY_DUMP,		/* netlink_dump, entered at start_ns */
};

/* The bits of struct tracer_extra. */
#define TRACER_X_SENDING	0x001	/* inside the thread's netlink_sendmsg */
#define TRACER_X_RECEIVING	0x002	/* inside the thread's netlink_recvmsg */
#define TRACER_X_LAST		0x004	/* QUEUED by a dump: its last part */
#define TRACER_X_BYSTANDER	0x008	/* the thread is not traced, only the receiving socket */
#define TRACER_X_HEADLESS	0x010	/* the message begins with no nlmsghdr: seq, type, flags are 0 */

/*
 * MESSAGE: start_ns == end_ns is when netlink_unicast was entered; size is nlmsg_len.
 * HANDLED: the handler begins and is done; token; ret is what it returned.
 * QUEUED: source called, and the message was queued; skb; size of the sk_buff; ret as in
 * reply_error of struct tracer_send; of an NLMSG_ERROR, about_seq and about_type are those
 * of the request whose header it carries.
 * COPY: the copy begins and ends (equal where its end is not observed); size in bytes; ret
 * is -EFAULT where it failed.
 * POLL: the wait begins and ends; ret is what it returned.
 * OVERRUN: start_ns == end_ns.
 */
struct tracer_extra {
	__u64 start_ns;
	__u64 end_ns;
	__u64 skb;		/* QUEUED: address of the sk_buff; HANDLED: the token */
	__u32 portid;		/* the user side's port id */
	__u32 seq;
	__u32 netns;
	__u32 size;
	__s32 ret;
	__u32 about_seq;
	__u16 type;
	__u16 flags;
	__u16 about_type;
	__u16 source;		/* QUEUED: enum tracer_source */
	__u64 reserved0;
	__u64 reserved1[6];	/* holds anything */
	__u32 tid;
	__u32 tgid;
	__u16 cpu;
	__u8 kind;
	__u8 point;
	__u8 proto;		/* netlink protocol; HANDLED: also enum msgchan_channel below */
	__u8 channel;
	__u16 bits;
};

/* A thread and its name. */
struct tracer_task {
	__u64 start_ns;		/* when the name was read */
	char comm[16];
	__u32 netns;
	__u32 ppid;		/* tgid of the parent */
	__u64 reserved0[4];	/* holds anything */
	__u64 reserved1[6];	/* holds anything */
	__u32 tid;
	__u32 tgid;
	__u16 cpu;
	__u8 kind;
	__u8 point;
	__u8 reserved2;
	__u8 reserved3;
	__u16 bits;
};

#endif /* TRACER_EVENT_H */
