"""Runs Python files in processes that have Prefect imported already.

Importing Prefect takes seconds and is the same every time. This program does it
once and then, per request, forks a child which becomes what `python FILE` in
the file's folder would have been. The parent imports nothing of the user's and
has one thread, so the child starts from a clean interpreter.

It is given to Python on standard input. Requests, each with the child's output
as a file descriptor, and answers are JSON packets on descriptor 3:

    -> {"id", "folder", "name", "env", "path"}    run a file; its output is attached
    <- {"id", "pid"}                              it runs, as the leader of a group
    <- {"id", "fresh"}                            it must run in a fresh process, and why
    <- {"id", "exit"}                             it ended and waits to be reaped
    -> {"reap"}                                   its group is killed: let go of its id

A request may also have "source", which is run with "argv" in the place of the
file, and "collect", whose "program" runs in the child before the file.

The other side's end is the end of this program and of all its children.

Where a file needs a process of its own, and something is to happen in it before
the file does, the request is put in front of this text as REQUEST.
"""

import sys

started = set(sys.modules)

import array
import atexit
import builtins
import gc
import importlib.machinery
import json
import os
import select
import signal
import socket
import types


def leave():
    """Ends a child without Python's taking all of Prefect apart, which takes a
    quarter of a child's time, for memory that is the parent's anyway. What is
    the file's own goes as ever, so that what it wrote is written."""
    if exit_code is None:
        return
    installed = (sys.prefix + os.sep, sys.base_prefix + os.sep)
    for name in set(sys.modules) - before_file | {"__main__"}:
        module = sys.modules[name]
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and not os.path.abspath(file).startswith(installed):
            module.__dict__.clear()
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(exit_code)


exit_code = None  # of a child that may leave so
before_file = set()  # the modules that were there before the file
atexit.register(leave)  # who registers first is called last

try:
    import ctypes

    prctl = ctypes.CDLL(None).prctl
except Exception:  # a Python without ctypes: then the group kill has to do
    prctl = None

PR_SET_PDEATHSIG = 1


def preload():
    """Imports Prefect and returns its version; an environment may have none."""
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    # The environment is Orion's: leave compiled files in it for every later
    # process, even where the user asks for none beside the user's own files.
    wanted, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        import prefect

        return prefect.__version__
    except ImportError:
        return ""
    finally:
        sys.dont_write_bytecode = wanted


def shadowed(folders, loaded):
    """Names a module in folders that would have been imported instead of one
    that is loaded: by hand, a script's own folder comes first."""
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            module = name.split(".")[0]
            if module not in loaded or module in sys.builtin_module_names:
                continue
            if name.endswith((".py", ".pyc", ".so")) or os.path.exists(os.path.join(folder, name, "__init__.py")):
                return name
    return ""


def forget(folders):
    """Lets go of modules that this program imported and the file has its own of."""
    while True:
        loaded = {name.split(".")[0] for name in set(sys.modules) - started}
        module = shadowed(folders, loaded).split(".")[0]
        if not module:
            return
        for name in list(sys.modules):
            if name == module or name.startswith(module + "."):
                del sys.modules[name]


def why_fresh(request, version, loaded):
    """Says why a child of ours would not equal a fresh process; "" if it would."""
    folder = request["folder"]
    relative = [os.path.join(folder, p) for p in request["path"] if not os.path.isabs(p)]
    name = shadowed([folder] + relative, loaded)
    if name:
        return name + " hides a module that Prefect imports"
    if version.split(".")[0].isdigit() and int(version.split(".")[0]) >= 3:
        # From 3 on Prefect takes settings from the folder it is imported in.
        for name in (".env", "prefect.toml", "pyproject.toml"):
            if os.path.exists(os.path.join(folder, name)):
                return name + " may hold settings of Prefect"
    return ""


