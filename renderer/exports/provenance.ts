/**
 * Where an export's numbers come from, kept with the file: in a picture's own metadata, and beside a table or an array
 * (whose formats have no room) as a small JSON file. What was never certified says so.
 */
import { certificateText } from '../../preload/certificate'
import type { CertificateSummary, Precision, Provider } from '../../preload/run'
import type { Evidence } from '../../preload/views'
import { useCertificates } from '../stores/certificates'
import { useModels } from '../stores/models'
import { services } from '../services'
import { withPngText } from './png-text'
import { saveFile, type SavedFile } from './save'

export interface Stamp {
  format: 'patchbay.provenance'
  version: 1
  model: string
  fingerprint: string
  precision: Precision
  provider: Provider
  patchbay: string
  /** What is known of its numbers, in words and whole; null where they were never checked. */
  parity: string
  certificate: CertificateSummary | null
  /** The run, where it is one. */
  requestHash?: string
  request?: Evidence['request']
  /** The collection, where it is made from one. */
  collection?: string
}

/** Where numbers come from, where that is not a run: a collection, which may be another model's than the open one's. */
export interface CollectionOrigin {
  provenance: Omit<Evidence['provenance'], 'requestHash'>
  collection: string
}
export type Origin = Evidence | CollectionOrigin

/** Of a run or collection, else of the open model; null where there is none. */
export function presentStamp(origin?: Origin | null): Stamp | null {
  const model = useModels().current
  const found = origin?.provenance
  if (found === undefined && model === null) return null
  const certificate = found === undefined ? (useCertificates().summary ?? null) : (found.certificate ?? null)
  return {
    format: 'patchbay.provenance',
    version: 1,
    model: found?.modelName ?? model?.name ?? '',
    fingerprint: found?.fingerprint ?? model?.fingerprint ?? '',
    precision: found?.precision ?? model?.precision ?? 'float32',
    provider: found?.provider ?? model?.provider ?? 'cpu',
    patchbay: found?.patchbay ?? services().shell.launch().version,
    parity: certificateText(certificate),
    certificate,
    ...ownOf(origin),
  }
}

function ownOf(origin: Origin | null | undefined): Partial<Stamp> {
  if (origin === null || origin === undefined) return {}
  if ('collection' in origin) return { collection: origin.collection }
  return { requestHash: origin.provenance.requestHash, request: origin.request }
}

/** "storyworld, float32 on cpu (not certified), Patchbay 0.1.0" */
const sentence = ({ model, precision, provider, parity, patchbay }: Stamp): string =>
  `${model}, ${precision} on ${provider} (${parity}), Patchbay ${patchbay}`

/** The file with its stamp; as it is, where its kind has metadata of its own or is none of these. */
export function stamped(file: SavedFile, stamp: Stamp): SavedFile {
  switch (/\.([a-z]+)$/.exec(file.suggestedName)?.[1]) {
    case 'png': {
      const texts = {
        Description: sentence(stamp),
        Software: 'Patchbay',
        'patchbay.provenance': JSON.stringify(stamp),
      }
      return { ...file, bytes: withPngText(file.bytes, texts) }
    }
    case 'svg':
      return { ...file, bytes: withSvgMetadata(file.bytes, stamp) }
    case 'csv':
    case 'npy':
      return { ...file, beside: new TextEncoder().encode(`${JSON.stringify(stamp, null, 2)}\n`) }
    default:
      return file
  }
}

/** Saves an export with its stamp. */
export async function saveExport(file: SavedFile, origin?: Origin | null): Promise<void> {
  const stamp = presentStamp(origin)
  await saveFile(stamp === null ? file : stamped(file, stamp))
}

/** Puts a description and the stamp behind the opening tag. */
function withSvgMetadata(bytes: Uint8Array, stamp: Stamp): Uint8Array {
  const text = new TextDecoder().decode(bytes)
  const end = text.indexOf('>', text.indexOf('<svg')) + 1
  const metadata = `<desc>${escaped(sentence(stamp))}</desc><metadata>${escaped(JSON.stringify(stamp))}</metadata>`
  return new TextEncoder().encode(text.slice(0, end) + metadata + text.slice(end))
}

/** Also what XML can not hold at all: a model's name is any text. */
const escaped = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Surrogate}\ufffe\uffff]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
