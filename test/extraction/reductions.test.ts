/** What is kept of activations: positions, reductions, dtypes, and what can not be asked for. */
import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { dictionaryConfig, weightShapes } from '../../main/training/dictionary/config'
import { Dictionary } from '../../main/training/dictionary/dictionary'
import { openSaelensFolder, saveSaelensFolder } from '../../main/training/dictionary/saelens-folder'
import { writeSafetensors } from '../../main/models/formats/safetensors'
import { encodeNpy } from '../../preload/npy'
import type { ExtractOutput } from '../../preload/extraction'
import { sizeOf, type Tensor } from '../../preload/tensor'
import { begin, openLlama, planOf, relativeTo, someRows } from './support'

const hook = 'blocks.1.hook_resid_post'
type Reduction = ExtractOutput['reduction']

function scratch(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-reductions-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Values of a row, and what a reduction made of them. */
async function reduced(
  reduction: Reduction,
  row: number,
  at = hook,
  presets?: (id: string) => Promise<Tensor>,
) {
  const model = await openLlama()
  const plain = await begin(model, someRows, [{ hooks: [at], dtype: 'float32' }])
  await plain.run()
  const made = await begin(model, someRows, [{ hooks: [at], reduction, dtype: 'float32' }], { presets })
  await made.run()
  const parts = []
  for (const { name } of made.plan.outputs) parts.push(await made.writer.collection.read(row, name))
  const values = await plain.writer.collection.read(row, at)
  return { values: values ?? { shape: [], data: new Float32Array() }, parts, plan: made.plan, model }
}

const rowsOf = ({ shape, data }: { shape: readonly number[]; data: Float32Array }): Float32Array[] => {
  const width = shape[shape.length - 1]
  return Array.from({ length: data.length / width }, (_, i) => data.subarray(i * width, (i + 1) * width))
}

describe('a reduction', () => {
  it('is the mean or the largest over positions', async () => {
    const { values, parts } = await reduced({ kind: 'mean' }, 0)
    const rows = rowsOf(values)
    const mean = rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length)
    expect(parts[0]?.shape).toEqual([values.shape[1]])
    expect(relativeTo(mean, parts[0]?.data ?? new Float32Array())).toBeLessThan(1e-6)
    const most = await reduced({ kind: 'max' }, 1)
    const own = rowsOf(most.values)
    expect(most.parts[0]?.data).toEqual(own[0].map((_, i) => Math.max(...own.map((row) => row[i]))))
  })

  it('is the norm of each vector, of each head where there are heads', async () => {
    const { values, parts } = await reduced({ kind: 'norm' }, 3, 'blocks.0.attn.hook_z')
    expect(parts[0]?.shape).toEqual(values.shape.slice(0, -1))
    const norms = Float32Array.from(rowsOf(values), (row) => Math.hypot(...row))
    expect(relativeTo(norms, parts[0]?.data ?? new Float32Array())).toBeLessThan(1e-6)
  })

  it('is the k largest with their indices, which stay whole numbers in any dtype', async () => {
    const { values, parts, plan } = await reduced({ kind: 'top', k: 3 }, 0)
    expect(plan.outputs.map(({ part, stored }) => [part, stored])).toEqual([
      ['values', 'float32'],
      ['indices', 'float32'],
    ])
    rowsOf(values).forEach((row, i) => {
      const order = Array.from(row.keys())
        .sort((a, b) => row[b] - row[a])
        .slice(0, 3)
      expect([...(parts[1]?.data.subarray(3 * i, 3 * i + 3) ?? [])]).toEqual(order)
      expect([...(parts[0]?.data.subarray(3 * i, 3 * i + 3) ?? [])]).toEqual(order.map((index) => row[index]))
    })
    const eight = await planOf(await openLlama(), [
      { hooks: [hook], reduction: { kind: 'top', k: 3 }, dtype: 'int8' },
    ])
    expect(eight.outputs.map(({ stored }) => stored)).toEqual(['int8', 'float32'])
  })

  it('is a projection on the rows of a tensor or on a preset, named by what they are', async () => {
    const { dModel } = (await openLlama()).facts
    const directions = {
      shape: [2, dModel],
      data: Float32Array.from({ length: 2 * dModel }, (_, i) => Math.sin(i)),
    }
    const folder = scratch()
    const [npy, safetensors] = [path.join(folder, 'd.npy'), path.join(folder, 'd.safetensors')]
    await writeFile(npy, encodeNpy({ type: 'float32', ...directions }))
    await writeSafetensors(safetensors, [{ name: 'probe', ...directions }])
    const names = new Set<string>()
    for (const source of [
      { kind: 'file', path: npy },
      { kind: 'file', path: safetensors, tensor: 'probe' },
      { kind: 'preset', id: 'two' },
    ] as const) {
      const given = { kind: 'projection', directions: source } as const
      const { values, parts, plan } = await reduced(given, 1, hook, () => Promise.resolve(directions))
      names.add(plan.outputs[0].name)
      expect(parts[0]?.shape).toEqual([values.shape[0], 2])
      const expected = Float32Array.from(
        rowsOf(values).flatMap((row) =>
          rowsOf(directions).map((d) => d.reduce((sum, x, i) => sum + x * row[i], 0)),
        ),
      )
      expect(relativeTo(expected, parts[0]?.data ?? new Float32Array())).toBeLessThan(1e-5)
    }
    expect(names.size).toBe(1)
  })

  it('is a dictionary’s most active features', async () => {
    const folder = path.join(scratch(), 'sae')
    const { dModel } = (await openLlama()).facts
    const config = dictionaryConfig.parse({
      activation: 'standard',
      dIn: dModel,
      dOut: dModel,
      dSae: 20,
      subtractDecoderBias: true,
      normalise: 'none',
      k: null,
      rescaleByDecoderNorm: false,
      transcoder: false,
      skip: false,
      hook,
      outputHook: null,
      joinsHeads: false,
      modelName: null,
      prependBos: null,
    })
    const weights = new Map(
      [...weightShapes(config)].map(([name, shape]) => [
        name,
        {
          shape,
          data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i * 1.7 + name.length)),
        },
      ]),
    )
    await saveSaelensFolder(folder, { config, weights })
    const { values, parts } = await reduced({ kind: 'features', folder, k: 4 }, 0)
    const dictionary = await Dictionary.create(await openSaelensFolder(folder))
    onTestFinished(() => dictionary.release())
    const { features } = await dictionary.run({ shape: values.shape, data: values.data })
    rowsOf(features).forEach((row, i) => {
      const best = [...row].sort((a, b) => b - a).slice(0, 4)
      expect([...(parts[0]?.data.subarray(4 * i, 4 * i + 4) ?? [])]).toEqual(best)
      const indices = [...(parts[1]?.data.subarray(4 * i, 4 * i + 4) ?? [])]
      expect(indices.map((index) => row[index])).toEqual(best)
    })
    const narrow = 'blocks.0.attn.hook_k'
    await expect(
      planOf(await openLlama(), [{ hooks: [narrow], reduction: { kind: 'features', folder } }]),
    ).rejects.toThrow(`The dictionary reads ${dModel} numbers of a position`)
  })
})

