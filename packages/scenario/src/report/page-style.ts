import type { Markup } from './markup.ts'

/** The page's style sheet; series colours are told apart by colour-blind readers too, in light and dark. */
export const pageStyle: Markup = {
  markup: `
:root {
  color-scheme: light dark;
  --page: #fcfcfb; --text: #1b1b19; --quiet: #62625d; --rule: #e3e2dd; --panel: #f4f3ef;
  --good: #0f7a4d; --bad: #b3261e; --warn: #8a5a00;
  --series-1: #2a6fdb; --series-2: #c8571b; --series-3: #13855b; --series-4: #a0439a;
  --series-5: #8a6d00; --series-6: #0f8296; --series-7: #c23b5e; --series-8: #6c6c66;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #171716; --text: #ecebe6; --quiet: #a3a29b; --rule: #34332f; --panel: #201f1d;
    --good: #57c794; --bad: #ff8a80; --warn: #e5b454;
    --series-1: #6ea8ff; --series-2: #f0935c; --series-3: #4fc495; --series-4: #d98ad3;
    --series-5: #d4b43c; --series-6: #4cc3d6; --series-7: #f47c9a; --series-8: #a3a29b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; font-weight: 650; margin: 0 0 4px; }
h2 { font-size: 17px; font-weight: 650; margin: 36px 0 10px; }
.facts, .note { color: var(--quiet); margin: 0 0 10px; }
.note { font-size: 13px; }
.outcome { font-size: 14px; font-weight: 600; padding: 2px 10px; border-radius: 99px; border: 1.5px solid; vertical-align: 4px; }
.passed, .held { color: var(--good); }
.failed, .missed { color: var(--bad); }
.interrupted { color: var(--warn); }
.held, .missed { font-weight: 600; white-space: nowrap; }
pre { background: var(--panel); padding: 12px 14px; border-radius: 8px; overflow-x: auto; font: 12.5px/1.5 ui-monospace, monospace; }
pre.error { color: var(--bad); white-space: pre-wrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; min-width: 300px; white-space: normal; }
td { font-size: 14px; }
th { color: var(--quiet); font-weight: 500; font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 500px), 1fr)); gap: 28px 32px; margin-top: 28px; }
figure { margin: 0; }
figcaption { font-weight: 650; margin-bottom: 4px; }
svg { width: 100%; height: auto; display: block; overflow: visible; }
svg text { fill: var(--quiet); font-size: 12.5px; }
.grid line { stroke: var(--rule); }
.axis line { stroke: var(--quiet); }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.mark { fill: currentColor; stroke: var(--page); stroke-width: 1.5; }
.hit { fill: transparent; }
.hit:hover { fill: currentColor; fill-opacity: 0.25; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 0 0 6px; padding: 0; font-size: 13px; color: var(--quiet); }
.legend span { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: 6px; vertical-align: 4px; }
details summary { cursor: pointer; color: var(--quiet); margin-top: 32px; }
`,
}
