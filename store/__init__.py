"""The table of images in LanceDB: no torch, no BentoML.

- The front door: `index`, whose reading half is `reader`; `schemas`, `errors`, `settings`.
- Metadata: `metadata` (keys to columns), `values` (types), `rows` (to Arrow and back).
- Filters: `filters`, `predicates`, `literals`.
- Searching: `search`, `view`, `nearest`, `distances`, `matching`, `newest`, `fusion`, `cutoff`,
  `sampling`. What a request sees: `snapshot`, of which `snapshots` is the latest; `held` in memory,
  `vector_files` on the disk.
- Facets and files of pictures: `facets`, `pictures`, `picture_reads`, `sweeping`.
- Writing: `writer` (group commit), `operations`, `plan`, `commit`, `lock`, `durable`, `space`.
- What goes wrong: `faults` (LanceDB's words to errors), `folder`, `acknowledged`, `damage`,
  `integrity` (asked at opening), `repair`.
- Upkeep: `upkeep` (when), `chores` (what), `compaction`, `vector_index`, `scalar_indexes`,
  `folding`, `retention`, `recall`, `reports`; `state` describes the table, and an `observer` is
  told of commits and upkeep.
- The table itself: `engine` (LanceDB), `dataset` (pylance), `tables` (which one), `versions`
  (going back).
- Another model: `reembed`, `rebuild`, `differences`, `carrying`, `switching`, `kept`, `attempts`.
"""
