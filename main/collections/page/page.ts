/**
 * A search as one HTML file that can be sent to anyone: text coloured by token, histogram, where it came from. Everything in
 * it that is not ours (prompts, labels, names) is text; there is no script, and a policy that would stop one.
 */
import type { Context, SearchResult } from '../../../preload/collections'
import { contextRows } from '../../../preload/context-text'
import { certificateText } from '../../../preload/certificate'
import { displayText } from '../../../preload/token-text'
import type { Manifest } from '../schema'
import { html, type Html } from './html'
import { style } from './style'

export interface PageParts {
  title: string
  /** The collection's name. */
  collection: string
  filter: string
  output: string
  manifest: Pick<Manifest, 'created' | 'provenance'>
  result: SearchResult
}

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

/** @returns a plain file name, and the file */
export function page(parts: PageParts): { name: string; html: string } {
  const { title, result } = parts
  const heading = title.trim() === '' ? result.what : title
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="generator" content="Patchbay" />
        <title>${line(heading)}</title>
        <style>
          ${style}
        </style>
      </head>
      <body>
        <h1>${line(heading)}</h1>
        ${facts(parts)}
        <h2>Values</h2>
        ${histogram(result)} ${key(result)} ${contexts('Largest', result.top, result)}
        ${contexts('Smallest', result.bottom, result)}
        ${[...result.quantiles]
          .sort((a, b) => b.from - a.from)
          .map(({ from, to, contexts: drawn }) =>
            contexts(`Samples between the quantiles ${number(from)} and ${number(to)}`, drawn, result),
          )}
        ${labels(result)} ${tokens(result)}
      </body>
    </html> `
  return { name: `${fileStem(heading)}.html`, html: document.text }
}

function facts({ collection, filter, output, manifest, result }: PageParts): Html {
  const { provenance, created } = manifest
  const { modelName, fingerprint, precision, provider, patchbay, certificate } = provenance
  const entries: [string, string][] = [
    ['Searched for', result.what],
    ['Model', `${modelName} (${fingerprint.slice(0, 12)}…)`],
    ['Computed', `${precision} on ${provider}, ${certificateText(certificate)}, Patchbay ${patchbay}`],
    ['Collection', `${collection}, ${created.slice(0, 10)}`],
    ['Output', output],
    ['Rows', `${result.rows}${filter.trim() === '' ? '' : `, where ${filter}`}`],
    ['Positions', `${result.positions}, ${number(100 * result.active)} % above 0`],
    ['Mean', `${number(result.mean)} ± ${number(result.standardDeviation)}`],
  ]
  return html`<dl>
    ${entries.map(
      ([term, text]) =>
        html`<dt>${term}</dt>
          <dd>${line(text)}</dd>`,
    )}
  </dl>`
}

/** Bars on a logarithmic scale of counts: what is rare is what one looks for. */
function histogram({ histogram: { edges, counts } }: SearchResult): Html {
  const most = Math.log1p(counts.reduce((a, b) => Math.max(a, b), 0))
  const width = 600 / Math.max(1, counts.length)
  const bars = Array.from(counts, (count, i) => {
    const height = most === 0 ? 0 : (100 * Math.log1p(count)) / most
    // By its middle: zero itself belongs to neither side.
    const side = edges[i] + edges[i + 1] < 0 ? 'low' : 'high'
    return html`<rect
      class="${side}"
      x="${round(i * width)}"
      y="${round(100 - height)}"
      width="${round(width * 0.9)}"
      height="${round(height)}"
      ><title>${number(edges[i])} to ${number(edges[i + 1])}: ${count}</title></rect
    >`
  })
  return html`<figure>
    <svg viewBox="0 0 600 100" preserveAspectRatio="none" role="img" aria-label="Histogram of the values">
      ${bars}
    </svg>
    <figcaption>
      <span>${number(edges[0] ?? 0)}</span><span>counts, logarithmic</span
      ><span>${number(edges[edges.length - 1] ?? 0)}</span>
    </figcaption>
  </figure>`
}

/** What colours mean. */
function key(result: SearchResult): Html {
  const most = largest(result)
  return html`<p class="key">
    Every token has the colour of its value: <span class="low" style="--a:1">${number(-most)}</span> …
    <span style="--a:0">0</span> … <span style="--a:1">${number(most)}</span>. The underlined one is where the
    value beside it is.
  </p>`
}

function contexts(title: string, shown: readonly Context[], result: SearchResult): Html {
  if (shown.length === 0) return html``
  return html`<h2>${title}</h2>
    <ol>
      ${shown.map((context) => item(context, largest(result)))}
    </ol>`
}

/** The magnitude that has the full colour. */
const largest = ({ top, bottom }: SearchResult): number =>
  Math.max(Math.abs(top[0]?.value ?? 0), Math.abs(bottom[0]?.value ?? 0))

function item(context: Context, most: number): Html {
  const { position, value, label, start, tokens: shown, values } = context
  const spans = shown.map((token, i) => {
    const own = values[i]
    const share = most === 0 || !Number.isFinite(own) ? 0 : Math.min(1, Math.abs(own) / most)
    const text = html`${shownText(token.text)}`
    const inner = start + i === position ? html`<mark>${text}</mark>` : text
    const title = Number.isFinite(own) ? number(own) : 'no value'
    return own < 0
      ? html`<span class="low" style="--a:${round(share)}" title="${title}">${inner}</span>`
      : html`<span style="--a:${round(share)}" title="${title}">${inner}</span>`
  })
  const where = `${contextRows(context)}, position ${position}${label === null ? '' : `, ${line(label)}`}`
  return html`<li>
    <span class="value">${number(value)}</span>
    <div class="text">${start > 0 ? '…' : ''}${spans}</div>
    <span class="where">${where}</span>
  </li> `
}

function labels({ byLabel }: SearchResult): Html {
  if (byLabel.length === 0) return html``
  const rows = byLabel.map(
    ({ label, mean, max, positions }) =>
      html`<tr>
        <td>${line(label)}</td>
        <td class="number">${number(mean)}</td>
        <td class="number">${number(max)}</td>
        <td class="number">${positions}</td>
      </tr> `,
  )
  return html`<h2>By label</h2>
    <table>
      <tr>
        <th>Label</th>
        <th>Mean</th>
        <th>Largest</th>
        <th>Positions</th>
      </tr>
      ${rows}
    </table>`
}

function tokens({ tokens: shown }: SearchResult): Html {
  const rows = shown.slice(0, 30).map(
    ({ token, mean, count }) =>
      html`<tr>
        <td>${displayText(token.text, { longest: 100 })}</td>
        <td class="number">${number(mean)}</td>
        <td class="number">${count}</td>
      </tr> `,
  )
  return html`<h2>By token</h2>
    <table>
      <tr>
        <th>Token</th>
        <th>Mean</th>
        <th>Times</th>
      </tr>
      ${rows}
    </table>`
}

/** Text of one line: what would turn it around or not show at all is written out. */
const line = (text: string): string => displayText(text, { spaces: false, longest: 500 })

/** A token in running text: spaces stay, line breaks are shown where they are. */
const shownText = (text: string): string =>
  text
    .split(/([\n\t])/)
    .map((part) =>
      part === '\n' ? '⏎\n' : part === '\t' ? '⇥' : displayText(part, { spaces: false, longest: 200 }),
    )
    .join('')

const number = (value: number): string => {
  const size = Math.abs(value)
  const text =
    size === 0 || (size >= 0.01 && size < 1e5) ? String(Number(size.toPrecision(4))) : size.toExponential(2)
  return value < 0 ? `−${text}` : text
}

const round = (value: number): number => Math.round(value * 1000) / 1000

/** Of letters, digits, dots and dashes; never a path. */
const fileStem = (text: string): string =>
  text
    .replace(/[^A-Za-z0-9.-]+/g, '-')
    .replace(/^[.-]+|[.-]+$/g, '')
    .slice(0, 80) || 'search'
