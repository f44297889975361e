"""A figure that a notebook shows by itself, whether or not somebody typed `%matplotlib inline`."""

from __future__ import annotations

import base64
import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """Matplotlib's figure with a picture of itself."""

    def _repr_png_(self) -> bytes:
        """The bytes of a PNG; IPython asks for them where nothing was registered for Matplotlib's class."""
        content = io.BytesIO()
        FigureCanvasAgg(self).print_png(content)
        return content.getvalue()

    def in_html(self) -> str:
        """The picture as an HTML element that needs no other file."""
        return f'<img alt="" src="data:image/png;base64,{base64.b64encode(self._repr_png_()).decode()}">'