describe('positions', () => {
  it('are those of the rule, for each row', async () => {
    const model = await openLlama()
    const rows = [
      { tokens: [1, 17, 99, 23, 42], span: [2, 4] as [number, number] },
      { tokens: [1, 2, 64], span: [1, 2] as [number, number] },
    ]
    const rules: [ExtractOutput['positions'], number[][]][] = [
      [{ kind: 'last' }, [[4], [2]]],
      [
        { kind: 'text' },
        [
          [1, 2, 3, 4],
          [1, 2],
        ],
      ],
      [
        { kind: 'at', positions: [-1, 0] },
        [
          [4, 0],
          [2, 0],
        ],
      ],
      [{ kind: 'every', step: 2, from: 1 }, [[1, 3], [1]]],
      [{ kind: 'matching', pattern: '^t(17|64)$' }, [[1], [2]]],
      [{ kind: 'span' }, [[2, 3], [1]]],
      [{ kind: 'span-offset', from: 'last', offset: 1 }, [[4], [2]]],
    ]
    const all = await begin(model, rows, [{ hooks: [hook], dtype: 'float32' }])
    await all.run()
    for (const [positions, expected] of rules) {
      const some = await begin(model, rows, [{ hooks: [hook], positions, dtype: 'float32' }])
      await some.run()
      for (const row of rows.keys()) {
        const whole = rowsOf(
          (await all.writer.collection.read(row, hook)) ?? { shape: [1], data: new Float32Array() },
        )
        const kept = await some.writer.collection.read(row, some.plan.outputs[0].name)
        const wanted = expected[row].flatMap((position) => [...whole[position]])
        expect([positions.kind, row, [...(kept?.data ?? [])]]).toEqual([positions.kind, row, wanted])
      }
    }
  })

  it('of rows with equal tokens but other spans are kept apart', async () => {
    const model = await openLlama()
    const tokens = [1, 17, 99, 23, 42]
    const rows = [
      { tokens, span: [1, 2] as [number, number] },
      { tokens, span: [3, 5] as [number, number] },
    ]
    const spans = await begin(model, rows, [{ hooks: [hook], positions: { kind: 'span' }, dtype: 'float32' }])
    await spans.run()
    const [{ name }] = spans.plan.outputs
    const shapes = await Promise.all(
      [0, 1].map(async (row) => (await spans.writer.collection.read(row, name))?.shape[0]),
    )
    expect(shapes).toEqual([1, 2])
  })
})

