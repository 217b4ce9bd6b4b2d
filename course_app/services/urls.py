"""Addresses of databases: the same server, another database; and without secrets, for messages."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit


def postgres_database(dsn: str) -> str:
    """The database name in a PostgreSQL URL."""
    return urlsplit(dsn).path.lstrip("/")


def postgres_url(parameters: dict[str, str], database: str) -> str:
    """A URL that psycopg and asyncpg both read, from libpq parameters and a database name."""
    rest = {name: value for name, value in parameters.items() if name != "dbname"}
    user, password = rest.pop("user", ""), rest.pop("password", "")
    host, port = rest.pop("host", ""), rest.pop("port", "")
    if host.startswith("/"):
        rest["host"], host = host, ""
    if ":" in host:
        host = f"[{host}]"
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    place = (f"{login}@" if login else "") + host + (f":{port}" if port else "")
    return urlunsplit(("postgresql", place, f"/{quote(database, safe='')}", urlencode(rest), ""))


def valkey_url(url: str, number: int) -> str:
    """The same server's database `number`."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "db"]
    path = f"/{number}"
    if parts.scheme == "unix":
        path, query = parts.path, [*query, ("db", str(number))]
    return f"{parts.scheme}://{parts.netloc}{path}" + (f"?{urlencode(query)}" if query else "")


def without_secrets(url: str) -> str:
    """Host, port and path of a URL, fit for a message."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path
