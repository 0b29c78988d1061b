/* SPDX-License-Identifier: GPL-2.0 */
/* The header of a netlink message, read from a buffer. */
#define NLMSG_ERROR 2
#define NLMSG_HDRLEN 16
#define NETLINK_KOBJECT_UEVENT 15	/* its messages are plain text */
#define ALIGN_NLMSG(length) (((length) + 3) & ~3U)

struct nlmsg_header {
	u32 len;
	u16 type;
	u16 flags;
	u32 seq;
	u32 portid;
};

/*
 * Read the header at `data`, of which `room` bytes are left. Returns 0 if there is no message:
 * the tests are those of netlink_rcv_skb() and nlmsg_ok().
 */
static inline int read_header(struct nlmsg_header *header, u64 data, u32 room, u16 proto)
{
	header->len = 0;
	if (room >= NLMSG_HDRLEN)
		bpf_probe_read_kernel(header, sizeof(*header), (void *)data);
	return proto != NETLINK_KOBJECT_UEVENT && header->len >= NLMSG_HDRLEN &&
	       header->len <= room;
}
