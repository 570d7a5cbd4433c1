"""The style of every view. Its rules apply below `.ax`, so that the console keeps its own style."""

from __future__ import annotations

from arena_exports_operator.page.markup import Markup

_LIGHT = """
color-scheme: light; --back: #ffffff; --card: #f6f8fa; --text: #1f2328; --quiet: #59636e;
--line: #d1d9e0; --link: #0550ae; --button: #0550ae; --on-button: #ffffff; --ok: #116329;
--waiting: #0550ae; --degraded: #7d4e00; --stalled: #a40e26; --on-word: #ffffff;
"""
_DARK = """
color-scheme: dark; --back: #0f1419; --card: #1a2129; --text: #e6edf3; --quiet: #a3adb8;
--line: #38424d; --link: #79c0ff; --button: #79c0ff; --on-button: #0f1419; --ok: #56d364;
--waiting: #79c0ff; --degraded: #e3b341; --stalled: #ff9492; --on-word: #0f1419;
"""
_RULES = """
body:has(> .ax) { margin: 0; }
body > .ax { min-height: 100vh; }
.ax { background: var(--back); color: var(--text); box-sizing: border-box;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.ax *, .ax *::before { box-sizing: border-box; }
.ax main { max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
.ax header { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: end;
  justify-content: space-between; margin-bottom: 1.5rem; }
.ax h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
.ax h2 { font-size: 1.125rem; line-height: 1.25; margin: 2rem 0 0.75rem; overflow-wrap: anywhere; }
.ax p { margin: 0.75rem 0; overflow-wrap: anywhere; }
.ax .note { color: var(--quiet); font-size: 0.875rem; }
.ax form, .ax .search { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: end; }
.ax label { flex-basis: 100%; font-size: 0.875rem; color: var(--quiet); }
.ax input { flex: 1 1 16rem; min-width: 0; font: inherit; color: inherit; background: var(--card);
  padding: 0.375rem 0.625rem; border: 1px solid var(--quiet); border-radius: 6px; }
.ax button { font: inherit; font-weight: 600; color: var(--on-button); background: var(--button);
  padding: 0.375rem 1rem; border: 1px solid var(--button); border-radius: 6px; cursor: pointer; }
.ax button.link { font-weight: inherit; color: var(--link); background: none; border: 0; padding: 0;
  text-decoration: underline; }
.ax button[hidden] { display: none; }
.ax a { color: var(--link); }
.ax :focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 4px; }
.ax .state { display: flex; flex-wrap: wrap; gap: 0.75rem 1.25rem; align-items: start;
  padding: 1.25rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.ax .word { margin: 0; padding: 0.25rem 0.875rem; border-radius: 6px; font-weight: 700;
  letter-spacing: 0.04em; color: var(--on-word); }
.ax .ok { background: var(--ok); } .ax .waiting { background: var(--waiting); }
.ax .degraded { background: var(--degraded); } .ax .stalled { background: var(--stalled); }
.ax ul { flex: 1 1 20rem; min-width: 0; margin: 0; padding: 0.25rem 0 0; list-style: none;
  overflow-wrap: anywhere; }
.ax li + li { margin-top: 0.375rem; color: var(--quiet); }
.ax code { font: 0.9375em ui-monospace, "DejaVu Sans Mono", monospace; }
.ax section + section { margin-top: 2rem; }
.ax dl { margin: 1rem 0; border: 1px solid var(--line); border-radius: 10px; }
.ax dl > div { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0.5rem 1.25rem; }
.ax dl > div + div { border-top: 1px solid var(--line); }
.ax dt { flex: 0 0 8rem; color: var(--quiet); }
.ax dd { flex: 1 1 16rem; min-width: 0; margin: 0; overflow-wrap: anywhere; }
.ax progress { display: block; width: 100%; height: 0.5rem; margin: 0.375rem 0;
  accent-color: var(--link); }
.ax .table { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; }
.ax table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
.ax th, .ax td { text-align: left; white-space: nowrap; padding: 0.5rem 0.625rem; }
.ax th:first-child, .ax td:first-child { padding-left: 1.25rem; }
.ax td:last-child:not(:empty) { white-space: normal; min-width: 11rem; }
.ax th { color: var(--quiet); font-weight: 600; }
.ax td { border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
"""
STYLE = Markup(
    f".ax {{{_LIGHT}}} .ax.dark {{{_DARK}}}"
    f"@media (prefers-color-scheme: dark) {{ .ax.auto {{{_DARK}}} }}{_RULES}"
)
