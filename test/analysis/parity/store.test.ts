import { mkdir, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { summarise } from '../../../main/analysis/parity/certificate'
import { CertificateStore } from '../../../main/analysis/parity/store'
import { certificateText, type Certificate, type CertificateGroup } from '../../../preload/certificate'
import { useScratch } from '../../models/scratch'

const fingerprint = 'ab'.repeat(32)
const versions = { patchbay: '1.0.0', onnxruntime: '1.30.0' }
const scratch = useScratch()
const open = (): CertificateStore => new CertificateStore(path.join(scratch.folder, 'certificates'), versions)

const group = (worst: number | null, more: Partial<CertificateGroup> = {}): CertificateGroup => ({
  group: 'logits',
  count: 1,
  worst,
  worstTensor: 'logits',
  tolerance: 5e-5,
  passed: worst !== null && worst <= 5e-5,
  ...more,
})

const certificate = (more: Partial<Certificate> = {}, groups = [group(7e-7)]): Certificate => ({
  format: 'patchbay.certificate',
  version: 1,
  fingerprint,
  modelName: 'storyworld',
  precision: 'float32',
  provider: 'cpu',
  ...versions,
  date: '2026-01-01T00:00:00.000Z',
  source: { kind: 'self-check' },
  groups,
  notes: [],
  passed: groups.every(({ passed }) => passed),
  ...more,
})
const against: Certificate['source'] = {
  kind: 'reference',
  name: 'llama',
  sha256: fingerprint,
  computedIn: 'float64',
}

describe('stored certificates', () => {
  it('come back as they were, newest first', async () => {
    const self = certificate()
    const reference = certificate({ source: against, date: '2026-01-02T00:00:00.000Z' })
    await open().save(self)
    await open().save(reference)
    expect(await open().of(fingerprint)).toEqual({ certificates: [reference, self], warnings: [] })
  })

  it('are one for each provider and kind of source: a new one replaces the one before', async () => {
    const store = open()
    await store.save(certificate())
    await store.save(certificate({ provider: 'webgpu' }))
    const again = certificate({ date: '2026-01-03T00:00:00.000Z' }, [group(1e-6)])
    await store.save(again)
    const { certificates } = await store.of(fingerprint)
    expect(certificates.map(({ provider, date }) => [provider, date])).toEqual([
      ['cpu', again.date],
      ['webgpu', '2026-01-01T00:00:00.000Z'],
    ])
    expect((await store.combinations(fingerprint)).map(({ provider, worst }) => [provider, worst])).toEqual([
      ['cpu', 1e-6],
      ['webgpu', 7e-7],
    ])
  })

  it('are none for a model that was never checked, and for what is no fingerprint', async () => {
    expect(await open().of(fingerprint)).toEqual({ certificates: [], warnings: [] })
    expect(await open().summary(certificate())).toBeNull()
    await writeFile(path.join(scratch.folder, 'outside.json'), JSON.stringify(certificate()))
    expect(await open().of('..')).toEqual({ certificates: [], warnings: [] })
  })

  it.each([
    ['half a file', JSON.stringify(certificate()).slice(0, 200), /damaged/],
    ['another format', '{"format": "other"}', /damaged/],
    ['a newer version', JSON.stringify({ ...certificate(), version: 2 }), /newer/],
    ['another model', JSON.stringify(certificate({ fingerprint: 'cd'.repeat(32) })), /another model/],
    [
      'a verdict that its own figures deny',
      JSON.stringify({ ...certificate({}, [group(0.5)]), passed: true }),
      /damaged/,
    ],
    ['a huge file', ' '.repeat(2 ** 20 + 1), /damaged/],
  ])('pass over %s with a warning, and hide no other', async (_what, content, warning) => {
    const store = open()
    await store.save(certificate())
    await writeFile(
      path.join(scratch.folder, 'certificates', fingerprint, 'cuda.float32.reference.json'),
      content,
    )
    const { certificates, warnings } = await store.of(fingerprint)
    expect(certificates).toEqual([certificate()])
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(warning)
    expect(warnings[0]).toContain('cuda.float32.reference.json')
  })

  it('warn of a folder where a file should be, and go on', async () => {
    const store = open()
    await store.save(certificate())
    await mkdir(path.join(scratch.folder, 'certificates', fingerprint, 'cpu.float32.odd.json'))
    const { certificates, warnings } = await store.of(fingerprint)
    expect([certificates.length, warnings.length]).toEqual([1, 1])
  })

  it('leave nothing behind when one is refused', async () => {
    const wrong = { ...certificate(), passed: false }
    await expect(open().save(wrong)).rejects.toThrow()
    expect(await readdir(scratch.folder)).toEqual([])
  })
})

describe('what certificates come to', () => {
  const summary = (...certificates: Certificate[]) => summarise(certificates, versions)
  const failed = certificate({}, [group(0.02)])

  it('is the comparison with a reference before self-checks', () => {
    const reference = certificate({ source: against }, [group(3e-6)])
    expect(summary(certificate({ date: '2027-01-01T00:00:00.000Z' }), reference)).toMatchObject({
      source: 'reference',
      worst: 3e-6,
      passed: true,
    })
  })

  it('is a failure before all', () => {
    expect(summary(certificate({ source: against }), failed)).toMatchObject({
      source: 'self-check',
      passed: false,
    })
  })

  it('is nothing where another version computed', () => {
    expect(summary(certificate({ onnxruntime: '1.29.0' }))).toBeNull()
    expect(summary(certificate({ patchbay: '0.9.0' }))).toBeNull()
  })

  it('takes the worst of relative errors, not shares of tokens', () => {
    const tokens = group(1, { group: 'generation', tolerance: 0, passed: false })
    expect(summary(certificate({ source: against }, [group(2e-6), tokens]))).toMatchObject({
      worst: 2e-6,
      passed: false,
    })
    expect(summary(certificate({}, [group(2e-6), group(null)]))).toMatchObject({ worst: null })
  })

  it('reads in a few words', () => {
    expect(certificateText(null)).toBe('not certified')
    expect(certificateText(undefined)).toBe('not certified')
    expect(certificateText(summary(certificate()))).toBe('self-checked, 7e-7')
    expect(certificateText(summary(certificate({ source: against })))).toBe('parity 7e-7 vs reference')
    expect(certificateText(summary(failed))).toBe('self-check failed, 2e-2')
    expect(certificateText(summary(certificate({ source: against }, [group(null)])))).toBe(
      'parity failed, not comparable vs reference',
    )
  })
})
