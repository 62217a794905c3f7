import { describe, expect, it } from 'vitest'
import { crc32 } from 'node:zlib'
import { withPngText } from '../../renderer/exports/png-text'
import { presentStamp, saveExport, stamped, type Stamp } from '../../renderer/exports/provenance'
import { useModels } from '../../renderer/stores/models'
import { describeModel, evidenceFor } from './support/fake-model'
import { setUp } from './support/setup'

// A transparent pixel.
const png = Uint8Array.from(
  atob('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='),
  (letter) => letter.charCodeAt(0),
)

interface Chunk {
  type: string
  content: Uint8Array
}

/** Reads a PNG's chunks, checking every checksum. */
function chunksOf(bytes: Uint8Array): Chunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const chunks: Chunk[] = []
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at)
    const named = bytes.subarray(at + 4, at + 8 + length)
    expect(view.getUint32(at + 8 + length)).toBe(crc32(named))
    chunks.push({ type: String.fromCharCode(...named.subarray(0, 4)), content: named.subarray(4) })
    at += length + 12
  }
  return chunks
}

const file = (suggestedName: string, bytes: Uint8Array = png) => ({ suggestedName, bytes, filters: [] })
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)
const hostile: Stamp = {
  format: 'patchbay.provenance',
  version: 1,
  model: '</metadata><script>alert(1)</script> \u0001 ü \ud800 &',
  fingerprint: 'f'.repeat(64),
  precision: 'float32',
  provider: 'cpu',
  patchbay: '0.1.0',
  parity: 'not certified',
  certificate: null,
}

describe('texts in a PNG', () => {
  it('come behind the header, as chunks of their own with right checksums, and the picture stays', () => {
    const chunks = chunksOf(withPngText(png, { Software: 'Patchbay', Comment: 'a\nü' }))
    expect(chunks.map(({ type }) => type)).toEqual(['IHDR', 'tEXt', 'tEXt', 'IDAT', 'IEND'])
    expect(text(chunks[1].content)).toBe('Software\0Patchbay')
    expect(text(chunks[2].content)).toBe('Comment\0a\\u000a\\u00fc')
    expect(chunks.filter(({ type }) => type !== 'tEXt')).toEqual(chunksOf(png))
  })
})

describe('where an export comes from', () => {
  it('is kept in a PNG as JSON', () => {
    const chunks = chunksOf(stamped(file('x.png'), hostile).bytes)
    const texts = chunks.filter(({ type }) => type === 'tEXt').map(({ content }) => text(content))
    const of = (keyword: string): string =>
      texts.find((each) => each.startsWith(`${keyword}\0`))?.slice(keyword.length + 1) ?? ''
    expect(of('Description')).toContain('float32 on cpu (not certified), Patchbay 0.1.0')
    expect(JSON.parse(of('patchbay.provenance'))).toEqual(hostile)
  })

  it('is kept in an SVG, inert whatever the model is called', () => {
    const svg = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="1"><rect/></svg>'
    const parsed = new DOMParser().parseFromString(
      text(stamped(file('x.svg', new TextEncoder().encode(svg)), hostile).bytes),
      'image/svg+xml',
    )
    expect(parsed.querySelector('script')).toBeNull()
    expect([...parsed.documentElement.children].map(({ tagName }) => tagName)).toEqual([
      'desc',
      'metadata',
      'rect',
    ])
    const stamp = JSON.parse(parsed.querySelector('metadata')?.textContent ?? '') as Stamp
    expect(stamp).toMatchObject({ parity: 'not certified', fingerprint: hostile.fingerprint })
  })

  it('is kept beside tables and arrays, which stay as they are', () => {
    for (const name of ['x.csv', 'x.npy']) {
      const saved = stamped(file(name), hostile)
      expect(saved.bytes).toBe(png)
      expect(text(saved.beside)).toMatch(/^\{\n {2}"format": "patchbay.provenance"/)
      expect(JSON.parse(text(saved.beside))).toEqual(hostile)
    }
    expect(stamped(file('x.safetensors'), hostile)).toEqual(file('x.safetensors'))
  })

  it('is the run, where there is one, with its certificate and request', () => {
    setUp()
    const evidence = evidenceFor('storyworld', [1, 2])
    const certificate = {
      source: 'reference' as const,
      passed: true,
      worst: 7e-7,
      date: '2026-01-01T00:00:00Z',
    }
    const stamp = presentStamp({ ...evidence, provenance: { ...evidence.provenance, certificate } })
    expect(stamp).toMatchObject({
      model: 'storyworld',
      parity: 'parity 7e-7 vs reference',
      certificate,
      request: evidence.request,
      requestHash: evidence.provenance.requestHash,
    })
  })

  it('is else the open model, which says that it is not certified, and nothing without one', async () => {
    const { shell } = setUp()
    expect(presentStamp()).toBeNull()
    await saveExport(file('x.csv'))
    expect(shell.saved.at(-1)?.beside).toBeUndefined()
    const model = describeModel()
    useModels().current = model
    await saveExport(file('x.csv'))
    expect(JSON.parse(text(shell.saved.at(-1)?.beside))).toMatchObject({
      fingerprint: model.fingerprint,
      precision: 'float32',
      provider: 'cpu',
      parity: 'not certified',
      certificate: null,
    })
  })
})
