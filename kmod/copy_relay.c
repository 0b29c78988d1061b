// SPDX-License-Identifier: GPL-2.0
/*
 * The relay reports calls of _copy_to_user() by the tracepoint
 * msgchan:copy_to_user. Tracing tools cannot put a kprobe event or fentry on
 * that function, because lib/ is built without ftrace; a kretprobe registered
 * by a module is allowed. Every process of the machine would pay for it, so it
 * is armed only while the tracepoint has a listener.
 */
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"
#include "msgchan_trace.h"

#define RELAY_TGIDS	16
#define RELAY_GENERATIONS	16	/* a process and 15 ancestors are looked up in the list */
#define RELAY_ACTIVE	256	/* copies in progress at once: a page fault lets one sleep */

/*
 * The processes to report. A change replaces the struct as a whole: a reader
 * must not see an empty list, which means everybody, in the middle of it.
 */
struct relay_filter {
	struct rcu_head rcu;
	int count;
	int tgid[RELAY_TGIDS];
};

static struct relay_filter __rcu *relay_filter;

static int relay_tgid_set(const char *val, const struct kernel_param *kp)
{
	struct relay_filter *filter, *old;
	int values[RELAY_TGIDS + 1];
	char *rest = get_options(val, ARRAY_SIZE(values), values);
	int i;

	/* For a range such as "1-99", values[0] may be greater than the room in values. */
	if ((*rest && *rest != '\n') || values[0] > RELAY_TGIDS)
		return -EINVAL;
	filter = kzalloc(sizeof(*filter), GFP_KERNEL);
	if (!filter)
		return -ENOMEM;
	filter->count = values[0];
	for (i = 0; i < filter->count; i++) {
		filter->tgid[i] = values[i + 1];
		if (filter->tgid[i] > 0)
			continue;
		kfree(filter);
		return -EINVAL;
	}
	/* The caller holds the lock of this module's parameters. */
	old = rcu_dereference_protected(relay_filter, true);
	rcu_assign_pointer(relay_filter, filter);
	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

static int relay_tgid_get(char *buffer, const struct kernel_param *kp)
{
	const struct relay_filter *filter = rcu_dereference_protected(relay_filter, true);
	int i, n = 0;

	for (i = 0; filter && i < filter->count; i++)
		n += scnprintf(buffer + n, PAGE_SIZE - n, "%s%d", i ? "," : "", filter->tgid[i]);
	return n + scnprintf(buffer + n, PAGE_SIZE - n, "\n");
}

static void relay_tgid_free(void *arg)
{
	kfree(rcu_dereference_protected(relay_filter, true));
}

static const struct kernel_param_ops relay_tgid_ops = {
	.set = relay_tgid_set,
	.get = relay_tgid_get,
	.free = relay_tgid_free,
};

module_param_cb(relay_tgid, &relay_tgid_ops, NULL, 0644);
__MODULE_PARM_TYPE(relay_tgid, "array of int");
MODULE_PARM_DESC(relay_tgid,
		 "Process ids (at most 16, of the initial pid namespace) whose copies to user space, and whose descendants', the tracepoint msgchan:copy_to_user reports; empty (default): everybody's");

#if defined(CONFIG_KRETPROBES) && defined(CONFIG_HAVE_FUNCTION_ARG_ACCESS_API)

struct relay_call {
	u64 start_ns;
	u32 size;
};

static unsigned long relay_missed_before;	/* misses up to the last disarming */
static struct kretprobe relay_probe;

static bool relay_lists(const struct relay_filter *filter, int tgid)
{
	int i;

	for (i = 0; i < filter->count; i++)
		if (filter->tgid[i] == tgid)
			return true;
	return false;
}

NOKPROBE_SYMBOL(relay_lists);

static bool relay_wants_current(void)
{
	/* A probe's handler runs with preemption off, which holds RCU. */
	const struct relay_filter *filter = rcu_dereference_sched(relay_filter);
	const struct task_struct *task = current;
	int i;

	if (!filter || !filter->count)
		return true;
	for (i = 0; i < RELAY_GENERATIONS && task->tgid > 1; i++) {
		if (relay_lists(filter, task->tgid))
			return true;
		task = rcu_dereference_sched(task->real_parent);
	}
	return false;
}

NOKPROBE_SYMBOL(relay_wants_current);

/* Return nonzero to let the call go unobserved: its return is not intercepted then. */
static int relay_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct relay_call *call = (void *)ri->data;

	if (!relay_wants_current())
		return 1;
	call->size = min_t(unsigned long, regs_get_kernel_argument(regs, 2), U32_MAX);
	call->start_ns = ktime_get_mono_fast_ns();
	return 0;
}

NOKPROBE_SYMBOL(relay_entry);

static int relay_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct relay_call *call = (void *)ri->data;

	trace_copy_to_user(call->start_ns, ktime_get_mono_fast_ns(), call->size,
			   min_t(unsigned long, regs_return_value(regs), U32_MAX));
	return 0;
}

NOKPROBE_SYMBOL(relay_return);

static unsigned long relay_missed(void)
{
	return READ_ONCE(relay_probe.nmissed) + READ_ONCE(relay_probe.kp.nmissed);
}

/* Called for the first listener, under the mutex of the tracepoint core. */
int msgchan_relay_arm(void)
{
	/* register_kretprobe() changes the struct, so fill it in anew each time. */
	relay_missed_before += relay_missed();
	relay_probe = (struct kretprobe) {
		.kp.symbol_name = "_copy_to_user",
		.entry_handler = relay_entry,
		.handler = relay_return,
		.data_size = sizeof(struct relay_call),
		.maxactive = RELAY_ACTIVE,
	};
	return register_kretprobe(&relay_probe);
}

/* Called when the last listener is gone. */
void msgchan_relay_disarm(void)
{
	unregister_kretprobe(&relay_probe);
}

static int relay_missed_get(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%lu\n", relay_missed_before + relay_missed());
}

#else /* no kretprobes, or no way to read a function's arguments */

int msgchan_relay_arm(void)
{
	return -EOPNOTSUPP;
}

void msgchan_relay_disarm(void)
{
}

static int relay_missed_get(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "0\n");
}

#endif

static int relay_missed_set(const char *val, const struct kernel_param *kp)
{
	return -EPERM;
}

static const struct kernel_param_ops relay_missed_ops = {
	.set = relay_missed_set,
	.get = relay_missed_get,
};

module_param_cb(relay_missed, &relay_missed_ops, NULL, 0444);
__MODULE_PARM_TYPE(relay_missed, "ulong");
MODULE_PARM_DESC(relay_missed,
		 "Read only: copies that the relay could not report, since the module was loaded");
