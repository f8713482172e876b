"""The table of images in LanceDB: no torch, no BentoML, and nobody else imports lancedb.

`index` is the front door; an arrow points to what a room stands on, all of them on `schemas`,
`settings` and `errors`:

- `write`: group commit of adds, changes and deletes -> snapshot
- `search`: by vector, text, filter; facets, near-duplicates -> pictures, snapshot
- `upkeep`: compaction, indexes, retention, in the background -> search
- `offline`: repair, export and re-embedding, beside a service or without one -> upkeep
- `pictures`: files beside the table: thumbnails, originals -> snapshot
- `snapshot`: the table at one version, the newest rows in memory -> table
- `table`: opening, schema, versions, faults; `table.disk`: locks, syncing, space -> metadata
- `metadata`: keys as typed columns, rows, filters
"""
