"""delta-rs, DuckDB and Polars as readers of Delta tables, and delta-rs as a writer of them."""

import json
import os

import duckdb
import polars
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake
from deltalake.table import TableFeatures
from duckdb_extensions import import_extension

import blocks
import wire


class DeltaRS:
    def __init__(self, options):
        self.options = options.get("storage")

    def table(self, table):
        return DeltaTable(table, storage_options=self.options)

    def open(self, table):
        opened = self.table(table)
        return {"Version": opened.version(), "Files": len(opened.file_uris())}

    def query(self, table, sql):
        return pa.table(QueryBuilder().register("t", self.table(table)).execute(sql).read_all())


class DuckDB:
    def __init__(self, options):
        self.connection = duckdb.connect()
        for name in ["delta", "azure"]:
            import_extension(name)
            self.connection.execute("LOAD " + name)
        if "connection_string" in options:
            os.environ["AZURITE_BLOB_STORAGE_URL"] = options["emulator"]  # the extension knows one port otherwise
            self.connection.execute("CREATE SECRET (TYPE azure, CONNECTION_STRING '" + options["connection_string"] + "')")

    def open(self, table):
        self.connection.execute(f"SELECT * FROM delta_scan('{table}') LIMIT 0").fetchall()
        return {}

    def query(self, table, sql):
        return self.connection.execute(sql.replace(" t", f" delta_scan('{table}') t", 1)).to_arrow_table()


class Polars:
    def __init__(self, options):
        self.options = options.get("storage")

    def open(self, table):
        polars.scan_delta(table, storage_options=self.options).collect_schema()
        return {}

    def query(self, table, sql):
        frame = polars.scan_delta(table, storage_options=self.options)
        return polars.SQLContext(t=frame).execute(sql).collect().to_arrow()


READERS = {"delta-rs": DeltaRS, "DuckDB": DuckDB, "Polars": Polars}
OPENED = {}  # a DuckDB takes a third of a second to load its extensions


def reader_of(name, options):
    key = (name, json.dumps(options, sort_keys=True))
    if key not in OPENED:
        OPENED[key] = READERS[name](options)
    return OPENED[key]


def rows(reader, table, order, out, options):
    return wire.write_rows(reader_of(reader, options).query(table, "SELECT * FROM t"), order, out)


def count(reader, table, where, options):
    found = reader_of(reader, options).query(table, "SELECT count(*) AS n FROM t WHERE " + where)
    return found.column(0)[0].as_py()


def duplicates(reader, table, columns, options):
    """Rows beyond the first of those that are equal in these columns."""
    key = ", ".join('"' + name + '"' for name in columns)
    found = reader_of(reader, options).query(table, f"SELECT {key}, count(*) AS n FROM t GROUP BY {key}")
    return sum(n - 1 for n in found.column("n").to_pylist())


def open_(reader, table, options):
    return reader_of(reader, options).open(table)


def transactions(table, apps, options):
    opened = DeltaRS(options).table(table)
    return {app: opened.transaction_version(app) for app in apps}


def history(table, options):
    return [{"version": one["version"], "operation": one["operation"]} for one in DeltaRS(options).table(table).history()]


def vacuum(table, options):
    """What delta-rs would remove."""
    return DeltaRS(options).table(table).vacuum(dry_run=True)


def sample(first, n, part):
    return pa.table({
        "id": pa.array(range(first, first + n), pa.int64()),
        "part": pa.array([part] * n, pa.string()),
        "text": pa.array([None if i % 5 == 0 else f"t {i} ä%/" for i in range(first, first + n)], pa.string()),
    })


def write(table):
    """A table with all that delta-rs does at reader 1, writer 2; answers what it holds after each version."""
    versions = []

    def note():
        opened = DeltaTable(table)
        actions = pa.table(opened.get_add_actions(flatten=True))
        versions.append({
            "Version": opened.version(),
            "Paths": sorted(actions.column("path").to_pylist()),
            "Rows": sum(actions.column("num_records").to_pylist()),
            "Txn": opened.transaction_version("app"),
        })

    for i, part in enumerate(["plain", "with space", "ä%2F:=+&", "plain"]):
        write_deltalake(
            table, sample(100 * i, 40, part), mode="append", partition_by=["part"], name="sample", description="of delta-rs",
            configuration={"delta.checkpointInterval": "1000"} if i == 0 else None,
            commit_properties=CommitProperties(app_transactions=[Transaction("app", 10 + i)]),
        )
        note()
    DeltaTable(table).delete("id % 2 = 0 AND part = 'plain'")
    note()
    DeltaTable(table).create_checkpoint()
    write_deltalake(table, sample(1000, 5, "plain"), mode="append")
    note()
    DeltaTable(table).optimize.compact()
    note()
    write_deltalake(table, sample(2000, 7, "new"), mode="overwrite", predicate="part = 'new'")
    note()
    return versions


def raise_protocol(table, feature):
    opened = DeltaTable(table)
    opened.alter.add_feature(getattr(TableFeatures, feature), allow_protocol_versions_increase=True)
    return {"Reader": opened.protocol().min_reader_version, "Writer": opened.protocol().min_writer_version}


def restore(table, version):
    DeltaTable(table).restore(version, protocol_downgrade_allowed=True)
    protocol = DeltaTable(table).protocol()
    return {"Reader": protocol.min_reader_version, "Writer": protocol.min_writer_version}


def block(**asked):
    for name in ["delta", "azure"]:
        import_extension(name)  # so that a block's INSTALL finds it
    blocks.block(**asked)


wire.serve({
    "rows": rows, "count": count, "duplicates": duplicates, "open": open_, "transactions": transactions, "history": history, "vacuum": vacuum,
    "write": write, "raise": raise_protocol, "restore": restore, "block": block, "found": blocks.found,
})
