"""Spark with Delta Lake, as a reader and a writer of Delta tables. One session answers everything."""

import glob
import os

from pyspark.sql import SparkSession

import blocks
import wire

JARS = [jar for jar in glob.glob(os.environ["SPARK_DELTA_JARS"] + "/*.jar") if os.path.basename(jar).startswith(("delta-", "unitycatalog-"))]

spark = (
    SparkSession.builder.master("local[2]").appName("almanac")
    .config("spark.jars", ",".join(JARS))
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.ui.enabled", "false").config("spark.driver.memory", "1g").config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1").config("spark.sql.shuffle.partitions", "2").config("spark.sql.session.timeZone", "UTC")
    .config("spark.databricks.delta.snapshotPartitions", "2").config("spark.sql.sources.parallelPartitionDiscovery.parallelism", "2")
    .config("spark.sql.warehouse.dir", os.environ["SPARK_LOCAL_DIRS"] + "/warehouse")
    .getOrCreate()
)


def rows(reader, table, order, out, options):
    return wire.write_rows(spark.read.format("delta").load(table).toArrow(), order, out)


def count(reader, table, where, options):
    return spark.read.format("delta").load(table).where(where).count()


def open_(reader, table, options):
    return {"Schema": spark.read.format("delta").load(table).schema.simpleString()}


def history(table, options):
    found = spark.sql(f"DESCRIBE HISTORY delta.`{table}`").select("version", "operation", "engineInfo").collect()
    return [{"version": one.version, "operation": one.operation, "engine": one.engineInfo} for one in found]


def detail(table):
    one = spark.sql(f"DESCRIBE DETAIL delta.`{table}`").collect()[0].asDict()
    return {name: one[name] for name in ["name", "description", "partitionColumns", "numFiles", "minReaderVersion", "minWriterVersion"]} | {
        "properties": dict(one["properties"])}


def vacuum(table, options):
    """What Spark would remove."""
    return [one[0] for one in spark.sql(f"VACUUM delta.`{table}` DRY RUN").collect()]


def write(table):
    """A table with all that Spark does at reader 1, writer 2; answers what it holds after each version."""
    versions = []

    def note():
        log = spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, table)
        snapshot = log.update(False, spark._jvm.scala.Option.empty(), spark._jvm.scala.Option.empty())
        versions.append({
            "Version": snapshot.version(),
            "Paths": sorted(one.path for one in spark.sql(f"SELECT DISTINCT input_file_name() AS path FROM delta.`{table}`").collect()),
            "Rows": spark.read.format("delta").load(table).count(),
            "Txn": None,
        })

    spark.sql(
        f"CREATE TABLE delta.`{table}` (id BIGINT, text STRING, part STRING) USING delta PARTITIONED BY (part) "
        "TBLPROPERTIES ('delta.minReaderVersion' = '1', 'delta.minWriterVersion' = '2', 'delta.checkpointInterval' = '4', "
        "'delta.enableDeletionVectors' = 'false')"
    )
    for i, part in enumerate(["plain", "with space", "ä%2F:=+&", "plain"]):
        frame = spark.range(100 * i, 100 * i + 40).selectExpr("id", "CASE WHEN id % 5 = 0 THEN NULL ELSE concat('t ', id) END AS text")
        frame.selectExpr("id", "text", f"'{part}' AS part").write.format("delta").mode("append").save(table)
        note()
    spark.sql(f"DELETE FROM delta.`{table}` WHERE id % 2 = 0 AND part = 'plain'")
    note()
    spark.sql(f"UPDATE delta.`{table}` SET text = 'x' WHERE id = 101")
    note()
    spark.sql(f"OPTIMIZE delta.`{table}`")
    note()
    return versions


def raise_protocol(table, feature):
    spark.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ({feature})")
    one = detail(table)
    return {"Reader": one["minReaderVersion"], "Writer": one["minWriterVersion"]}


def restore(table, version):
    spark.sql("SET spark.databricks.delta.restore.protocolDowngradeAllowed = true")
    spark.sql(f"RESTORE TABLE delta.`{table}` TO VERSION AS OF {version}")
    one = detail(table)
    return {"Reader": one["minReaderVersion"], "Writer": one["minWriterVersion"]}


wire.serve({
    "rows": rows, "count": count, "open": open_, "history": history, "detail": detail, "vacuum": vacuum,
    "write": write, "raise": raise_protocol, "restore": restore, "block": blocks.block, "found": blocks.found,
})
