"""Blocks of docs/analysts.md, run as they stand, in a namespace that lasts until a reader begins afresh."""

import os

import pyarrow as pa

import wire

NAMESPACES = {}


def block(reader, language, code, environment, fresh):
    """Runs a block. What SQL finds is in the variable `result`."""
    if fresh:
        NAMESPACES[reader] = {}
        for name in [name for name in os.environ if name.startswith(("ALMANAC_", "AZURE_"))]:
            del os.environ[name]
        os.environ.update(environment)
    space = NAMESPACES[reader]
    if language == "sql":
        space["result"] = space["db"].sql(code)
    else:
        exec(compile(code, f"docs/analysts.md, {reader}", "exec"), space)


def found(reader, variable, columns, out):
    """Writes some columns of what a block put into a variable."""
    return wire.write_rows(arrow(NAMESPACES[reader][variable], columns), columns, out)


def arrow(frame, columns):
    kind = type(frame).__module__.split(".")[0]
    if kind == "builtins":
        return pa.Table.from_pydict({name: [row[name] for row in frame] for name in columns})
    if kind in ("duckdb", "_duckdb"):
        frame = frame.to_arrow_table()
    elif kind == "polars":
        frame = frame.to_arrow()
    elif kind == "pandas":
        frame = pa.Table.from_pandas(frame, preserve_index=False)
    else:
        frame = frame.toArrow()
    return frame.select(columns)
