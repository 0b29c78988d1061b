# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns records of the ring into the tables ``events`` and ``tasks`` of a recording.

Kernel addresses go no further than this: each address of an sk_buff or a sock is
replaced by a small number (id), the same one in the whole recording.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracer.event import (
    CODE,
    EVENT_DTYPE,
    KIND_TASK,
    MODULE,
    NETLINK,
    POINTS,
    SOCKOPT,
    TASK_DTYPE,
    NotUnderstood,
)
from tracer.recording import SCHEMAS, numbers, texts

Records = npt.NDArray[np.void]


def _membership(names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[[CODE[name] for name in names]] = True
    return table


#: Columns of a recording that are copied from the ring's records unchanged.
_DIRECT = set(EVENT_DTYPE.names or ()) - {"point"}
_IS_NETLINK = _membership(NETLINK)
_IS_SOCKOPT = _membership(SOCKOPT)
_IS_MODULE = _membership(MODULE)


class AddressIds:
    """Numbers 64-bit keys 0, 1, 2, … in the order in which they first appear; key 0 gets -1."""

    def __init__(self) -> None:
        self._known = np.empty(0, np.uint64)
        self._ids = np.empty(0, np.int32)

    def __call__(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """The ids of ``keys`` (same shape, int32)."""
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        fresh = ~np.isin(unique, self._known) & (unique != 0)
        new = unique[fresh][np.argsort(first[fresh])]
        if new.size:
            known = np.concatenate([self._known, new])
            ids = np.concatenate(
                [self._ids, np.arange(new.size, dtype=np.int32) + np.int32(self._ids.size)]
            )
            order = np.argsort(known)
            self._known, self._ids = known[order], ids[order]
        found = np.full(unique.size, -1, np.int32)
        present = unique != 0
        found[present] = self._ids[np.searchsorted(self._known, unique[present])]
        return found[inverse.reshape(-1)]


class Decoder:
    """Turns blocks of ring records into tables, keeping ids stable across blocks.

    ``odd`` counts the records of a kind or point that this version does not know; they
    are left out.
    """

    def __init__(self) -> None:
        self.odd = NotUnderstood()
        self._skbs = AddressIds()
        self._socks = AddressIds()
        self._namespaces = AddressIds()

    def __call__(self, records: Records) -> tuple[pa.Table, pa.Table]:
        """The ``events`` and ``tasks`` tables of one block of ``EVENT_DTYPE`` records.

        Raises ``ValueError`` for records of another type.
        """
        if records.dtype != EVENT_DTYPE:
            raise ValueError(f"records of {records.dtype}, expected {EVENT_DTYPE}")
        records = self._understood(records)
        is_task = records["kind"] == KIND_TASK
        return self._events(records[~is_task]), _tasks(records[is_task])

    def _understood(self, records: Records) -> Records:
        """Remove the records of an unknown kind or point, and count them in ``odd``."""
        kind, point = records["kind"], records["point"]
        named = np.where(kind == KIND_TASK, point == 0, (point > 0) & (point < len(POINTS)))
        odd = np.flatnonzero((kind == 0) | (kind > KIND_TASK) | ~named)
        if not odd.size:
            return records
        self.odd.add(odd.size, f"kind {kind[odd[0]]}, point {point[odd[0]]}")
        return np.delete(records, odd)

    def _events(self, records: Records) -> pa.Table:
        point = records["point"]
        netlink, sockopt = _IS_NETLINK[point], _IS_SOCKOPT[point]
        buf, module = records["buf"], _IS_MODULE[point]
        zero = np.uint64(0)
        columns: dict[str, npt.NDArray[np.generic]] = {
            name: records[name] for name in SCHEMAS["events"].names if name in _DIRECT
        }
        columns["start_ns"] = records["start_ns"].astype(np.int64)
        columns["end_ns"] = records["end_ns"].astype(np.int64)
        columns["skb"] = self._skbs(np.where(netlink, buf, zero))
        columns["token"] = np.where(module, buf, zero)
        columns["sock"] = self._sock_ids(records, netlink, sockopt)
        columns["direction"] = records["direction"].astype(np.uint8)
        columns["portid"] = np.where(sockopt, np.uint32(0), records["portid"])
        columns["seq"] = np.where(sockopt, np.uint32(0), records["seq"])
        arrays = {name: numbers(values) for name, values in columns.items()}
        arrays["point"] = pa.DictionaryArray.from_arrays(
            numbers(point.astype(np.int8)), texts(POINTS)
        )
        return pa.table({name: arrays[name] for name in SCHEMAS["events"].names})

    def _sock_ids(
        self,
        records: Records,
        netlink: npt.NDArray[np.bool_],
        sockopt: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.int32]:
        """The ids of the sockets.

        A netlink socket is identified by its namespace, protocol and port id, any other socket
        by its address. The two kinds of key are never equal, because kernel addresses have
        bit 63 set.
        """
        namespace = self._namespaces(records["netns"].astype(np.uint64)).astype(np.uint64)
        named = (
            (namespace + np.uint64(1)) << np.uint64(40)
            | records["proto"].astype(np.uint64) << np.uint64(32)
            | records["portid"].astype(np.uint64)
        )
        address = records["seq"].astype(np.uint64) << np.uint64(32) | records["portid"]
        zero = np.uint64(0)
        has_port = netlink & (records["portid"] != 0)
        return self._socks(np.where(sockopt, address, np.where(has_port, named, zero)))


def _tasks(records: Records) -> pa.Table:
    tasks = records.view(TASK_DTYPE)
    comm = [name.decode(errors="replace") for name in tasks["comm"].tolist()]
    return pa.table(
        {
            "start_ns": numbers(tasks["start_ns"].astype(np.int64)),
            "tid": numbers(tasks["tid"]),
            "tgid": numbers(tasks["tgid"]),
            "ppid": numbers(tasks["ppid"]),
            "netns": numbers(tasks["netns"]),
            "comm": texts(comm),
        }
    )
