/** The look of a page, light and dark. It has no script and loads nothing. */
import { Html } from './html'

export const style = new Html(`
:root { color-scheme: light dark; --text: #1b1e23; --quiet: #5c636e; --page: #f3f4f5; --panel: #fff; --line: #d9dce1;
  --hot: #d4691e; --cold: #2a6fc0; --mark: #a2470b; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e8eb; --quiet: #a3abb7; --page: #15171a; --panel: #1d2024; --line: #33383f;
    --hot: #c9702f; --cold: #3d7fcc; --mark: #f0a672; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif; color: var(--text);
  background: var(--page); }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p, dl { margin: 0 0 .75rem; }
.quiet, dt, th, figcaption { color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 0; padding: 1rem; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; }
svg { display: block; width: 100%; height: 9rem; }
svg rect { fill: var(--hot); }
svg rect.low { fill: var(--cold); }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; padding-top: .25rem; font-size: .85rem; }
ol { list-style: none; margin: 0; padding: 0; }
li { display: grid; grid-template-columns: 4.5rem minmax(0, 1fr) 11rem; gap: 0 1rem; padding: .5rem .75rem; background: var(--panel);
  border: 1px solid var(--line); border-top-width: 0; }
li:first-child { border-top-width: 1px; border-radius: 8px 8px 0 0; }
li:last-child { border-radius: 0 0 8px 8px; }
.value { font-variant-numeric: tabular-nums; text-align: right; }
.where { font-size: .8rem; color: var(--quiet); overflow-wrap: anywhere; text-align: right; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; font-family: ui-monospace, monospace; font-size: .9rem; }
.text span, .key span { background: color-mix(in srgb, var(--hot) calc(var(--a) * 70%), transparent); border-radius: 2px; }
.text .low, .key .low { background: color-mix(in srgb, var(--cold) calc(var(--a) * 70%), transparent); }
.key { margin: .75rem 0 0; color: var(--quiet); font-size: .9rem; }
.key span { padding: .1rem .4rem; color: var(--text); }
.text mark { background: none; color: inherit; font-weight: 700; border-bottom: 2px solid var(--mark); }
table { border-collapse: collapse; background: var(--panel); border: 1px solid var(--line); }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
@media (max-width: 40rem) {
  body { padding: 1rem; }
  li { grid-template-columns: max-content 1fr; }
  .text { grid-column: 1 / -1; grid-row: 2; }
  td, th { padding: .25rem .5rem; }
}
@media print { body { background: none; } li { break-inside: avoid; } * { print-color-adjust: exact; } }
`)
