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
.gradio-container {{ width: 100% !important; max-width: 62rem !important; min-width: 0 !important; margin: 0 auto !important;
  padding: 1rem 1rem 4rem !important; box-sizing: border-box; }}
.gradio-container .main, .gradio-container .main .wrap, .gradio-container .contain {{ min-width: 0 !important;
  width: 100% !important; max-width: 100% !important; padding: 0 !important; }}
.gradio-container .html-container {{ padding: 0 !important; }}
.gradio-container header h1 {{ font-size: 2rem; font-weight: 700; letter-spacing: -.02em; margin: 0 0 .2rem; }}
.gradio-container header p {{ font-size: 1.05rem; margin: 0; max-width: 46rem; }}
.gradio-container h2 {{ font-size: 1.25rem; margin: .6rem 0 .3rem; }}
.gradio-container h3 {{ font-size: 1rem; margin: .4rem 0 .3rem; }}
.gradio-container .static {{ color: var(--static-code) !important; }}
.gradio-container .dynamic {{ color: var(--dynamic-code) !important; }}
.gradio-container {{ --static-code: {STATIC}; --dynamic-code: {DYNAMIC}; }}
.dark .gradio-container, .gradio-container.dark {{ --static-code: #e58a70; --dynamic-code: #7fb9d2; }}
.gradio-container .lead {{ max-width: 46rem; margin: .2rem 0; }}
.gradio-container .quiet, .gradio-container .hint, .gradio-container .remark {{
  color: var(--body-text-color-subdued); max-width: 46rem; margin: .2rem 0; }}
.gradio-container .warning {{ color: #a63d21; background: #fdf1ed; border-radius: 8px; padding: .7rem .9rem; margin: .3rem 0;
  overflow-wrap: anywhere; }}
.gradio-container .caption {{ text-align: center; font-size: .92rem; margin: .2rem 0 0; overflow-wrap: anywhere; }}
.card {{ position: relative; background: var(--background-fill-primary); border: 1px solid var(--border-color-primary);
  border-radius: 12px; padding: .7rem !important; gap: .6rem !important; }}
.badge-holder {{ position: absolute !important; top: -.6rem; left: -.4rem; width: auto !important; z-index: 3; }}
.badge {{ display: block; width: 1.8rem; line-height: 1.8rem; border-radius: 50%; text-align: center; color: white;
  font-weight: 700; background: #363c44; }}
.card input {{ text-overflow: ellipsis; }}
.card .secondary-wrap {{ min-width: 0 !important; }}
.card .icon-wrap {{ background: var(--input-background-fill); }}
.choosers, .results {{ gap: 1rem !important; flex-wrap: wrap; }}
.choosers {{ margin-top: .6rem; }}
.results .cell {{ flex: 1 1 calc(50% - 1rem) !important; gap: .3rem !important; }}
.of-frames .results.four .cell {{ flex-basis: calc(25% - 1rem) !important; }}
.results.single {{ max-width: 22rem; margin: 0 auto; }}
.of-series .results.single, .of-sound .results.single, .of-heat .results.single {{ max-width: 32rem; }}
.cell .image-container, .map .image-container {{ min-height: 0; }}
.cell img, .map img {{ width: 100%; height: auto !important; object-fit: contain; border-radius: 8px; background: white; }}
.cell .frames img {{ image-rendering: pixelated; }}
.cell .image-frame, .cell .image-container > button, .map .image-frame, .map .image-container > button {{ width: 100%; }}
.cell .block.frames {{ max-width: 20rem; width: 100%; margin: 0 auto; }}
.act {{ max-width: 20rem; width: 100%; margin: 0 auto; }}
.download {{ max-width: 10rem; width: 100%; margin: 0 auto; }}
.buttons {{ gap: .5rem !important; flex-wrap: nowrap !important; }}
.map img {{ cursor: crosshair; }}
.report table {{ border-collapse: collapse; border: 0 !important; font-size: .9rem; margin: .6rem 0 1rem; }}
.report tr, .report tbody {{ border: 0 !important; }}
.report .wide {{ overflow-x: auto; }}
.report th, .report td {{ text-align: left !important; padding: .32rem 1.1rem .32rem 0 !important; border: 0 !important;
  border-bottom: 1px solid var(--border-color-primary) !important; font-variant-numeric: tabular-nums; vertical-align: top;
  overflow-wrap: normal; }}
.report td:first-child {{ white-space: nowrap; }}
.report td:last-child {{ min-width: 11rem; overflow-wrap: anywhere; }}
.report th {{ color: var(--body-text-color-subdued); font-weight: 600; }}
.report figure {{ margin: 0; overflow-x: auto; }}
.report figure img {{ max-width: 100%; height: auto; background: white; border-radius: 8px; }}
.report figcaption, .report .facts, .report p.caption {{ color: var(--body-text-color-subdued); font-size: .93rem;
  max-width: 46rem; text-align: left; }}
.report pre {{ background: var(--background-fill-secondary); padding: .8rem 1rem; border-radius: 8px; overflow-x: auto; }}
@media (max-width: 640px) {{
  .gradio-container {{ padding: .7rem .7rem 3rem !important; }}
  .choosers, .results {{ gap: .6rem !important; }}
  .results .cell, .of-frames .results.four .cell {{ flex-basis: calc(50% - .6rem) !important; }}
  .report figure img {{ max-width: 44rem; }}
  .report table {{ font-size: .8rem; }}
  .report th, .report td {{ padding-right: .6rem !important; }}
  .report td:first-child {{ white-space: normal; }}
  .report td:last-child {{ min-width: 7rem; }}
  .of-series .cell, .of-series .choosers > *, .of-sound .cell, .of-sound .choosers > *, .of-heat .cell,
  .of-heat .choosers > * {{ flex-basis: 100% !important; min-width: 100% !important; }}
  .card {{ padding: .5rem !important; }}
}}
"""
