"""The product's mark: three spans under one roof, as SVG, legible on light and dark alike."""

from __future__ import annotations

_SIGN = """<path d="M2 13 L14 3 L26 13" fill="none" stroke="#4484DD" stroke-width="2.6"
 stroke-linecap="round" stroke-linejoin="round"/>
<rect x="5" y="14.5" width="18" height="3" rx="1.5" fill="#8B6BD6"/>
<rect x="5" y="19" width="9" height="3" rx="1.5" fill="#4484DD"/>
<rect x="12" y="23.5" width="11" height="3" rx="1.5" fill="#159E86"/>"""
MARK = f"""<svg xmlns="http://www.w3.org/2000/svg" width="150" height="28" viewBox="0 0 150 28">
{_SIGN}
<text x="35" y="20.5" font-family="system-ui, 'Source Sans', sans-serif" font-size="17" font-weight="650"
 fill="#4484DD">Spanhouse</text>
</svg>"""
ICON = f"""<svg xmlns="http://www.w3.org/2000/svg" width="28" height="28" viewBox="0 0 28 28">{_SIGN}</svg>"""
