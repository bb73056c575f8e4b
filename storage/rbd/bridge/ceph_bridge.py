"""Ceph for Croft: JSON lines in, JSON lines out (appliance/host/worker.ts), over Debian's python3-rados and python3-rbd.

One request per line: {"id", "op", "args"}; answers {"id", "result"}, {"id", "error": {"errno", "message"}} or, while it
works, {"id", "progress": [done, total]}. Requests run at the same time, each in a thread. It knows nothing of volumes
or generations: it does what RADOS and RBD can do, and the driver decides. It ends when its input ends.

librados waits for ever by itself, so the connection has time limits of its own; the caller has stricter ones.
"""
import concurrent.futures
import errno
import json
import os
import sys
import threading
import time

import rados
import rbd

CONF = sys.argv[1]
CLIENT = sys.argv[2] if len(sys.argv) > 2 else "admin"
LIMITS = {"rados_mon_op_timeout": "20", "rados_osd_op_timeout": "60", "client_mount_timeout": "10"}
# Clones of the second format: a snapshot with clones may be removed, and goes for good when the last clone has gone.
SETTINGS = {**LIMITS, "rbd_default_clone_format": "2"}
# LIBRADOS_OPERATION_FULL_TRY of librados.h, which the binding does not name: what takes no space is done in a full pool too.
FULL_TRY = 64

output = threading.Lock()
connecting = threading.Lock()
cluster = None


def say(message):
    line = json.dumps(message, separators=(",", ":")) + "\n"
    with output:
        sys.stdout.write(line)
        sys.stdout.flush()


def connected():
    global cluster
    with connecting:
        if cluster is None:
            fresh = rados.Rados(conffile=CONF, rados_id=CLIENT, conf=SETTINGS)
            try:
                fresh.connect(timeout=10)
            except Exception:
                fresh.shutdown()
                raise
            cluster = fresh
        return cluster


class Pool:
    """An ioctx of `pool` and `namespace`, closed at the end of the with block."""

    def __init__(self, args):
        self.ioctx = connected().open_ioctx(args["pool"])
        self.ioctx.set_namespace(args.get("namespace", ""))

    def __enter__(self):
        return self.ioctx

    def __exit__(self, *_):
        self.ioctx.close()


def user_snapshots(image):
    # Snapshots that only clones still hold live in a namespace of their own; they are nobody's any more.
    return [s for s in image.list_snaps() if s.get("namespace", 0) == rbd.RBD_SNAP_NAMESPACE_TYPE_USER]


def command(args, _):
    send = connected().mgr_command if args.get("target") == "mgr" else connected().mon_command
    code, out, said = send(json.dumps(args["command"]), args.get("input", "").encode())
    if code != 0:
        raise OSError(-code if code < 0 else code, said or os.strerror(abs(code)))
    text = out.decode()
    if args["command"].get("format") == "json" and text.strip():
        return json.loads(text)
    return text


def image_create(args, _):
    with Pool(args) as ioctx:
        rbd.RBD().create(ioctx, args["name"], args["size"], old_format=False)


def image_clone(args, _):
    with Pool(args) as ioctx:
        rbd.RBD().clone(ioctx, args["parent"], args["snapshot"], ioctx, args["name"])
        size = args.get("size")
        if size is not None:
            with rbd.Image(ioctx, args["name"]) as image:
                if image.size() != size:
                    image.resize(size)


def image_resize(args, _):
    with Pool(args) as ioctx, rbd.Image(ioctx, args["name"]) as image:
        image.resize(args["size"])


def image_remove(args, progress):
    """Removes the image and its snapshots; false when clones still lie on them: it goes when they have gone."""
    with Pool(args) as ioctx:
        # A full pool is emptied in this way.
        ioctx.set_osdmap_full_try()
        try:
            with rbd.Image(ioctx, args["name"]) as image:
                for snapshot in user_snapshots(image):
                    image.remove_snap(snapshot["name"])
            rbd.RBD().remove(ioctx, args["name"], on_progress=progress)
        except rbd.ImageNotFound:
            # Also what is said when the trash, through which it goes, cannot be written.
            if args["name"] in rbd.RBD().list(ioctx):
                raise OSError(errno.ENOSPC, "the image could not be put in the trash")
            return True
        except rbd.ImageHasSnapshots:
            return False
    return True


def image_list(args, _):
    with Pool(args) as ioctx:
        return rbd.RBD().list(ioctx)


def image_info(args, _):
    """Size, snapshots, bytes used and clients that have each image open; images that are not there are left out."""
    found = {}
    with Pool(args) as ioctx:
        for name in args["names"]:
            try:
                with rbd.Image(ioctx, name, read_only=True) as image:
                    info = {"size": image.size(), "snapshots": [s["name"] for s in user_snapshots(image)]}
                    if args.get("used"):
                        info["used"] = used_bytes(image)
                    info["openBy"] = [w["addr"] for w in image.watchers_list()]
                    found[name] = info
            except rbd.ImageNotFound:
                pass
    return found


def used_bytes(image):
    total = 0

    def add(_offset, length, exists):
        nonlocal total
        total += length if exists else 0

    # Whole objects, from the object map: no data is read. The parent's bytes are the parent's.
    image.diff_iterate(0, image.size(), None, add, include_parent=False, whole_object=True)
    return total


def image_depths(args, _):
    """How many images each lies on."""
    found = {}
    with Pool(args) as ioctx:
        for name in args["names"]:
            try:
                depth, present = 0, name
                while depth < 64:
                    with rbd.Image(ioctx, present, read_only=True) as image:
                        try:
                            present = image.parent_info()[1]
                        except rbd.ImageNotFound:
                            break  # that is how the binding says that it has none
                    depth += 1
                found[name] = depth
            except rbd.ImageNotFound:
                pass
    return found