describe('what is asked for is refused', () => {
  const refused = async (output: Parameters<typeof planOf>[1][number]): Promise<unknown> =>
    planOf(await openLlama(), [output]).catch((error: unknown) => error)

  it('where no such hook point is', async () => {
    expect(await refused({ hooks: ['blocks.*.hook_resid_pots'] })).toMatchObject({ code: 'hook.unknown' })
    expect(await refused({ hooks: ['blocks.7.hook_resid_post'] })).toMatchObject({ code: 'hook.unavailable' })
    expect(await refused({ hooks: ['blocks.*.mlp.hook_router_logits'] })).toMatchObject({
      code: 'hook.unavailable',
    })
  })

  it('where directions are of another width or hold no numbers', async () => {
    const file = path.join(scratch(), 'd.safetensors')
    await writeSafetensors(file, [
      { name: 'narrow', shape: [3], data: Float32Array.of(1, 2, 3) },
      { name: 'nan', shape: [1], data: Float32Array.of(NaN) },
    ])
    const onto = (tensor?: string) =>
      refused({
        hooks: [hook],
        reduction: { kind: 'projection', directions: { kind: 'file', path: file, tensor } },
      })
    expect(await onto('narrow')).toMatchObject({
      code: 'input.invalid',
      message: expect.stringContaining('have 3 numbers') as string,
    })
    expect(await onto('nan')).toMatchObject({
      code: 'input.invalid',
      message: expect.stringContaining('not finite') as string,
    })
    expect(await onto('other')).toMatchObject({
      code: 'input.invalid',
      next: expect.stringContaining('narrow, nan') as string,
    })
    expect(await onto()).toMatchObject({ code: 'input.invalid' })
  })

  it('where more are asked for than there are, or the same twice', async () => {
    expect(await refused({ hooks: [hook], reduction: { kind: 'top', k: 4000 } })).toMatchObject({
      code: 'input.invalid',
    })
    expect(
      await refused({ hooks: ['blocks.0.attn.hook_pattern'], reduction: { kind: 'top', k: 2 } }),
    ).toMatchObject({
      message: expect.stringContaining('depends on the row') as string,
    })
    const twice = [{ hooks: [hook] }, { hooks: ['blocks.*.hook_resid_post'], dtype: 'int8' as const }]
    await expect(planOf(await openLlama(), twice)).rejects.toThrow(/asked for twice/)
  })
})
