"""The LanceDB table: opening, schema, versions, faults."""
