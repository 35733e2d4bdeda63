"""Tracing: start the tracer, read its report, decide what belongs to the record."""
