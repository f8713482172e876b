"""The corpus: a module per kind, a row per case. To add a case, add a row."""

from tests.guard.case import Case
from tests.guard.tables import bodies, columns, files, filters, forged, keys, scopes
from tests.guard.tables.fetch import addresses, lookups, redirects, servers, tls, urls

TABLES: dict[str, list[Case]] = {
    "addresses": addresses.CASES,
    "names": lookups.CASES,
    "redirects": redirects.CASES,
    "urls": urls.CASES,
    "servers": servers.CASES,
    "TLS": tls.CASES,
    "files": files.CASES,
    "bodies": bodies.CASES,
    "filters": filters.CASES,
    "columns": columns.CASES,
    "forged": forged.CASES,
    "keys": keys.CASES,
    "scopes": scopes.CASES,
}
