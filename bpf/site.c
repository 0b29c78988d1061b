/* SPDX-License-Identifier: GPL-2.0 */
/*
 * These macros let one probe body be compiled for fentry/fexit or for
 * kprobe/kretprobe. SITE_<function>, which the attach plan decides, is FENTRY,
 * KPROBE or ABSENT (then the body becomes an unused function). The body reads an
 * argument by its slot, counted from 0:
 *
 *	ENTRY(netlink_unicast) { return unicast_enter(TYPED(netlink_unicast), ARG(...)); }
 *
 * Each ENTRY or RETURN must expand to one function, because BCC puts only the
 * first function of a macro's expansion into a program section.
 */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define SITE(fn) JOIN(SITE_, fn)

#define ENTRY(fn) JOIN(ENTRY_, SITE(fn))(fn)
#define RETURN(fn) JOIN(RETURN_, SITE(fn))(fn)
#define ARG(fn, slot) JOIN(ARG_, SITE(fn))(slot)
#define RETVAL(fn) JOIN(RETVAL_, SITE(fn))(fn)
#define TYPED(fn) JOIN(TYPED_, SITE(fn))

#define ENTRY_FENTRY(fn) KFUNC_PROBE(fn)
#define RETURN_FENTRY(fn) KRETFUNC_PROBE(fn)
#define ARG_FENTRY(slot) ctx[slot]
#define RETVAL_FENTRY(fn) ctx[SLOTS_##fn]
#define TYPED_FENTRY 1

#define ENTRY_KPROBE(fn) int entry_##fn(struct pt_regs *ctx)
#define RETURN_KPROBE(fn) int return_##fn(struct pt_regs *ctx)
#define ARG_KPROBE(slot) PARM_##slot(ctx)
#define PARM_0 PT_REGS_PARM1
#define PARM_1 PT_REGS_PARM2
#define PARM_2 PT_REGS_PARM3
#define PARM_3 PT_REGS_PARM4
#define PARM_4 PT_REGS_PARM5
#define PARM_5 PT_REGS_PARM6
#define RETVAL_KPROBE(fn) PT_REGS_RC(ctx)
#define TYPED_KPROBE 0

#define ENTRY_ABSENT(fn) static inline int absent_entry_##fn(void)
#define RETURN_ABSENT(fn) static inline int absent_return_##fn(void)
#define ARG_ABSENT(slot) 0
#define RETVAL_ABSENT(fn) 0
#define TYPED_ABSENT 0
