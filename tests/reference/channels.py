# SPDX-License-Identifier: GPL-2.0-or-later
"""The calls of the random streams (:mod:`streams`), each as a row of steps."""

from __future__ import annotations

from collections.abc import Sequence

from streams import (
    BY_BROADCAST,
    BY_UNICAST,
    KERNEL_THREAD,
    LOGGING,
    NLMSG_ERROR,
    ROOM,
    S_BEGUN,
    S_DONE,
    S_HEADLESS,
    S_MODULE,
    S_SEVERAL,
    S_TRIED,
    X_RECEIVING,
    X_SENDING,
    Digits,
    Machine,
    Record,
    Socket,
    Steps,
    Stream,
    Thread,
    cut,
)

from tracer.recording import SCHEMAS

NLM_F_ACK, NLM_F_DUMP = 0x4, 0x300
MSG_PEEK = 0x2
R_COPY, R_COPIED = 0x1, 0x2
O_BEGUN, O_DONE, O_COPY, O_COPIED, O_MODULE, O_LEFT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
MODULE, PLAIN, BATCH, DUMP, ASYNC, PEER, HEADLESS = range(7)
#: How many messages a buffer has, by choice.
COUNTS = (1, 1, 1, 2, 3)
#: One action in so many is the kernel's own.
KERNEL_TURN = 9
#: What a handler does with a message.
NOTHING, ANSWERS, FAILS, ANSWERS_TWICE = range(4)

Actions = Sequence[tuple[int, int]]


def play(actions: Actions, dropped: Sequence[int] = (), first: int = 0, last: int = 0) -> Stream:
    """The stream of these actions without the records ``dropped``, nor the first and last ones."""
    machine = Machine()
    kernel: Steps | None = None
    for who, what in actions:
        place = who % KERNEL_TURN
        if place == KERNEL_TURN - 1:
            kernel = kernel or _kernel(machine, Digits(what))
            if next(kernel, machine) is machine:
                kernel = None
            continue
        thread = machine.threads[place % len(machine.threads)]
        thread.steps = thread.steps or _call(machine, thread, Digits(what))
        if next(thread.steps, machine) is machine:
            thread.steps = thread.record = thread.socket = None
            thread.bits = 0
    return cut(machine, dropped, first, last)


