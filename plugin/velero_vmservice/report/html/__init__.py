"""The report as one self-contained HTML page, made of a `report.model.Report` alone."""
