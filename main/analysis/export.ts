/** An activation as a file for other tools: npy and safetensors with exact values, CSV for spreadsheets. */
import type { exportFormats } from '../../preload/api'
import { certificateText } from '../../preload/certificate'
import { hookDims, hookName } from '../../preload/hooks'
import { sizeOf, unravel, type Tensor } from '../../preload/tensor'
import type { Evidence } from '../../preload/views'
import { encodeNpy } from '../models/formats/npy'
import { encodeSafetensors } from '../models/formats/safetensors'
import { capture, hookOf } from './captures'
import { numberCell, provenanceCell, textCell } from './csv'
import type { AnalysisModel, RunOptions } from './subject'

export type ExportFormat = (typeof exportFormats)[number]

export interface ExportedFile {
  /** A plain file name, to be offered to the person. */
  name: string
  bytes: Uint8Array<ArrayBuffer>
  /** What was computed, on what. */
  evidence: Evidence
}

interface Exported {
  hook: string
  /** Symbols of the axes, without batch. */
  dims: readonly string[]
  /** The activation without its batch axis. */
  activation: Tensor
  tokens: readonly number[]
  texts: readonly string[]
  evidence: Evidence
}

/**
 * The activation at a hook point for one prompt, without the batch axis.
 * - npy: the float32 array alone; numpy's format has no place for more, so what it is goes into a file beside it.
 * - safetensors: a tensor named as the hook point, and in the metadata what it was computed on, the request and the tokens.
 * - csv: a first line that says what it was computed on, a header, a row for each position (for attention scores and
 *   patterns: for each head and query). `pandas.read_csv(file, skiprows=1)`.
 * @throws PatchbayError `hook.unknown`, `hook.unavailable`
 */
export async function exportActivation(
  model: AnalysisModel,
  tokens: readonly number[],
  where: { hook: string; format: ExportFormat },
  options: RunOptions = {},
): Promise<ExportedFile> {
  const point = hookOf(model, where.hook)
  const hook = hookName(point)
  const { evidence, activations } = await capture(model, tokens, [hook], options)
  const exported: Exported = {
    hook,
    dims: hookDims(point).slice(1),
    activation: activations[0],
    tokens,
    texts: model.tokens(tokens).map(({ text }) => text),
    evidence,
  }
  const name = fileName(model.facts.name, hook, where.format)
  return { name, bytes: bytesOf(exported, where.format), evidence }
}

function bytesOf(exported: Exported, format: ExportFormat): Uint8Array<ArrayBuffer> {
  const { shape, data } = exported.activation
  switch (format) {
    case 'npy':
      return encodeNpy({ type: 'float32', shape, data })
    case 'safetensors':
      return encodeSafetensors([{ name: exported.hook, shape, data }], metadataOf(exported))
    case 'csv':
      return new TextEncoder().encode(csvOf(exported))
  }
}

/** Safetensors metadata holds strings only; lists and the request are JSON. */
function metadataOf({ hook, dims, tokens, texts, evidence }: Exported): Record<string, string> {
  const { provenance, request } = evidence
  return {
    hook,
    dims: JSON.stringify(dims),
    tokens: JSON.stringify(tokens),
    // A token may be a part of a character; its lone half would not be valid Unicode.
    token_texts: JSON.stringify(texts.map((text) => text.replace(/\p{Surrogate}/gu, '\ufffd'))),
    model: provenance.modelName,
    fingerprint: provenance.fingerprint,
    precision: provenance.precision,
    provider: provenance.provider,
    request: JSON.stringify(request),
    request_hash: provenance.requestHash,
    patchbay: provenance.patchbay,
    certificate: JSON.stringify(provenance.certificate ?? null),
    parity: certificateText(provenance.certificate),
  }
}

function csvOf({ hook, dims, activation, texts, evidence }: Exported): string {
  const { shape, data } = activation
  const byPosition = dims[0] === 'pos'
  const rowDims = dims.slice(0, byPosition ? 1 : dims.length - 1)
  const rowShape = shape.slice(0, rowDims.length)
  const columnDims = dims.slice(rowDims.length)
  const columnShape = shape.slice(rowDims.length)
  const columns = sizeOf(columnShape)
  const lines = [
    provenanceCell(hook, evidence.provenance),
    [
      ...rowDims,
      'token',
      ...Array.from({ length: columns }, (_, i) => placeName(columnDims, unravel(columnShape, i))),
    ].join(','),
  ]
  for (let row = 0; row < sizeOf(rowShape); row++) {
    const index = unravel(rowShape, row)
    const position = index[index.length - 1]
    const values = data.subarray(row * columns, (row + 1) * columns)
    lines.push([...index.map(String), textCell(texts[position]), ...Array.from(values, numberCell)].join(','))
  }
  return `${lines.join('\n')}\n`
}

/** `head 2 d_head 17`: the place of a column on the flattened axes. */
const placeName = (dims: readonly string[], index: readonly number[]): string =>
  dims.map((dim, axis) => `${dim} ${index[axis]}`).join(' ')

/** Of letters, digits, dots and dashes, whatever the model is called; never a path. */
function fileName(model: string, hook: string, format: ExportFormat): string {
  const stem = model.replace(/[^A-Za-z0-9.-]+/g, '-').replace(/^[.-]+|[.-]+$/g, '')
  return `${(stem || 'model').slice(0, 80)}.${hook}.${format}`
}
