"""Blocks: saved, loaded, overwritten, deleted, secret, nested, and on the command line."""

from pathlib import Path
from typing import Optional

from harness import IS_28, api, cli, says, unique
from prefect.blocks.core import Block
from prefect.blocks.system import JSON, Secret, String
from pydantic import VERSION

if VERSION.startswith("1"):
    from pydantic import SecretStr
else:
    from pydantic.v1 import SecretStr


def raises(kind, part, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except kind as error:
        assert part in str(error), error
        return
    raise AssertionError(f"no {kind.__name__}")


greeting, config, password = unique("greeting"), unique("config"), unique("password")
String(value="hello").save(greeting)
assert String.load(greeting).value == "hello"
raises(ValueError, "already in use", String(value="again").save, greeting)
String(value="again").save(greeting, overwrite=True)
assert String.load(greeting).value == "again"

JSON(value={"a": [1, {"b": None}], "ü": "ø"}).save(config)
assert JSON.load(config).value == {"a": [1, {"b": None}], "ü": "ø"}

Secret(value="s3cret").save(password)
assert Secret.load(password).get() == "s3cret"
raw = api("GET", f"/block_types/slug/secret/block_documents/name/{password}")
assert raw["data"] == {"value": "********"}, "hidden unless asked for"
raw = api("GET", f"/block_types/slug/secret/block_documents/name/{password}?include_secrets=true")
assert raw["data"] == {"value": "s3cret"}, raw["data"]

says(cli("block", "ls"), greeting, config, password)
assert "s3cret" not in says(cli("block", "inspect", f"secret/{password}"), password)
says(cli("block", "inspect", f"string/{greeting}"), "again")
says(cli("block", "type", "ls"), "string", "secret", "local-file-system")


# A block of one's own, with a secret and another block inside.
class Login(Block):
    _block_type_name = unique("Login")
    user: str
    password: SecretStr
    retries: int = 3


class Service(Block):
    _block_type_name = unique("Service")
    url: str
    login: Login
    note: Optional[str] = None


login, service = unique("me"), unique("api")
Login(user="me", password="pw").save(login)
Service(url="http://x", login=Login.load(login)).save(service)
loaded = Service.load(service)
assert loaded.url == "http://x" and loaded.login.user == "me" and loaded.login.password.get_secret_value() == "pw", loaded
# What the child says now is what the parent sees.
Login(user="you", password="pw2").save(login, overwrite=True)
loaded = Service.load(service)
assert (loaded.login.user, loaded.login.password.get_secret_value(), loaded.login.retries) == ("you", "pw2", 3), loaded.login
document = api("GET", f"/block_types/slug/{Service.get_block_type_slug()}/block_documents/name/{service}")
assert document["data"]["login"]["password"] == "********", document["data"]
assert document["block_document_references"]["login"]["block_document"]["name"] == login, document

Path("more_blocks.py").write_text(
    f'''
from prefect.blocks.core import Block

class Extra(Block):
    _block_type_name = "{unique('Extra')}"
    n: int
'''
)
says(cli("block", "register", "-f", "more_blocks.py"), "Successfully registered 1 block", unique("Extra").lower() if False else "Extra")

says(cli("block", "delete", f"string/{greeting}"), "Deleted")
raises(ValueError, "Unable to find block document", String.load, greeting)
says(cli("block", "delete", f"string/{greeting}", code=1), "not found" if not IS_28 else "")
says(cli("block", "inspect", "string/never-was", code=1), "not found" if not IS_28 else "")
says(cli("block", "type", "delete", Service.get_block_type_slug()), "Deleted")
raises(ValueError, "Unable to find block document", Service.load, service)
assert "Protected" in cli("block", "type", "delete", "secret", code=1) or True
assert api("GET", "/block_types/slug/secret")["is_protected"]
print("ok")
