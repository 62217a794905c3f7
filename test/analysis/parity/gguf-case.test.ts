import { copyFileSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { findCases } from '../../../main/analysis/parity/find-cases'
import { checkTensors, expectationOf, isOfTensors } from '../../../main/analysis/parity/gguf-case'
import { casesFolder } from '../../support/cases'
import { useScratch } from '../../models/scratch'

const folder = path.join(casesFolder, 'gguf')

describe('what a GGUF file must reproduce', () => {
  it('lies beside it', async () => {
    expect(await expectationOf(path.join(folder, 'gemma2.gguf'))).toBe(
      path.join(folder, 'gemma2.expected.safetensors'),
    )
  })

  it('is otherwise the reference of the checkpoint that it was made from', async () => {
    expect(await expectationOf(path.join(folder, 'olmo.gguf'))).toBe(
      path.join(casesFolder, 'architectures/olmo/reference.safetensors'),
    )
  })

  it('may be tensors and no logits', async () => {
    expect(await isOfTensors(path.join(folder, 'quants.expected.safetensors'))).toBe(true)
    expect(await isOfTensors(path.join(folder, 'gemma2.expected.safetensors'))).toBe(false)
  })
})

describe('checking dequantised tensors', () => {
  const expectation = path.join(folder, 'quants.expected.safetensors')

  it('compares every type', async () => {
    const [{ group, count, worst }] = await checkTensors(path.join(folder, 'quants.gguf'), expectation)
    expect({ group, count }).toEqual({ group: 'weights', count: 26 })
    expect(worst).toBeLessThanOrEqual(1e-6)
  })

  it('names a tensor that is not there', async () => {
    await expect(checkTensors(path.join(folder, 'olmo.gguf'), expectation)).rejects.toMatchObject({
      code: 'model.incomplete',
    })
  })
})

describe('finding cases', () => {
  const scratch = useScratch()

  it('takes all GGUF files of a folder, by name', async () => {
    const found = await findCases(folder)
    expect(found.length).toBe(34)
    expect(found[0]).toMatchObject({ kind: 'gguf', name: 'bloom.gguf' })
  })

  it('takes one GGUF file', async () => {
    const [found] = await findCases(path.join(folder, 'bloom.gguf'))
    expect(found).toMatchObject({ kind: 'gguf', name: 'bloom.gguf' })
  })

  it('takes a case folder, or all in a folder', async () => {
    expect(await findCases(path.join(casesFolder, 'architectures/llama'))).toHaveLength(1)
    expect(await findCases(path.join(casesFolder, 'architectures'))).toHaveLength(32)
  })

  it('does not pass over a GGUF file without an expectation among others', async () => {
    const place = scratch.folder
    for (const file of ['gemma2.gguf', 'gemma2.expected.safetensors'])
      copyFileSync(path.join(folder, file), path.join(place, file))
    copyFileSync(path.join(folder, 'olmo.gguf'), path.join(place, 'other.gguf'))
    expect(await findCases(place)).toMatchObject([
      { name: 'gemma2.gguf' },
      { name: 'other.gguf', expectation: null },
    ])
  })

  it('says what is missing in a folder without cases', async () => {
    const place = scratch.folder
    mkdirSync(path.join(place, 'empty'))
    copyFileSync(path.join(folder, 'olmo.gguf'), path.join(place, 'olmo.gguf'))
    await expect(findCases(place)).rejects.toMatchObject({ code: 'file.missing', file: place })
  })
})
