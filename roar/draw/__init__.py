"""Pictures of a lineage graph: pure layout, no records and no terminal."""