def _call(machine: Machine, thread: Thread, digits: Digits) -> Steps:
    calls = (_receive, _send, _receive, _send, _poll, _receive, _option, _receive, _close)
    call = calls[digits.below(len(calls))]
    home, other = machine.threads.index(thread), digits.below(3 * len(machine.sockets))
    socket = machine.sockets[other if other < len(machine.sockets) else home // 2]
    yield from call(machine, thread, socket, digits)


def _close(machine: Machine, thread: Thread, socket: Socket, digits: Digits) -> Steps:
    machine.close(socket)
    yield


def _log(machine: Machine, thread: Thread, digits: Digits, **entry: int) -> None:
    """Write an entry of the user's log, if the thread keeps one; once in a while it does not."""
    if thread.tgid in LOGGING and digits.below(5) != 4:
        who = dict.fromkeys(SCHEMAS["sends"].names, 0) | _who(thread)
        machine.sends.append(who | {"end_ns": machine.now()} | entry)


def _who(thread: Thread) -> Record:
    return {"tid": thread.tid, "tgid": thread.tgid}


# --------------------------------------------------------------------------
# Sending


def _messages(machine: Machine, kind: int, digits: Digits) -> list[Record]:
    """The messages of a buffer; ``does`` is what the handler will do."""
    count = COUNTS[digits.below(5)] if kind in (MODULE, PLAIN, BATCH, PEER) else 1
    seq, same = machine.seq(digits), digits.below(2) == 1
    found: list[Record] = []
    for number in range(count):
        does = NOTHING if kind == HEADLESS else digits.below(4)
        flags = NLM_F_ACK * digits.below(2) | NLM_F_DUMP * (kind == DUMP)
        type_ = (16, 17)[digits.below(2)]
        mine = seq if same or not number else machine.seq(digits)
        found.append({"seq": mine, "type": type_, "flags": flags, "size": 20 + 4 * digits.below(3),
                      "does": does})  # fmt: skip
    return found


def _send(machine: Machine, thread: Thread, socket: Socket, digits: Digits) -> Steps:
    kind = digits.below(7)
    peers = [
        other
        for other in machine.sockets
        if (other.netns, other.proto) == (socket.netns, socket.proto) and other is not socket
    ]
    kind = PLAIN if kind == PEER and not peers else kind
    messages = _messages(machine, kind, digits)
    begin = machine.now()
    yield
    enter = machine.now()
    thread.socket, thread.bits = socket, X_SENDING
    yield
    size = sum(message["size"] for message in messages)
    send = _who(thread) | socket.name | messages[0] | {
        "enter_ns": enter, "unicast_ns": machine.now(), "buffer": size, "ret": size, "bits": 0,
        "dst": peers[0].portid if kind == PEER else 0,
    }  # fmt: skip
    headless = kind == HEADLESS or (kind == PEER and not messages[1:] and digits.below(4) == 3)
    if headless:
        send |= {"seq": 0, "type": 0, "flags": 0, "bits": S_HEADLESS}
    thread.record = send
    for message in messages[1:]:
        send["bits"] |= S_SEVERAL
        told = {name: value for name, value in message.items() if name != "does"}
        at = {"start_ns": send["unicast_ns"], "end_ns": send["unicast_ns"], "bits": X_SENDING}
        machine.emit("extras", "message", _who(thread) | socket.name | told | at)
        yield
    yield
    if kind == PEER:
        yield from _to_peer(machine, thread, peers[0], messages[0], headless)
    elif kind != HEADLESS:
        yield from _to_kernel(machine, thread, socket, kind, messages, digits)
    yield
    send["exit_ns"] = machine.now()
    thread.record, thread.bits = None, 0
    yield
    send.pop("does", None)
    machine.emit("send_calls", "send", send)
    yield
    end = machine.now()
    for message in messages:
        _log(machine, thread, digits, kind=0, channel=0, begin_ns=begin, end_ns=end,
             portid=socket.portid, proto=socket.proto, seq=0 if headless else
             message["seq"], type=message["type"], size=message["size"])  # fmt: skip


def _to_peer(
    machine: Machine, thread: Thread, to: Socket, message: Record, headless: bool
) -> Steps:
    """The message itself goes into the other one's queue."""
    if len(to.queue) < ROOM:
        assert thread.record
        mine = {"seq": message["seq"], "type": message["type"], "size": thread.record["buffer"]}
        mine |= {"seq": 0, "type": 0, "headless": 1} if headless else {}
        yield from machine.queue(thread, to, mine | {"ret": 0, "peer": 1})
    elif thread.record:
        thread.record["ret"] = -11


def _to_kernel(
    machine: Machine, thread: Thread, socket: Socket, kind: int, messages: list[Record],
    digits: Digits,
) -> Steps:  # fmt: skip
    send = thread.record
    assert send is not None
    if kind in (PLAIN, DUMP, ASYNC):
        send |= {"begin_ns": machine.now(), "bits": send["bits"] | S_BEGUN}
        yield
    for message in messages:
        if kind == MODULE:
            yield from _module(machine, thread, socket, message, digits)
        elif kind == DUMP and not socket.dump:
            socket.dump = (message["seq"], digits.below(4))
            yield from machine.dump(thread, socket, 20 + digits.below(5))
        elif kind == DUMP:
            yield from _reply(machine, thread, socket, message, NLMSG_ERROR, -16, digits)
        elif kind == ASYNC:
            answer = {"seq": message["seq"], "type": 16, "size": 24, "ret": 0, "tid": KERNEL_THREAD}
            machine.promised += [(socket, answer)] * (1 + digits.below(2))
        elif message["does"] in (ANSWERS, ANSWERS_TWICE) and kind == PLAIN:
            for _number in range(1 + (message["does"] == ANSWERS_TWICE)):
                yield from _reply(machine, thread, socket, message, 16, 0, digits)
        if kind in (PLAIN, BATCH) and digits.below(4) == 3:
            yield from _elsewhere(machine, thread, message, digits)
        failed = message["does"] == FAILS and kind != MODULE
        if kind != DUMP and (failed or message["flags"] & NLM_F_ACK):
            error = -(1 + message["size"]) if failed else 0
            yield from _reply(machine, thread, socket, message, NLMSG_ERROR, error, digits)


def _module(
    machine: Machine, thread: Thread, socket: Socket, message: Record, digits: Digits
) -> Steps:
    """msgchan's handler, which tells of itself before it answers or afterwards."""
    send = thread.record
    assert send is not None
    begin = machine.now()
    yield
    done, error = machine.now(), -5 if message["does"] == FAILS else 0
    yield
    late = digits.below(2)
    for part in range(2):
        if part != late and message["does"] in (ANSWERS, ANSWERS_TWICE):
            yield from _reply(machine, thread, socket, message, 32, 0, digits)
        elif part == late and not send["bits"] & S_MODULE and message["seq"] == send["seq"]:
            send |= {"begin_ns": begin, "done_ns": done, "error": error, "channel": 2,
                     "bits": send["bits"] | S_BEGUN | S_DONE | S_MODULE}  # fmt: skip
        elif part == late:
            machine.emit("extras", "handled", _who(thread) | socket.name | {
                "start_ns": begin, "end_ns": done, "seq": message["seq"], "ret": error,
                "channel": 2, "bits": X_SENDING,
            })  # fmt: skip


def _reply(
    machine: Machine, thread: Thread, socket: Socket, message: Record, type_: int, error: int,
    digits: Digits,
) -> Steps:  # fmt: skip
    """netlink_unicast to the sender."""
    send = thread.record
    assert send is not None
    now = machine.now()
    send["bits"] |= S_TRIED
    if not send["bits"] & (S_DONE | S_SEVERAL):
        send |= {"done_ns": now, "bits": send["bits"] | S_DONE}
    yield
    answer = {"seq": message["seq"], "type": type_, "size": 32, "ret": error}
    if type_ == NLMSG_ERROR:
        answer |= {"size": 36, "about_seq": message["seq"], "about_type": message["type"]}
    if digits.below(3) == 2:
        answer |= {"source": BY_UNICAST, "start_ns": now}
    yield from machine.queue(thread, socket, answer)


def _elsewhere(machine: Machine, thread: Thread, message: Record, digits: Digits) -> Steps:
    """What a handler sends to others, or to all who listen, the sender among them."""
    to = machine.sockets[digits.below(len(machine.sockets))]
    source = BY_BROADCAST if to is thread.socket else (BY_UNICAST, BY_BROADCAST)[digits.below(2)]
    start = machine.now()
    yield
    yield from machine.queue(thread, to, {"seq": message["seq"], "type": 20, "size": 28, "ret": 0,
                                          "source": source, "start_ns": start})  # fmt: skip


# --------------------------------------------------------------------------
# Receiving and waiting


def _receive(machine: Machine, thread: Thread, socket: Socket, digits: Digits) -> Steps:
    peek, patience = digits.below(4) == 3, digits.below(12)
    begin = machine.now()
    yield
    recv: Record = _who(thread) | socket.name | {
        "enter_ns": machine.now(), "flags": MSG_PEEK * peek, "bits": 0,
    }  # fmt: skip
    thread.socket, thread.bits = socket, X_RECEIVING
    yield
    while patience and not socket.overrun and not socket.queue:
        patience -= 1
        yield
    if not socket.overrun and not socket.queue:
        return
    seq = 0
    if socket.overrun:
        socket.overrun = False
        recv["ret"] = -105
    else:
        skb = socket.queue[0] if peek else socket.queue.pop(0)
        skb.users += peek
        yield
        seq = skb.seq
        recv |= {"skb": skb.address, "size": skb.size, "ret": skb.size}
        recv |= {"copy_ns": machine.now(), "bits": R_COPY}
        yield
        if digits.below(16) < 15:
            recv |= {"copied_ns": machine.now(), "bits": R_COPY | R_COPIED}
        machine.release(skb)
        yield
        if socket.dump and len(socket.queue) < ROOM:
            yield from machine.dump(thread, socket, 20 + digits.below(5))
            yield
    recv["exit_ns"] = machine.now()
    thread.bits = 0
    yield
    machine.emit("recv_calls", "recv", recv)
    yield
    _log(machine, thread, digits, kind=1, channel=0, begin_ns=begin, portid=socket.portid,
         proto=socket.proto, seq=seq, size=recv.get("size", 0))  # fmt: skip


def _poll(machine: Machine, thread: Thread, socket: Socket, digits: Digits) -> Steps:
    """A wait for one or two sockets, for as long as nothing comes, or shorter."""
    start, patience = machine.now(), 1 + digits.below(8)
    sockets = [socket]
    if digits.below(2):
        sockets.append(machine.sockets[digits.below(len(machine.sockets))])
    while patience and not any(other.queue for other in sockets):
        patience -= 1
        yield
    yield
    end, ready = machine.now(), sum(bool(other.queue) for other in sockets)
    for number, other in enumerate(sockets):
        if other not in sockets[:number]:
            yield
            machine.emit("extras", "poll", _who(thread) | other.name | {
                "start_ns": start, "end_ns": end, "ret": ready,
            })  # fmt: skip


def _kernel(machine: Machine, digits: Digits) -> Steps:
    """A late answer, or a notification: of a thread that is not traced, or of an interrupt."""
    start = machine.now()
    yield
    if machine.promised and digits.below(3):
        to, answer = machine.promised.pop(0)
        yield from machine.queue(None, to, answer | {"source": BY_UNICAST, "start_ns": start})
        return
    to = machine.sockets[digits.below(len(machine.sockets))]
    source = (BY_BROADCAST, BY_UNICAST, None)[digits.below(3)]
    thread = (None, None, *machine.threads)[digits.below(2 + len(machine.threads))]
    message: Record = {"seq": (0, 0, 0, 1)[digits.below(4)], "type": 1, "size": 24, "ret": 0}
    if digits.below(4) == 3:
        message |= {"seq": 0, "type": 0, "headless": 1}
    send = thread.record if thread else None
    if source == BY_UNICAST and send and (send["portid"], send["proto"]) == (to.portid, to.proto):
        # The probe takes it for the answer of the call that was interrupted.
        send["bits"] |= S_TRIED
        if not send["bits"] & (S_DONE | S_SEVERAL):
            send |= {"done_ns": start, "bits": send["bits"] | S_DONE}
    elif source is not None:
        message |= {"source": source, "start_ns": start}
    yield from machine.queue(thread, to, message)


# --------------------------------------------------------------------------
# Socket options


def _option(machine: Machine, thread: Thread, socket: Socket, digits: Digits) -> Steps:
    get, module, copies = digits.below(2), digits.below(2), digits.below(3)
    ret = -22 if digits.below(4) == 3 else 0
    begin = machine.now()
    yield
    opt: Record = _who(thread) | {
        "enter_ns": machine.now(), "netns": socket.netns, "optname": (10129, 64)[digits.below(2)],
        "pf": (2, 10)[digits.below(2)], "size": 24, "ret": ret, "bits": 0,
    }  # fmt: skip
    yield
    opt["nf_ns"] = machine.now()
    yield
    if module:
        opt |= {"begin_ns": machine.now(), "channel": get}
        opt["bits"] |= O_BEGUN | O_DONE | O_MODULE
        yield
    for number in range(copies * get):
        start = machine.now()
        yield
        end = start if digits.below(4) == 3 else machine.now()
        if not number:
            opt |= {"copy_ns": start, "copied_ns": end, "copied": 16}
            opt["bits"] |= O_COPY | O_COPIED * (end > start)
        else:
            machine.emit("extras", "copy", _who(thread) | {
                "netns": socket.netns, "start_ns": start, "end_ns": end, "size": 8,
                "type": opt["optname"],
            })  # fmt: skip
        yield
    if module:
        opt["done_ns"] = machine.now()
    if digits.below(8) != 7:
        opt |= {"left_ns": machine.now(), "bits": opt["bits"] | O_LEFT}
    yield
    opt["exit_ns"] = machine.now()
    yield
    machine.emit("opt_calls", "getsockopt" if get else "setsockopt", opt)
    yield
    _log(machine, thread, digits, kind=2, channel=1 + get, begin_ns=begin, type=opt["optname"],
         size=24, errno=-ret)  # fmt: skip
