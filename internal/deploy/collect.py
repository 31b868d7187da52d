"""Keeps a deployment file from doing anything but talking to the API.

warm.py runs this before the file, in the process of the file. The API is
Orion's overlay, which records what is written; this takes care of the rest:

- uploads of code, to storage blocks and by push steps, become reports of what
  would be uploaded; images are not built, servers of runs not started;
- a flow may lie outside the file's folder, as far as Prefect lets it;
- at the end the process reports what it read: files, modules, variables.

Reports are JSON, posted to a URL one by one. `request` is the request of
warm.py; its "collect" holds root, report, api, run_scripts.

Nothing here may change what the file itself sees, and it must work in every
Prefect 2 and before Prefect is imported.
"""

import ast
import atexit
import functools
import hashlib
import http.client
import importlib.util
import inspect
import json
import os
import sys
import urllib.parse

ask = request["collect"]  # noqa: F821
root = os.path.realpath(ask["root"])
folder = os.path.realpath(request["folder"])  # noqa: F821
environ_get, lexists = type(os.environ).__getitem__, os.path.lexists


# Reports.

at = urllib.parse.urlsplit(ask["report"])
own = os.getpid()


def report(kind, **facts):
    """Posts one report; without its reader the whole process is pointless."""
    body = json.dumps(dict(facts, kind=kind), default=str).encode()
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
    try:
        connection.request("POST", at.path, body)
        connection.getresponse().read()
    finally:
        connection.close()


def warn(text):
    report("warning", text=text)


# Who is asking? What the repository's code does counts, what Prefect does by
# itself does not, and libraries and Python work for whoever called them.

installed = (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__))
prefixes = tuple({form(p) + os.sep for p in installed for form in (os.path.abspath, os.path.realpath)})
real_folders = {}


def real(path):
    """os.path.realpath, which looks at every folder on the way, but once."""
    top, name = os.path.split(path)
    if top not in real_folders:
        real_folders[top] = os.path.realpath(top)
    return os.path.join(real_folders[top], name)


def below_root(path):
    return (path == root or path.startswith(root + os.sep)) and not path.startswith(prefixes)


def in_repository(file):
    """Whether a module's file is the repository's; nearly all are installed."""
    return not file.startswith(prefixes) and below_root(real(file))


kinds = {}  # file name of code: "repository", "prefect", "import", ""


def kind_of(name):
    kind = kinds.get(name)
    if kind is None:
        if name.startswith("<frozen importlib") or os.sep + "importlib" + os.sep in name:
            kind = "import"
        elif os.sep + "prefect" + os.sep in name and os.sep + "site-packages" + os.sep in name:
            kind = "prefect"
        elif not name.startswith("<") and in_repository(name):
            kind = "repository"
        else:
            kind = ""
        kinds[name] = kind
    return kind


def asked_by_repository(frame):
    while frame is not None:
        kind = kind_of(frame.f_code.co_filename)
        if kind:
            return kind == "repository"
        frame = frame.f_back
    return False


# What is read.

opened, folders, sought, env = set(), set(), set(), {}
steady = True  # false when the outcome hangs on what cannot be listed


def note(path, into):
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if isinstance(path, str):
        path = os.path.abspath(path)
        if below_root(path):
            into.add(path)


watched = {
    "open", "os.listdir", "os.scandir", "import", "socket.connect",
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn",
}


def hook(event, args):
    global steady
    if event not in watched:
        return
    if event == "open":
        path, mode, flags = args
        written = flags & (os.O_WRONLY | os.O_RDWR) if isinstance(flags, int) else 0
        if not written and not (isinstance(mode, str) and set(mode) & set("wax")):
            note(path, opened)
    elif event in ("os.listdir", "os.scandir"):
        if asked_by_repository(sys._getframe(1)):
            note(args[0] if args[0] is not None else ".", folders)
    elif event == "import":
        frame = sys._getframe(1)
        while frame is not None and kind_of(frame.f_code.co_filename) == "import":
            frame = frame.f_back
        if frame is not None and kind_of(frame.f_code.co_filename) == "repository":
            sought.add(args[0])
    elif event != "socket.connect":
        if os.getpid() == own and asked_by_repository(sys._getframe(1)):
            steady = False
            command = args[0] if event != "os.spawn" else args[1]
            if event == "subprocess.Popen" and not command:
                command = args[1] if isinstance(args[1], str) else args[1][0]
            command = os.fsdecode(command).split()[0] if command else "a process"
            warn("it ran %s, which was not kept from doing what it does" % os.path.basename(command))
    else:
        address = args[1]
        if isinstance(address, tuple) and address[:2] != (at.hostname, at.port) and asked_by_repository(sys._getframe(1)):
            steady = False


