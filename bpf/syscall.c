/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The system calls that carry messages, observed in their socket-layer functions.
 * A call is emitted only when something was observed inside it. When a traced
 * program uses other sockets, such as TCP, two probes run and write no record.
 */
static inline int syscall_enter(u8 point, u16 flags)
{
	struct thread *thread = traced_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = push_syscall(thread, point);
	if (frame)
		frame->flags = flags;
	return 0;
}

static inline int syscall_return(u8 point, s64 ret)
{
	struct thread *thread = traced_thread();
	struct frame *frame;

	if (!thread)
		return 0;
	frame = pop(thread, point);
	if (!frame || !frame->wanted)
		return 0;
	if (point != TRACER_SYS_SETSOCKOPT && point != TRACER_SYS_GETSOCKOPT &&
	    point != TRACER_SYS_POLL && ret > 0)
		frame->size = ret;
	emit_span(thread, frame, ret);
	return 0;
}

ENTRY(__sys_sendto) { return syscall_enter(TRACER_SYS_SENDTO, 0); }
RETURN(__sys_sendto) { return syscall_return(TRACER_SYS_SENDTO, (s32)RETVAL(__sys_sendto)); }
ENTRY(__sys_sendmsg) { return syscall_enter(TRACER_SYS_SENDMSG, 0); }
RETURN(__sys_sendmsg) { return syscall_return(TRACER_SYS_SENDMSG, (s64)RETVAL(__sys_sendmsg)); }
ENTRY(__sys_sendmmsg) { return syscall_enter(TRACER_SYS_SENDMMSG, 0); }
RETURN(__sys_sendmmsg) { return syscall_return(TRACER_SYS_SENDMMSG, (s32)RETVAL(__sys_sendmmsg)); }
ENTRY(sock_write_iter) { return syscall_enter(TRACER_SYS_WRITE, 0); }
RETURN(sock_write_iter) { return syscall_return(TRACER_SYS_WRITE, (s64)RETVAL(sock_write_iter)); }

ENTRY(__sys_recvfrom) { return syscall_enter(TRACER_SYS_RECVFROM, ARG(__sys_recvfrom, 3)); }
RETURN(__sys_recvfrom) { return syscall_return(TRACER_SYS_RECVFROM, (s32)RETVAL(__sys_recvfrom)); }
ENTRY(__sys_recvmsg) { return syscall_enter(TRACER_SYS_RECVMSG, ARG(__sys_recvmsg, 2)); }
RETURN(__sys_recvmsg) { return syscall_return(TRACER_SYS_RECVMSG, (s64)RETVAL(__sys_recvmsg)); }
/* __sys_recvmmsg cannot be probed: the compiler inlines it into its callers. */
ENTRY(do_recvmmsg) { return syscall_enter(TRACER_SYS_RECVMMSG, ARG(do_recvmmsg, 3)); }
RETURN(do_recvmmsg) { return syscall_return(TRACER_SYS_RECVMMSG, (s32)RETVAL(do_recvmmsg)); }
ENTRY(sock_read_iter) { return syscall_enter(TRACER_SYS_READ, 0); }
RETURN(sock_read_iter) { return syscall_return(TRACER_SYS_READ, (s64)RETVAL(sock_read_iter)); }

ENTRY(__sys_setsockopt) { return syscall_enter(TRACER_SYS_SETSOCKOPT, 0); }
RETURN(__sys_setsockopt)
{
	return syscall_return(TRACER_SYS_SETSOCKOPT, (s32)RETVAL(__sys_setsockopt));
}
ENTRY(__sys_getsockopt) { return syscall_enter(TRACER_SYS_GETSOCKOPT, 0); }
RETURN(__sys_getsockopt)
{
	return syscall_return(TRACER_SYS_GETSOCKOPT, (s32)RETVAL(__sys_getsockopt));
}

/*
 * A program may wait in poll, select or epoll and call receive only when there is
 * a message. Its wait must then count as waiting for that message.
 */
ENTRY(do_sys_poll) { return syscall_enter(TRACER_SYS_POLL, 0); }
RETURN(do_sys_poll) { return syscall_return(TRACER_SYS_POLL, (s32)RETVAL(do_sys_poll)); }
ENTRY(do_select) { return syscall_enter(TRACER_SYS_POLL, 0); }
RETURN(do_select) { return syscall_return(TRACER_SYS_POLL, (s32)RETVAL(do_select)); }
ENTRY(do_epoll_wait) { return syscall_enter(TRACER_SYS_POLL, 0); }
RETURN(do_epoll_wait) { return syscall_return(TRACER_SYS_POLL, (s32)RETVAL(do_epoll_wait)); }

/* Note which netlink socket a poll asks about; if it asks about several, the last one. */
static inline int datagram_poll_enter(int typed, u64 sock)
{
	struct thread *thread = traced_thread();
	struct frame *frame;
	u64 sk;

	if (!thread)
		return 0;
	frame = top(thread);
	if (!frame || frame->point != TRACER_SYS_POLL)
		return 0;
	sk = load64(typed, sock, OFF_SOCKET_SK);
	if (load16(typed, sk, OFF_SOCK_FAMILY) != AF_NETLINK)
		return 0;
	frame->id = id_of(portid_of(sk), 0);
	frame->proto = load16(typed, sk, OFF_SOCK_PROTOCOL);
	frame->netns = netns_of(typed, sk);
	frame->wanted = 1;
	return 0;
}

ENTRY(datagram_poll)
{
	return datagram_poll_enter(TYPED(datagram_poll), ARG(datagram_poll, 1));
}