def descendants(top):
    """Lists the children of a process, their children and so on, the deepest
    last: also those that left the group."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/" + name + "/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(name))
    found = [top]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


class Server:
    def __init__(self, version):
        self.control = socket.socket(fileno=3)
        self.control.set_inheritable(False)
        self.version = version
        self.loaded = {name.split(".")[0] for name in sys.modules} - {"__main__"}
        self.children = {}  # process id: request id, until reaped
        self.ended = set()
        self.wake, wake_end = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_end, False)
        self.wake_end = wake_end
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Sent when the other side dies. We see that ourselves, and tidy up first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def send(self, **message):
        try:
            self.control.send(json.dumps(message).encode())
        except OSError:
            self.quit()

    def quit(self):
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        for pid in self.children:
            try:
                os.killpg(pid, signal.SIGKILL)
            except OSError:
                pass
        os._exit(0)

    def serve(self):
        """Returns in each child, with its request; never in the parent."""
        self.send(ready=self.version)
        while True:
            readable = select.select([self.control, self.wake], [], [])[0]
            if self.wake in readable:
                os.read(self.wake, 4096)
                self.report()
            if self.control not in readable:
                continue
            message, files = self.receive()
            if "reap" in message:
                self.reap(message["reap"])
            elif self.start(message, files):
                return message

    def receive(self):
        space = socket.CMSG_SPACE(array.array("i").itemsize)
        data, extra, _, _ = self.control.recvmsg(1 << 20, space, socket.MSG_CMSG_CLOEXEC)
        if not data:
            self.quit()
        files = array.array("i")
        for _, _, raw in extra:
            files.frombytes(raw[: len(raw) - len(raw) % files.itemsize])
        return json.loads(data.decode()), list(files)

    def start(self, request, files):
        """Forks; true in the child."""
        output = files[0]
        why = why_fresh(request, self.version, self.loaded)
        if why:
            os.close(output)
            self.send(id=request["id"], fresh=why)
            return False
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(output)
            self.send(id=request["id"], fresh=str(error))
            return False
        if pid == 0:
            self.become_child(parent, output)
            return True
        os.close(output)
        try:
            os.setpgid(pid, pid)  # both sides do: neither knows who is first
        except OSError:
            pass
        self.children[pid] = request["id"]
        self.send(id=request["id"], pid=pid)
        return False

    def become_child(self, parent, output):
        os.setpgid(0, 0)
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for fd in (null, output, self.wake, self.wake_end):
            os.close(fd)
        self.control.close()

    def report(self):
        for pid, request in self.children.items():
            if pid in self.ended:
                continue
            # Not reaped yet: while it is a zombie its id, which is its group's,
            # cannot come to mean another process.
            info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if info is None:
                continue
            self.ended.add(pid)
            code = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
            self.send(id=request, exit=code)

    def reap(self, pid):
        os.waitpid(pid, 0)
        self.children.pop(pid, None)
        self.ended.discard(pid)


def run(request):
    """Becomes `python NAME` in the request's folder."""
    os.chdir(request["folder"])
    os.environ.update(request["env"])
    name = request["name"]
    path = name
    if sys.version_info >= (3, 9):
        path = os.path.join(os.getcwd(), name)
    source = request.get("source")
    sys.argv[:] = request.get("argv") or [name]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = [sys.orig_argv[0]] + sys.argv
    first = [os.path.abspath(p) for p in request["path"]]
    rest = [p for p in sys.path if p not in first]
    sys.path[:] = list(dict.fromkeys(first)) + rest
    if not source and not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(os.path.realpath(name)))
    if "collect" in request:
        exec(compile(request["collect"]["program"], "<collect>", "exec"), {"__name__": "collect", "request": request})
        if "REQUEST" in globals():
            forget([request["folder"]] + first)

    main = types.ModuleType("__main__")
    main.__file__ = path
    main.__builtins__ = builtins
    main.__cached__ = None
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    global exit_code
    before_file.update(sys.modules)
    try:
        if not source:
            with open(name, "rb") as file:
                source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
        exit_code = 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            exit_code = (end.code or 0) & 0xFF
        raise
    except BaseException as error:
        # The traceback begins in the user's file, not in this one.
        trace = error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)


if "REQUEST" in globals():
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    request = json.loads(REQUEST)  # noqa: F821
    run(request)
else:
    gc.disable()  # an import makes little garbage, and the collector looks through all of it again and again
    server = Server(preload())
    gc.freeze()  # keeps the collector from touching, and so copying, shared pages
    gc.enable()
    run(server.serve())