# Set anew for every run, or by whoever starts it.
ours = {"PREFECT_API_URL", "PREFECT_API_KEY", "PWD", "VIRTUAL_ENV", "PATH", "PYTHONUNBUFFERED"}


def digest(value):
    return hashlib.sha256(os.fsencode(value)).hexdigest()


def getitem(self, key):
    """os.environ[key], noted."""
    try:
        value = environ_get(self, key)
    except KeyError:
        if self is os.environ and isinstance(key, str) and key not in ours and asked_by_repository(sys._getframe(1)):
            env.setdefault(key, "")
        raise
    if self is os.environ and key not in ours and asked_by_repository(sys._getframe(1)):
        env.setdefault(key, digest(value))
    return value


# Modules.


def file_of(module):
    """A module's file. Asked in the usual way, a module that waits to be loaded
    until it is used would take that for its use; Prefect has large ones."""
    try:
        file = object.__getattribute__(module, "__dict__").get("__file__")
    except AttributeError:
        return None
    return file if isinstance(file, str) else None


def source_of(path):
    """The source of a compiled file."""
    if os.path.basename(os.path.dirname(path)) == "__pycache__" and path.endswith(".pyc"):
        try:
            return importlib.util.source_from_cache(path)
        except ValueError:
            return os.path.dirname(os.path.dirname(path))
    return path


def search_path():
    """The folders that import looks in, made absolute; the file's own, too."""
    paths = [os.path.realpath(p or ".") for p in sys.path]
    if folder not in paths:
        paths.insert(0, folder)
    return list(dict.fromkeys(paths))


def candidates(name):
    parts = os.path.join(*name.split("."))
    return parts + ".py", os.path.join(parts, "__init__.py")


def locate(name, paths):
    """The file that `import name` leads to if it lies in the repository, and
    where below its folder of the path; else None."""
    loaded = sys.modules.get(name)
    if loaded is not None and name != "__main__":
        file = file_of(loaded)
        if not file or not in_repository(file):
            return None
        file = real(file)
        for candidate in candidates(name):
            if file.endswith(os.sep + candidate):
                return file, candidate
        return None
    top = name.split(".")[0]
    if top in sys.builtin_module_names or name == "__main__":
        return None
    for path in paths:
        for candidate in candidates(name):
            file = os.path.join(path, candidate)
            if os.path.isfile(file):
                return (file, candidate) if below_root(file) else None
        if not below_root(path) and any(lexists(os.path.join(path, top + end)) for end in ("", ".py")):
            return None
    return None


def imports(tree, package):
    """The names of all modules that a file may import, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".") if package else []
                if node.level > len(parents):
                    continue
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join(parents + ([base] if base else []))
            if base:
                yield base
            for alias in node.names:
                if alias.name != "*":
                    yield base + "." + alias.name if base else alias.name


def own_sources():
    """The Python files of the file's folder: all of them are in its bundle."""
    for top, names, files in os.walk(folder):
        names[:] = sorted(
            n for n in names
            if not n.startswith(".") and n not in ("__pycache__", "node_modules")
            and not lexists(os.path.join(top, n, "pyvenv.cfg"))
        )
        scanned.add(top)
        for name in files:
            if name.endswith(".py"):
                yield os.path.join(top, name)


scanned = set()
most_sources = 2000  # of one folder: somebody put the file into the root of a large repository


