"""A writer whose every acknowledged write is noted outside the disk, and the check that none was lost.

write CONF USER POOL IMAGE JOURNAL: four threads write 4 KiB blocks, each block filled with its offset and a sequence
number; once RBD has acknowledged one, "offset sequence ms" goes to JOURNAL. Ends when its input ends.
check CONF USER POOL IMAGE JOURNAL: every block holds its last acknowledged sequence number or a later one; prints JSON.
"""
import json
import random
import struct
import sys
import threading
import time

import rados
import rbd

BLOCK = 4096
BLOCKS_PER_THREAD = 1024
THREADS = 4
STAMP = struct.Struct("<QQ")

mode, conf, user, pool, name, journal = sys.argv[1:7]
cluster = rados.Rados(conffile=conf, rados_id=user)
cluster.connect(timeout=10)
ioctx = cluster.open_ioctx(pool)


def write(image, log, lock, stopping, thread):
    chooser = random.Random(thread)
    sequence = 0
    while not stopping.is_set():
        sequence += 1
        offset = (thread * BLOCKS_PER_THREAD + chooser.randrange(BLOCKS_PER_THREAD)) * BLOCK
        started = time.monotonic()
        image.write(STAMP.pack(offset, sequence) * (BLOCK // STAMP.size), offset)
        took = (time.monotonic() - started) * 1000
        with lock:
            log.write(f"{offset} {sequence} {took:.0f}\n")
            log.flush()


def check(image):
    last, stall, writes = {}, 0.0, 0
    for line in open(journal, encoding="ascii"):
        if not line.endswith("\n"):
            break  # cut off: never noted as acknowledged
        offset, sequence, took = (int(word) for word in line.split())
        last[offset] = sequence
        stall, writes = max(stall, took), writes + 1
    lost = 0
    for offset, sequence in last.items():
        data = image.read(offset, BLOCK)
        at, found = STAMP.unpack_from(data)
        whole = data == STAMP.pack(at, found) * (BLOCK // STAMP.size)
        if at != offset or found < sequence or not whole:
            lost += 1
    print(json.dumps({"writes": writes, "blocks": len(last), "lost": lost, "stallMs": stall}))


if mode == "check":
    with rbd.Image(ioctx, name, read_only=True) as opened:
        check(opened)
else:
    with rbd.Image(ioctx, name) as opened, open(journal, "a", encoding="ascii") as log:
        lock, stopping = threading.Lock(), threading.Event()
        threads = [threading.Thread(target=write, args=(opened, log, lock, stopping, n)) for n in range(THREADS)]
        for one in threads:
            one.start()
        print("writing", flush=True)
        sys.stdin.read()
        stopping.set()
        for one in threads:
            one.join()
