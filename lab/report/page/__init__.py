"""The page: escaped markup, and one HTML file from an executed notebook."""

from lab.report.page.build import build_page, external_references
from lab.report.page.markup import Html

__all__ = ["Html", "build_page", "external_references"]