def modules():
    """Modules of the repository outside the folder, and all sources read."""
    paths = search_path()
    found, queue, seen = {}, [], set()

    def add(name, file, bundle, lazy):
        if file not in seen:
            seen.add(file)
            queue.append((name, file))
        if file.startswith(folder + os.sep) or file in found:
            return
        found[file] = {"name": name, "file": file, "bundle": bundle.replace(os.sep, "/"), "lazy": lazy}
        # Its packages are imported along with it.
        parts = name.split(".")
        for i in range(1, len(parts)):
            parent = locate(".".join(parts[:i]), paths)
            if parent is not None:
                add(".".join(parts[:i]), parent[0], parent[1], lazy)

    for name, module in list(sys.modules.items()):
        file = file_of(module)
        if name == "__main__" or not file or not in_repository(file):
            continue
        file = real(file)
        opened.add(file)
        place = locate(name, paths)
        if place is not None:
            add(name, place[0], place[1], False)
        elif not file.startswith(folder + os.sep):
            seen.add(file)
            queue.append(("", file))
    for i, file in enumerate(own_sources()):
        if i == most_sources:
            break
        if file not in seen:
            seen.add(file)
            rel = os.path.relpath(file, folder)[:-3].split(os.sep)
            queue.append((".".join(rel[:-1] if rel[-1] == "__init__" else rel), file))
    while queue:
        name, file = queue.pop()
        opened.add(file)
        try:
            with open(file, "rb") as source:
                tree = ast.parse(source.read())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        is_package = os.path.basename(file) == "__init__.py"
        package = name if is_package else name.rpartition(".")[0]
        for wanted in set(imports(tree, package)):
            place = locate(wanted, paths)
            if place is not None:
                add(wanted, place[0], place[1], wanted not in sys.modules)
    return sorted(found.values(), key=lambda m: m["file"])


def version_of_prefect():
    prefect = sys.modules.get("prefect")
    return getattr(prefect, "__version__", "") if prefect else ""


def finish():
    """The last report."""
    if os.getpid() != own:
        return  # a fork of the file's
    for path in touched:
        try:
            if os.path.getsize(path) == 0:
                os.remove(path)
        except OSError:
            pass
    found = modules()
    files, absent = set(), set()
    for path in {source_of(p) for p in opened}:
        if os.path.isfile(path):
            files.add(path)
        elif not lexists(path):
            absent.add(path)
    for name in sought:
        if name in sys.modules:
            continue
        for path in search_path():
            if below_root(path):
                absent.update(os.path.join(path, c) for c in candidates(name))
    absent = {p for p in absent if not lexists(p)}

    def rel(path):
        return os.path.relpath(path, root).replace(os.sep, "/")

    report(
        "inputs",
        files=sorted(map(rel, files)), absent=sorted(map(rel, absent)),
        folders=sorted(rel(p) for p in folders | scanned if os.path.isdir(p)),
        env=env, modules=[dict(m, file=rel(m["file"])) for m in found],
        python="%d.%d.%d" % sys.version_info[:3], prefect=version_of_prefect(), complete=steady,
    )


# What Prefect is kept from. Patches wait for the modules they belong to.

patches = {}


def patch(module):
    """Decorates a function that changes a module once it is there."""

    def decorate(function):
        patches.setdefault(module, []).append(function)
        return function

    return decorate


class Waiting:
    """A finder that finds nothing, but sees what others found executed."""

    def find_spec(self, name, path=None, target=None):
        if name not in patches:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        if spec.loader is not None and hasattr(spec.loader, "exec_module"):
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                for function in patches.pop(name, ()):
                    function(module)

            spec.loader.exec_module = exec_module
        return spec


def compatible(function):
    """Callable as Prefect's own: with and without await."""
    from prefect.utilities.asyncutils import sync_compatible

    return sync_compatible(function)


async def saved(storage):
    """The storage block's id; as Prefect does it, an unsaved one is saved."""
    if not storage._block_document_id:
        await storage._save(is_anonymous=True)
    return str(storage._block_document_id)


touched = set()


