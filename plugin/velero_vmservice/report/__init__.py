"""Show the report of a restore to people: one self-contained HTML page, made of a `core.report.Report` alone.

A layer of its own below the flows: a flow stores the page like any other document, so it must not reach up for it, and
the core stays free of templates. Nothing here knows a clock, a network or a cluster; the template and the style sheet
are part of the package and are read like its code.
"""
