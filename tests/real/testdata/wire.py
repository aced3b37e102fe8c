"""One JSON line in, one out: {"do": verb, ...} and {"Result": ..., "Seconds": ...} or {"Error": ...}."""

import json
import sys
import time
import traceback

import pyarrow as pa
import pyarrow.compute as pc


def serve(verbs):
    out = sys.stdout
    sys.stdout = sys.stderr  # libraries print
    for line in sys.stdin:
        request = json.loads(line)
        began = time.perf_counter()
        try:
            answer = {"Result": verbs[request.pop("do")](**request)}
        except BaseException as error:
            traceback.print_exc(file=sys.stderr)
            answer = {"Error": f"{type(error).__name__}: {error}".split("\n\tat ")[0]}
        answer["Seconds"] = time.perf_counter() - began
        out.write(json.dumps(answer) + "\n")
        out.flush()


def name_of(kind):
    """A column's type in Delta's words, from an Arrow type of any width or encoding."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_int64(kind):
        return "long"
    if pa.types.is_int32(kind):
        return "integer"
    if pa.types.is_date32(kind):
        return "date"
    if pa.types.is_timestamp(kind) and kind.unit == "us" and kind.tz is not None:
        return "timestamp"
    return str(kind)


def write_rows(table, order, path):
    """Rows as JSON lines: timestamps as microseconds since 1970, dates as text, all else as it is."""
    views = pa.schema([field.with_type(pa.string()) if name_of(field.type) == "string" else field for field in table.schema])
    table = table.cast(views).sort_by([(name, "ascending") for name in order])
    columns = {}
    for field in table.schema:
        column = table.column(field.name)
        if pa.types.is_timestamp(field.type):
            column = pc.cast(column, pa.int64()) if field.type.unit == "us" else column
        elif pa.types.is_date(field.type):
            column = pc.cast(column, pa.string())
        columns[field.name] = column.to_pylist()
    with open(path, "w", encoding="utf-8") as file:
        for row in zip(*columns.values()):
            file.write(json.dumps(dict(zip(columns, row)), ensure_ascii=False, default=repr) + "\n")
    return {"Schema": [[field.name, name_of(field.type)] for field in table.schema], "Rows": table.num_rows}