def patch_deployment(module):
    Deployment = module.Deployment
    build = Deployment.__dict__["build_from_flow"].__func__

    def build_from_flow(cls, flow, name, *args, **kwargs):
        if not kwargs.get("entrypoint"):
            entrypoint = outside_entrypoint(flow)
            if entrypoint:
                kwargs["entrypoint"] = entrypoint
        ignore = os.path.abspath(kwargs.get("ignore_file") or ".prefectignore")
        if not lexists(ignore):
            touched.add(ignore)  # Prefect makes an empty one
        return build(cls, flow, name, *args, **kwargs)

    build_from_flow.__doc__ = build.__doc__
    Deployment.build_from_flow = classmethod(build_from_flow)

    async def upload_to_storage(self, storage_block=None, ignore_file=".prefectignore"):
        if storage_block:
            self.storage = await module.Block.load(storage_block)
        if not self.storage:
            return None
        if "put-directory" not in self.storage.get_block_capabilities():
            raise module.BlockMissingCapabilities(
                f"Storage block {self.storage!r} missing 'put-directory' capability."
            )
        report(
            "upload", what="code", flow=self.flow_name, deployment=self.name,
            storage_id=await saved(self.storage), storage=self.storage.get_block_type_slug(),
            path=self.path or "", local_path=".", ignore_file=ignore_file or "", cwd=os.getcwd(),
        )
        return None

    upload_to_storage.__doc__ = Deployment.upload_to_storage.__doc__
    Deployment.upload_to_storage = compatible(upload_to_storage)


patch("prefect.deployments.deployments")(patch_deployment)


@patch("prefect.deployments")
def patch_old_deployment(module):
    if not hasattr(module, "__path__"):  # up to 2.9 it is one module
        patch_deployment(module)


def outside_entrypoint(flow):
    """The entrypoint of a flow that lies in the repository but not in the
    folder, where Prefect would give up: the place of its module in the bundle."""
    flow_file = getattr(flow, "__globals__", {}).get("__file__")
    name = getattr(flow, "__module__", None) or ""
    if not flow_file and name in sys.modules:
        flow_file = file_of(sys.modules[name])
    if not flow_file:
        return None
    file = os.path.realpath(flow_file)
    if (file + os.sep).startswith(os.path.realpath(".") + os.sep) or not below_root(file):
        return None
    place = locate(name, search_path())
    bundle = place[1] if place else os.path.basename(file)
    for path in search_path() if not place else ():
        if below_root(path) and file.startswith(path + os.sep):
            bundle = os.path.relpath(file, path)
            break
    return bundle.replace(os.sep, "/") + ":" + flow.fn.__name__


# Clients.


@patch("prefect.client.orchestration")
def patch_clients(module):
    """Each client that Prefect makes reads all certificates that there are, and
    a file makes several. They are the same each time."""
    if not hasattr(module, "ssl"):
        return  # an older release, which leaves it to httpx

    class SSL:
        create_default_context = staticmethod(functools.lru_cache(maxsize=None)(module.ssl.create_default_context))

        def __getattr__(self, name):
            return getattr(ssl, name)

    ssl, module.ssl = module.ssl, SSL()


# Storage blocks.

uploading = {
    "put_directory": "folder", "upload_from_folder": "folder",
    "write_path": "file", "upload_from_path": "file", "upload_from_file_object": "file",
}


def keep_from_uploading(cls):
    for name, what in uploading.items():
        function = cls.__dict__.get(name)
        if function is None or getattr(function, "__isabstractmethod__", False) or not callable(function):
            continue
        setattr(cls, name, instead_of(function, name, what))


def instead_of(function, name, what):
    signature = inspect.signature(function)

    async def upload(self, *args, **kwargs):
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        given = {k: v for k, v in given.arguments.items() if isinstance(v, (str, os.PathLike))}

        def first(*names):
            return next((str(given[n]) for n in names if given.get(n)), "")

        path = first("to_path", "to_folder", "path")
        report(
            "upload", what=what, storage_id=await saved(self), storage=self.get_block_type_slug(), path=path,
            local_path=first("local_path", "from_folder", "from_path"), ignore_file=first("ignore_file"), cwd=os.getcwd(),
        )
        return path if what == "file" else 0

    upload.__doc__ = function.__doc__
    upload.__name__ = name
    upload.__signature__ = signature
    return compatible(upload)


