"""A writer on a box that is about to die, and does not: what a guest would be that nobody managed to end.

CONF POOL IMAGE JOURNAL: writes 4 KiB blocks one after the other; each one that RBD acknowledged is noted with the time
of the acknowledgement (ms since the epoch). Ends with the first error, which is noted too.
"""
import os
import sys
import time

import rados
import rbd

conf, pool, name, journal = sys.argv[1:5]
cluster = rados.Rados(conffile=conf, rados_id="admin")
cluster.connect(timeout=20)
ioctx = cluster.open_ioctx(pool)
try:
    # Without the exclusive lock: it is cooperative, and no guard.
    rbd.RBD().create(ioctx, name, 64 << 20, old_format=False, features=rbd.RBD_FEATURE_LAYERING)
except rbd.ImageExists:
    pass
image = rbd.Image(ioctx, name)
with open(journal, "w", encoding="ascii") as log:
    number = 0
    while True:
        try:
            image.write(b"%016d" % number * 256, (number % 16384) * 4096)
            image.flush()
        except Exception as error:
            log.write(f"end {time.time() * 1000:.0f} {type(error).__name__}\n")
            log.flush()
            os._exit(0)
        log.write(f"{number} {time.time() * 1000:.0f}\n")
        log.flush()
        number += 1
        time.sleep(0.02)
