"""Writes blocks.json and workers.json beside package block.

Run it with a Python that has prefect 2.20:

    python internal/block/gen/facts.py

What a client must find again is taken from the installed package: slugs, field
names and types, defaults, what is required or secret, capabilities, which block
may stand inside which, and the checksum by which that client recognises the
schema. Every sentence is ours: Prefect's descriptions, examples, logos and links
are left out, and so a checksum cannot be computed again from these fields.
"""

import json
import pathlib
import uuid

import prefect
import prefect.server.api.server  # registers every block of the package
from prefect.blocks.core import Block
from prefect.utilities.dispatch import get_registry_for_type

from sentences import BLOCKS, VARIABLES, WORKERS

OUT = pathlib.Path(__file__).parent.parent
PACKAGE = pathlib.Path(prefect.__file__).parent / "server"
PROTECTED = {"webhook", "json", "date-time", "secret", "local-file-system", "process"}


def facts(value):
    """The value without prose; a field that is called description stays."""
    if isinstance(value, dict):
        return {
            k: facts(v)
            for k, v in value.items()
            if not (k in ("description", "example", "examples") and not isinstance(v, dict))
        }
    if isinstance(value, list):
        return [facts(v) for v in value]
    return value


def blocks():
    core = []
    for cls in get_registry_for_type(Block).values():
        type_, schema = cls._to_block_type(), cls._to_block_schema(block_type_id=uuid.uuid4())
        core.append((type_.slug, type_.name, json.loads(schema.json())))
    data = json.loads((PACKAGE / "collection_blocks_data.json").read_text())
    for collection in data["collections"].values():
        for slug, b in collection["block_types"].items():
            core.append((slug, b["name"], b["block_schema"]))
    for slug, name, schema in sorted(core):
        yield {
            "slug": slug,
            "name": name,
            "description": BLOCKS.pop(slug),
            "protected": slug in PROTECTED,
            "version": schema["version"],
            "checksum": schema["checksum"],
            "capabilities": schema["capabilities"],
            "fields": facts(schema["fields"]),
        }


def workers():
    data = json.loads((PACKAGE / "api/collections_data/views/aggregate-worker-metadata.json").read_text())
    out = {}
    for collection, types in data.items():
        out[collection] = {}
        for type_, w in types.items():
            template = facts(w["default_base_job_configuration"])
            for name, field in template.get("variables", {}).get("properties", {}).items():
                if name in VARIABLES:
                    field["description"] = VARIABLES[name]
            out[collection][type_] = {
                "type": type_,
                "display_name": w["display_name"],
                "description": WORKERS.pop(type_),
                "install_command": w["install_command"],
                "documentation_url": "",
                "logo_url": "",
                "is_beta": w.get("is_beta", False),
                "default_base_job_configuration": template,
            }
    return out


def write(name, lines):
    text = "\n".join(lines) + "\n"
    (OUT / name).write_text(text)
    print(name, len(text))


dump = lambda v: json.dumps(v, separators=(",", ":"), ensure_ascii=False)
write("blocks.json", ["["] + [",\n".join(dump(b) for b in blocks())] + ["]"])
write("workers.json", [json.dumps(workers(), indent=1, ensure_ascii=False)])
assert not BLOCKS and not WORKERS, (BLOCKS, WORKERS)
