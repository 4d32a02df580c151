"""From executed notebooks to the report: the graph of the series, pages, publishing."""
