import { readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { materialise, type MaterialiseRequest, type PlannedTensor } from '../../main/models/materialise'
import type { WritableFs } from '../../main/files/durable-file'
import { failingFs } from '../files/failing-fs'
import { failureOf, useScratch } from './scratch'

const scratch = useScratch()
const target = () => path.join(scratch.folder, 'cache/weights.safetensors')

/** Three tensors whose values are `from`, `from` + 1, …; counts how often they are computed. */
function planOf(from = 0): { plan: PlannedTensor[]; produced: string[] } {
  const produced: string[] = []
  const plan = [
    { name: 'a', shape: [2, 2] },
    { name: 'b', shape: [3] },
    { name: 'c', shape: [] },
  ].map(({ name, shape }) => ({
    name,
    shape,
    produce: async () => {
      produced.push(name)
      return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => from + i)
    },
  }))
  return { plan, produced }
}

async function make(
  request: Partial<MaterialiseRequest> & Pick<MaterialiseRequest, 'plan'>,
): Promise<Float32Array> {
  const file = await materialise({ target: target(), key: 'k', ...request })
  const values = await file.readFloat32('b')
  expect([...file.tensors].map(([name, { storage, shape }]) => [name, storage, shape])).toEqual(
    request.plan.map(({ name, shape }) => [name, 'F32', shape]),
  )
  await file.close()
  return values
}

describe('materialised weights', () => {
  it('are computed once and then found', async () => {
    const { plan, produced } = planOf()
    const progress: number[][] = []
    expect(await make({ plan, onProgress: (...p) => progress.push(p) })).toEqual(Float32Array.of(0, 1, 2))
    expect(produced).toEqual(['a', 'b', 'c'])
    expect(progress.at(-1)).toEqual([32, 32])
    expect(await make({ plan })).toEqual(Float32Array.of(0, 1, 2))
    expect(produced).toHaveLength(3)
  })

  it('are made anew for another key, other names, another shape, or an earlier version of the file', async () => {
    await make({ plan: planOf().plan })
    expect(await make({ plan: planOf(10).plan, key: 'other' })).toEqual(Float32Array.of(10, 11, 12))
    const renamed = planOf(20).plan.map((tensor, i) => (i === 0 ? { ...tensor, name: 'z' } : tensor))
    expect(await make({ plan: renamed, key: 'other' })).toEqual(Float32Array.of(20, 21, 22))
    const reshaped = planOf(30).plan.map((tensor, i) => (i === 0 ? { ...tensor, shape: [4] } : tensor))
    expect(await make({ plan: reshaped, key: 'other' })).toEqual(Float32Array.of(30, 31, 32))
    const bytes = await readFile(target(), 'latin1')
    await writeFile(
      target(),
      bytes.replace('"patchbay.materialised":"1"', '"patchbay.materialised":"0"'),
      'latin1',
    )
    const again = planOf(40)
    await make({ plan: again.plan, key: 'other' })
    expect(again.produced).toHaveLength(3)
  })

  it('are made anew where the file is cut off or broken', async () => {
    await make({ plan: planOf().plan })
    await truncate(target(), (await stat(target())).size - 1)
    expect(await make({ plan: planOf(5).plan })).toEqual(Float32Array.of(5, 6, 7))
    await writeFile(target(), 'rubbish')
    expect(await make({ plan: planOf(6).plan })).toEqual(Float32Array.of(6, 7, 8))
  })

  it('need their space before anything is computed', async () => {
    const fs: WritableFs = { ...nodeFs, statfs: () => Promise.resolve({ bavail: 1, bsize: 100 }) }
    const { plan, produced } = planOf()
    const error = await failureOf(() => make({ plan, fs }))
    expect(error).toMatchObject({ code: 'disk.full', file: target() })
    expect(produced).toEqual([])
    expect(await readdir(path.dirname(target()))).toEqual([])
  })

  it('leave nothing half-written when the disk fails at any operation, and the old file as it was', async () => {
    await make({ plan: planOf().plan })
    for (let n = 1; ; n++) {
      const { fs, operations } = failingFs(n, 'ENOSPC')
      const request = { plan: planOf(1).plan, key: 'new', target: target(), fs }
      const outcome = await materialise(request).then(
        (file) => file.close().then(() => 'made'),
        (error: unknown) => (error as { code: string }).code,
      )
      expect(await readdir(path.dirname(target()))).toEqual(['weights.safetensors'])
      if (outcome === 'made') break
      expect([n, outcome]).toEqual([n, 'disk.full'])
      if (operations().includes('rename')) await make({ plan: planOf().plan })
      else expect((await readFile(target(), 'latin1')).includes('"patchbay.key":"k"')).toBe(true)
      expect(n).toBeLessThan(50)
    }
  })

  it('can be cancelled between tensors', async () => {
    const controller = new AbortController()
    const { plan, produced } = planOf()
    const request = { plan, signal: controller.signal, onProgress: () => controller.abort() }
    expect((await failureOf(() => make(request))).code).toBe('run.cancelled')
    expect(produced).toEqual(['a', 'b'])
    expect(await readdir(path.dirname(target()))).toEqual([])
    expect((await failureOf(() => make(request))).code).toBe('run.cancelled')
  })

  it('are refused when a tensor is not what was planned', async () => {
    const plan = [{ name: 'b', shape: [3], produce: async () => new Float32Array(2) }]
    expect(await failureOf(() => make({ plan }))).toMatchObject({ code: 'input.invalid', field: 'b' })
  })

  it('may be made by several at once', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, () => make({ plan: planOf().plan })))
    for (const values of results) expect(values).toEqual(Float32Array.of(0, 1, 2))
    expect(await readdir(path.dirname(target()))).toEqual(['weights.safetensors'])
  })

  it('are those that another process put there, where the file in use can not be replaced', async () => {
    const fs: WritableFs = {
      ...nodeFs,
      rename: async () => {
        await make({ plan: planOf(50).plan })
        throw Object.assign(new Error('in use'), { code: 'EPERM' })
      },
    }
    expect(await make({ plan: planOf(50).plan, fs })).toEqual(Float32Array.of(50, 51, 52))
    expect(await readdir(path.dirname(target()))).toEqual(['weights.safetensors'])
  })
})