@patch("prefect.blocks.core")
def patch_blocks(module):
    Block = module.Block
    begin = Block.__dict__["__init_subclass__"].__func__

    def init_subclass(cls, **kwargs):
        begin(cls, **kwargs)
        keep_from_uploading(cls)

    Block.__init_subclass__ = classmethod(init_subclass)
    waiting = [Block]
    for cls in waiting:
        keep_from_uploading(cls)
        waiting += cls.__subclasses__()


# Images, and processes that serve runs.


@patch("prefect.deployments.runner")
def patch_images(module):
    for name in ("DeploymentImage", "DockerImage"):
        image = getattr(module, name, None)
        if image is not None and "build" in image.__dict__:
            image.build = lambda self: warn("would build image %s; it is not built" % self.reference)
            image.push = lambda self: warn("would push image %s; it is not pushed" % self.reference)


@patch("prefect.runner.runner")
def patch_runner(module):
    async def start(self, *args, **kwargs):
        warn("serves runs itself, for as long as it is left running; that was not started")

    start.__doc__ = module.Runner.start.__doc__
    module.Runner.start = compatible(start)


# Steps of prefect.yaml.

push_steps = {  # step: its input that names the place, as its output is called
    "prefect_azure.deployments.steps.push_to_azure_blob_storage": "container",
    "prefect_aws.deployments.steps.push_to_s3": "bucket",
    "prefect_gcp.deployments.steps.push_to_gcs": "bucket",
}


@patch("prefect.deployments.steps.core")
def patch_steps(module):
    run = module.run_step

    async def run_step(step, upstream_outputs=None):
        name, inputs = next(iter(step.items()))
        inputs = dict(inputs or {})
        inputs = module.apply_values(inputs, upstream_outputs or {})
        # The project steps of older releases have the same names elsewhere.
        known = push_steps.get(name.replace(".projects.", ".deployments."))
        if known:
            inputs = await module.resolve_variables(await module.resolve_block_document_references(inputs))
            report(
                "upload", what="step", storage=name, bucket=str(inputs.get(known) or ""), path=str(inputs.get("folder") or ""),
                local_path=".", ignore_file=str(inputs.get("ignore_file") or ".prefectignore"), cwd=os.getcwd(),
                credentials=inputs.get("credentials") or {}, client=inputs.get("client_parameters") or {},
            )
            return {known: inputs.get(known), "folder": inputs.get("folder")}
        last = name.rpartition(".")[2]
        if last == "run_shell_script" and ask.get("run_scripts"):
            return await run(step, upstream_outputs)
        if last in ("build_docker_image", "push_docker_image"):
            image = "%s:%s" % (inputs.get("image_name"), inputs.get("tag") or "latest")
            warn("would %s image %s; it is not done" % (last.partition("_")[0], image))
            return {"image_name": inputs.get("image_name"), "tag": inputs.get("tag") or "latest", "image": image}
        warn("the step %s is not known and was not run; what later steps take from it is missing" % name)
        return {}

    module.run_step = run_step


def point_at(api):
    """Prefect took its settings when it was imported, which in a warm
    interpreter was before this file had an API of its own."""
    context = sys.modules["prefect.context"]
    setting = sys.modules["prefect.settings"].PREFECT_API_URL
    current = context.get_settings_context()
    new = context.SettingsContext(
        profile=current.profile, settings=current.settings.copy_with_update(updates={setting: api})
    )
    new.__enter__()
    context.GLOBAL_SETTINGS_CONTEXT = new


def begin():
    os.environ["PREFECT_API_URL"] = ask["api"]
    if "prefect.context" in sys.modules:
        point_at(ask["api"])
    for name in list(patches):
        module = sys.modules.get(name)
        if module is not None:
            for function in patches.pop(name):
                function(module)
    sys.meta_path.insert(0, Waiting())
    atexit.register(finish)
    if request.get("name"):  # noqa: F821
        opened.add(os.path.join(folder, request["name"]))  # noqa: F821
    type(os.environ).__getitem__ = getitem
    if hasattr(sys, "addaudithook"):
        sys.addaudithook(hook)
    else:
        global steady
        steady = False


begin()