def image_flatten(args, progress):
    with Pool(args) as ioctx, rbd.Image(ioctx, args["name"]) as image:
        image.flatten(on_progress=progress)


def snapshot_create(args, _):
    with Pool(args) as ioctx, rbd.Image(ioctx, args["name"]) as image:
        image.create_snap(args["snapshot"])


def snapshot_remove(args, _):
    with Pool(args) as ioctx:
        ioctx.set_osdmap_full_try()
        with rbd.Image(ioctx, args["name"]) as image:
            image.remove_snap(args["snapshot"])


def snapshot_info(args, _):
    with Pool(args) as ioctx, rbd.Image(ioctx, args["name"], read_only=True) as image:
        return [{"name": s["name"], "size": s["size"]} for s in user_snapshots(image)]


def namespace_create(args, _):
    with Pool({"pool": args["pool"]}) as ioctx:
        rbd.RBD().namespace_create(ioctx, args["name"])


def pool_prepare(args, _):
    """Images are removed through the trash, whose object a full pool would not let be made."""
    with Pool(args) as ioctx, rados.WriteOpCtx() as op:
        op.new(rados.LIBRADOS_CREATE_IDEMPOTENT)
        ioctx.operate_write_op(op, "rbd_trash", flags=FULL_TRY)


def record_list(args, _):
    with Pool(args) as ioctx, rados.ReadOpCtx() as op:
        found, start = {}, ""
        while True:
            entries, _code = ioctx.get_omap_vals(op, start, "", 1000)
            try:
                ioctx.operate_read_op(op, args["object"])
            except rados.ObjectNotFound:
                return found
            page = {key: value.decode() for key, value in entries}
            found.update(page)
            if len(page) < 1000:
                return found
            start = max(page)


def record_set(args, _):
    with Pool(args) as ioctx, rados.WriteOpCtx() as op:
        ioctx.set_omap(op, (args["key"],), (args["value"].encode(),))
        ioctx.operate_write_op(op, args["object"])


def record_remove(args, _):
    with Pool(args) as ioctx, rados.WriteOpCtx() as op:
        ioctx.remove_omap_keys(op, (args["key"],))
        ioctx.operate_write_op(op, args["object"], flags=FULL_TRY)


NAMES = {}
TOUCH_SECONDS = 15


def names_of_groups(pool, groups):
    """An object name in every placement group of the pool; asked of the monitors once, for a name's group never changes."""
    if len(NAMES.get((pool, groups), {})) < groups:
        found, number = {}, 0
        while len(found) < groups and number < 200 * groups:
            name = "croft.touch.%d" % number
            number += 1
            answer = json.loads(command({"command": {"prefix": "osd map", "pool": pool, "object": name, "format": "json-pretty"}}, None))
            found.setdefault(answer["pgid"], name)
        NAMES[(pool, groups)] = found
    return NAMES[(pool, groups)].values()


def touch_groups(args, _):
    """Every operation carries our map's epoch, and a group answers only when it has that map itself."""
    names = [(pool["name"], list(names_of_groups(pool["name"], pool["groups"]))) for pool in args["pools"]]
    connected().wait_for_latest_osdmap()
    opened, pending, groups = [], [], 0
    try:
        for pool, objects in names:
            ioctx = connected().open_ioctx(pool)
            opened.append(ioctx)
            groups += len(objects)
            pending += [ioctx.aio_stat(name, lambda *_: None) for name in objects]
        deadline = time.monotonic() + TOUCH_SECONDS
        while time.monotonic() < deadline and not all(one.is_complete() for one in pending):
            time.sleep(0.01)
        # That there is no such object is an answer like any other.
        answered = sum(1 for one in pending if one.is_complete() and one.get_return_value() in (0, -errno.ENOENT))
        return {"groups": groups, "answered": answered}
    finally:
        for ioctx in opened:
            ioctx.close()


OPERATIONS = {
    "ping": lambda _args, _progress: "pong",
    "command": command,
    "image-create": image_create,
    "image-clone": image_clone,
    "image-resize": image_resize,
    "image-remove": image_remove,
    "image-list": image_list,
    "image-info": image_info,
    "image-depths": image_depths,
    "image-flatten": image_flatten,
    "snapshot-create": snapshot_create,
    "snapshot-remove": snapshot_remove,
    "snapshot-info": snapshot_info,
    "namespace-create": namespace_create,
    "pool-prepare": pool_prepare,
    "record-list": record_list,
    "record-set": record_set,
    "record-remove": record_remove,
    "touch-groups": touch_groups,
}


def number_of(error):
    # rados.Error and rbd.OSError carry errno, some of them negative.
    number = getattr(error, "errno", None)
    return abs(number) if isinstance(number, int) else errno.EIO


def serve(request):
    ident = request.get("id")
    try:
        def progress(done, total):
            say({"id": ident, "progress": [done, total]})
            return 0

        say({"id": ident, "result": OPERATIONS[request["op"]](request.get("args", {}), progress)})
    except Exception as error:  # whatever it is, the caller must hear of it
        name = errno.errorcode.get(number_of(error), "EIO")
        say({"id": ident, "error": {"errno": name, "message": str(error) or type(error).__name__}})


def main():
    # Pings are answered here, so that one tells whether the process lives also when all threads wait for Ceph.
    with concurrent.futures.ThreadPoolExecutor(max_workers=24) as threads:
        for line in sys.stdin:
            request = json.loads(line)
            if request["op"] == "ping":
                serve(request)
            else:
                threads.submit(serve, request)
        # Threads may wait for a cluster that never answers: no orderly end.
        os._exit(0)


main()
