/** Dictionaries against SAELens' own numbers (test/reference/cases/interop/saelens). */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { decodeSafetensors, float32Of } from '../../../main/models/formats/safetensors'
import { Dictionary } from '../../../main/training/dictionary/dictionary'
import { openSaelensFolder, saveSaelensFolder } from '../../../main/training/dictionary/saelens-folder'
import type { Tensor } from '../../../preload/tensor'
import { casesFolder } from '../../support/cases'

const root = path.join(casesFolder, 'interop/saelens')
const computed = readdirSync(root).filter((name) => name !== 'abstopk')

function reference(name: string): (tensor: string) => Tensor {
  const { tensors } = decodeSafetensors(readFileSync(path.join(root, name, 'reference.safetensors')))
  return (tensor) => {
    const found = tensors.get(tensor)
    if (found === undefined) throw new Error(`The reference has no ${tensor}.`)
    return { shape: found.shape, data: float32Of(found) }
  }
}

function relativeError(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape)
  let difference = 0
  let largest = 0
  for (let i = 0; i < b.data.length; i++) {
    difference = Math.max(difference, Math.abs(a.data[i] - b.data[i]))
    largest = Math.max(largest, Math.abs(b.data[i]))
  }
  return difference / largest
}

const active = ({ data }: Tensor): string =>
  data.reduce((text, value) => text + (value === 0 ? '.' : 'x'), '')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-saelens-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe.each(computed)('the SAELens folder %s', (name) => {
  const at = reference(name)

  it('gives SAELens’ features and reconstruction', async () => {
    const dictionary = await Dictionary.create(await openSaelensFolder(path.join(root, name)))
    const { features, reconstruction } = await dictionary.run(at('x'))
    await dictionary.release()
    expect(relativeError(features, at('feature_acts'))).toBeLessThan(2e-6)
    expect(relativeError(reconstruction, at('reconstruction'))).toBeLessThan(2e-6)
    expect(active(features)).toBe(active(at('feature_acts')))
  })

  it('is read back the same after it was written', async () => {
    const opened = await openSaelensFolder(path.join(root, name))
    await saveSaelensFolder(folder, opened)
    const again = await openSaelensFolder(folder)
    expect(again.config).toEqual(opened.config)
    expect(again.weights).toEqual(opened.weights)
  })
})

describe('a SAELens folder', () => {
  const broken = (change: (cfg: Record<string, unknown>) => void): void => {
    cpSync(path.join(root, 'topk'), folder, { recursive: true })
    const file = path.join(folder, 'cfg.json')
    const cfg = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    change(cfg)
    writeFileSync(file, JSON.stringify(cfg))
  }

  it('is refused where its architecture is not computed here, naming it', async () => {
    await expect(openSaelensFolder(path.join(root, 'abstopk'))).rejects.toMatchObject({
      code: 'model.unsupported',
      message: expect.stringContaining('abstopk') as string,
    })
  })

  it('is refused where its normalisation is unknown', async () => {
    broken((cfg) => (cfg.normalize_activations = 'by_magic'))
    await expect(openSaelensFolder(folder)).rejects.toThrow(/by_magic/)
  })

  it('is refused where cfg.json and the weights do not belong together', async () => {
    broken((cfg) => (cfg.d_sae = 512))
    await expect(openSaelensFolder(folder)).rejects.toMatchObject({
      code: 'model.incomplete',
      field: 'W_enc',
    })
  })

  it('is refused where topk has no k, and where cfg.json is not JSON', async () => {
    broken((cfg) => delete cfg.k)
    await expect(openSaelensFolder(folder)).rejects.toMatchObject({ code: 'file.malformed', field: 'k' })
    writeFileSync(path.join(folder, 'cfg.json'), '{')
    await expect(openSaelensFolder(folder)).rejects.toMatchObject({ code: 'file.malformed' })
  })

  it('reads activations of its own width only', async () => {
    const dictionary = await Dictionary.create(await openSaelensFolder(path.join(root, 'standard')))
    const x = { shape: [2, 32], data: new Float32Array(64) }
    await expect(dictionary.run(x)).rejects.toMatchObject({ code: 'input.invalid' })
    await dictionary.release()
  })
})
