"""How each organisation's papers look, in PDF and in DOCX."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    organisation: str
    regular: str  # base-14 names, for PDF
    bold: str
    italic: str
    body_size: float
    leading: float
    accent: str  # RRGGBB
    tint: str  # table header and call-out background
    word_body_font: str
    word_heading_font: str


THEMES = {
    "st-brannoc": Theme("St Brannoc Hospital", "Helvetica", "Helvetica-Bold", "Helvetica-Oblique",
                        9.8, 12.7, "0B6B6B", "E6F1F0", "Arial", "Arial"),
    "calder-rowe": Theme("Calder & Rowe LLP", "Times-Roman", "Times-Bold", "Times-Italic",
                         11.0, 14.2, "5B1A2B", "F3EBE0", "Times New Roman", "Georgia"),
    "brightwave": Theme("Brightwave Marketing", "Helvetica", "Helvetica-Bold", "Helvetica-Oblique",
                        10.0, 14.2, "D93A2B", "F4F0F6", "Calibri", "Calibri"),
}
