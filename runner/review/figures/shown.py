"""A figure that a notebook shows by itself, and whose texts hold no secret however it is drawn."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from runner.record.redaction import redact

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase


class ShownFigure(Figure):
    """Matplotlib's figure with a picture of itself."""

    def draw(self, renderer: RendererBase) -> None:
        """Draw it with what every title, legend, label and tick says cleaned of secrets."""
        for axes in self.axes:
            for axis in (axes.xaxis, axes.yaxis):
                if isinstance(axis.get_major_formatter(), FuncFormatter):  # which words for ticks become
                    words = [label.get_text() for label in axis.get_ticklabels()]
                    if words != (clean := [redact(word) for word in words]):
                        axis.set_ticks(axis.get_ticklocs(), clean)
        for text in self.findobj(Text):
            if (said := text.get_text()) != redact(said):
                text.set_text(redact(said))
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """The bytes of a PNG; IPython asks for them where nothing was registered for Matplotlib's class."""
        content = io.BytesIO()
        FigureCanvasAgg(self).print_png(content)
        return content.getvalue()

    def in_html(self) -> str:
        """The picture as an HTML element that needs no other file."""
        return f'<img alt="" src="data:image/png;base64,{base64.b64encode(self._repr_png_()).decode()}">'
