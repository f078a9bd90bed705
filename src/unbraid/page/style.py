"""How the page looks: system fonts, the colours of the plots, and a layout that holds on a phone."""

from gradio.themes import Base, Font, sizes
from gradio.themes.utils.colors import Color

from unbraid.plots.style import DYNAMIC, STATIC

__all__ = ["CSS", "HEAD", "page_theme"]

COOL = Color("#f1f6f9", "#dfebf1", "#c2d9e4", "#95bed0", "#5f9cb6", DYNAMIC, "#216079", "#1c4f63", "#173f50", "#12313e", "#0c222b")  # fmt: skip
GREY = Color("#fafbfb", "#f3f4f6", "#e6e8eb", "#d5d9de", "#9aa3ad", "#6b7280", "#4b525c", "#363c44", "#262b31", "#1b1f24", "#121519")  # fmt: skip


def page_theme() -> Base:
    """The theme: nothing in it is fetched from elsewhere."""
    return Base(
        primary_hue=COOL,
        neutral_hue=GREY,
        radius_size=sizes.radius_md,
        font=[Font("system-ui"), Font("-apple-system"), Font("Segoe UI"), Font("sans-serif")],
        font_mono=[Font("ui-monospace"), Font("Menlo"), Font("Consolas"), Font("monospace")],
    ).set(
        body_background_fill="*neutral_50",
        block_border_width="0px",
        block_shadow="none",
        button_primary_background_fill="*primary_500",
        button_primary_background_fill_hover="*primary_600",
        button_primary_text_color="white",
        slider_color="*primary_500",
    )


HEAD = '<meta name="referrer" content="no-referrer">'

CSS = f"""
.gradio-container {{ max-width: 66rem !important; margin: 0 auto !important; padding: 1.2rem 1rem 4rem !important; }}
.gradio-container header h1 {{ font-size: 2rem; font-weight: 700; letter-spacing: -.02em; margin: 0 0 .2rem; }}
.gradio-container header p {{ font-size: 1.05rem; margin: 0; max-width: 46rem; }}
.gradio-container h2 {{ font-size: 1.25rem; margin: 1.2rem 0 .3rem; }}
.gradio-container h3 {{ font-size: 1rem; margin: .4rem 0 .3rem; }}
.gradio-container .static {{ color: {STATIC}; }}
.gradio-container .dynamic {{ color: {DYNAMIC}; }}
.gradio-container .lead {{ max-width: 46rem; margin: .2rem 0; }}
.gradio-container .quiet, .gradio-container .hint, .gradio-container .remark {{
  color: var(--body-text-color-subdued); max-width: 46rem; margin: .2rem 0; }}
.gradio-container .warning {{ color: #a63d21; background: #fdf1ed; border-radius: 8px; padding: .7rem .9rem; margin: .3rem 0;
  overflow-wrap: anywhere; }}
.gradio-container .caption {{ text-align: center; font-size: .92rem; margin: .4rem 0 0; overflow-wrap: anywhere; }}
.card {{ background: var(--background-fill-primary); border: 1px solid var(--border-color-primary); border-radius: 12px;
  padding: .8rem !important; gap: .6rem !important; }}
.badge {{ display: inline-block; width: 1.7rem; line-height: 1.7rem; border-radius: 50%; text-align: center; color: white;
  font-weight: 700; background: #4b525c; }}
.choosers, .results {{ gap: .9rem !important; flex-wrap: wrap; }}
.results.single {{ max-width: 24rem; margin: 0 auto; }}
.cell img {{ width: 100%; height: auto !important; object-fit: contain; border-radius: 8px; background: white; }}
.cell .frames img {{ image-rendering: pixelated; }}
.choosers .cell, .results .cell {{ gap: .3rem !important; }}
.download {{ max-width: 9rem; margin: 0 auto; }}
.buttons {{ gap: .5rem !important; flex-wrap: nowrap !important; }}
.map img {{ cursor: crosshair; width: 100%; border-radius: 8px; background: white; }}
.report table {{ border-collapse: collapse; font-size: .9rem; margin: .6rem 0 1rem; }}
.report .wide {{ overflow-x: auto; }}
.report th, .report td {{ text-align: left; padding: .32rem 1.1rem .32rem 0; border: 0; border-bottom: 1px solid
  var(--border-color-primary); font-variant-numeric: tabular-nums; vertical-align: top; }}
.report th {{ color: var(--body-text-color-subdued); font-weight: 600; }}
.report figure {{ margin: 0; overflow-x: auto; }}
.report figure img {{ max-width: 100%; height: auto; background: white; border-radius: 8px; }}
.report figcaption, .report .facts, .report p.caption {{ color: var(--body-text-color-subdued); font-size: .93rem;
  max-width: 46rem; text-align: left; }}
.report pre {{ background: var(--background-fill-secondary); padding: .8rem 1rem; border-radius: 8px; overflow-x: auto; }}
@media (max-width: 640px) {{
  .gradio-container {{ padding: .8rem .6rem 3rem !important; }}
  .choosers, .results {{ gap: .5rem !important; }}
  .card {{ padding: .5rem !important; }}
  .series-page .choosers > *, .series-page .results > * {{ min-width: 100% !important; }}
}}
"""
