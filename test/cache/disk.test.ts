import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { DiskCaptures, type StoredModel } from '../../main/cache/disk'
import { CaptureMemory, type Compute, type Source } from '../../main/cache/memory'
import { rowKey, rowRequests } from '../../main/cache/row-request'
import { ActivationStore } from '../../main/cache/store/store'
import { PatchbayError } from '../../preload/errors'
import {
  noGradients,
  runRequest,
  type RunInput,
  type RunRequestInput,
  type RunResult,
} from '../../preload/run'
import { openStore, scratch, shardFiles, values } from './store/fixtures'

const model: StoredModel = {
  identity: { precision: 'float32', provider: 'cpu' },
  axes: (hook) =>
    hook === 'shared'
      ? null
      : hook === 'pattern'
        ? ['batch', 'head', 'q_pos', 'k_pos']
        : ['batch', 'pos', 'd_model'],
}

const input = (request: Partial<RunRequestInput>): RunInput => ({
  request: runRequest.parse({ model: 'f'.repeat(64), rows: [[1, 2, 3]], logits: 'none', ...request }),
  tensors: {},
})

/** A model whose values depend on the row's tokens and the position alone. */
function recorder() {
  const asked: string[][] = []
  const compute: Compute = async ({ request }) => {
    const { rows } = request
    asked.push([...request.captures, ...(request.logits === 'none' ? [] : [`logits:${request.logits}`])])
    const columns = Math.max(...rows.map((row) => row.length))
    const array = (name: string) => {
      const shape =
        name === 'pattern'
          ? [rows.length, 2, columns, columns]
          : [name === 'shared' ? 1 : rows.length, columns, 4]
      const data = new Float32Array(shape.reduce((product, n) => product * n, 1)).fill(
        name === 'shared' ? 5 : NaN,
      )
      const inner = data.length / shape[0]
      if (name !== 'shared')
        rows.forEach((tokens, row) => {
          if (name === 'pattern')
            for (let head = 0; head < 2; head++)
              tokens.forEach((q, i) =>
                tokens.forEach(
                  (k, j) => (data[row * inner + (head * columns + i) * columns + j] = q + k + head),
                ),
              )
          else tokens.forEach((token, i) => data.set(values(token, 4), row * inner + i * 4))
        })
      return { shape, data }
    }
    return {
      lengths: rows.map((row) => row.length),
      captures: Object.fromEntries(request.captures.map((hook) => [hook, array(hook)])),
      logits:
        request.logits === 'none'
          ? null
          : { shape: [rows.length, 1, 3], data: values(rows[0][0], rows.length * 3) },
      residual: request.stopLayer === undefined ? null : array('residual'),
      ...noGradients(),
    }
  }
  return { asked, compute }
}

async function kept(root: string, set = 'job'): Promise<DiskCaptures> {
  const store = await openStore(root)
  const disk = new DiskCaptures(() => Promise.resolve(store))
  disk.keep = { set }
  return disk
}

const plain = (result: RunResult): unknown =>
  JSON.parse(
    JSON.stringify(result, (key, value: unknown) =>
      key === 'from' ? undefined : value instanceof Float32Array ? [...value] : value,
    ),
  )

describe('captures on disk', () => {
  it('answer a request again without running, with identical bytes', async () => {
    const root = scratch()
    const { asked, compute } = recorder()
    const request = input({ captures: ['hook_embed', 'pattern'], logits: 'last' })
    const first = await (await kept(root)).run(model, request, compute)
    const disk = await kept(root)
    const second = await disk.run(model, request, compute)
    expect(asked).toHaveLength(1)
    expect(plain(second)).toEqual(plain(first))
    expect(disk.statistics()).toMatchObject({ hits: 3, misses: 0 })
  })

  it('are computed for what is not there, and only that', async () => {
    const root = scratch()
    const { asked, compute } = recorder()
    const disk = await kept(root)
    await disk.run(model, input({ captures: ['hook_embed'] }), compute)
    const { captures } = await disk.run(model, input({ captures: ['hook_embed', 'pattern'] }), compute)
    expect(asked).toEqual([['hook_embed'], ['pattern']])
    expect(Object.keys(captures)).toEqual(['hook_embed', 'pattern'])
  })

  it('of a row are found in any other batch', async () => {
    const root = scratch()
    const { asked, compute } = recorder()
    const disk = await kept(root)
    await disk.run(
      model,
      input({ rows: [[1, 2, 3, 4], [5, 6], [7]], captures: ['hook_embed', 'pattern'] }),
      compute,
    )
    const again = await disk.run(
      model,
      input({
        rows: [
          [5, 6],
          [1, 2, 3, 4],
        ],
        captures: ['hook_embed', 'pattern'],
      }),
      compute,
    )
    expect(asked).toHaveLength(1)
    const { hook_embed: embed, pattern } = again.captures
    expect(embed.shape).toEqual([2, 4, 4])
    expect(embed.data.slice(4, 8)).toEqual(values(6, 4))
    expect(embed.data.slice(16 + 12)).toEqual(values(4, 4))
    expect(pattern.shape).toEqual([2, 2, 4, 4])
    expect([...pattern.data.slice(0, 4)]).toEqual([10, 11, 0, 0])
    expect(pattern.data[2 * 16 + 1 * 16 + 3 * 4 + 2]).toBe(4 + 3 + 1)
  })

  it('keep nothing unless asked to, and never what is one for all rows', async () => {
    const root = scratch()
    const { compute } = recorder()
    const disk = await kept(root)
    disk.keep = null
    await disk.run(model, input({ captures: ['hook_embed'] }), compute)
    expect(shardFiles(root)).toEqual([])
    disk.keep = { set: 'job' }
    const result = await disk.run(model, input({ rows: [[1], [2]], captures: ['shared'] }), compute)
    expect(result.captures.shared.shape).toEqual([1, 1, 4])
    expect(shardFiles(root)).toEqual([])
  })

  it('do not answer with values that were stored with loss', async () => {
    const root = scratch()
    const { asked, compute } = recorder()
    const request = input({ captures: ['hook_embed'] })
    const [row] = rowRequests(model.identity, request)
    const store = await openStore(root)
    await store.put(
      [
        {
          row: rowKey(row),
          request: row,
          output: 'hook_embed',
          dtype: 'int8',
          shape: [3, 4],
          data: values(1, 12),
        },
      ],
      { set: 'job' },
    )
    await (await kept(root)).run(model, request, compute)
    expect(asked).toHaveLength(1)
  })

  it('that are damaged are computed again, and stored again', async () => {
    const root = scratch()
    const { asked, compute } = recorder()
    const request = input({ captures: ['hook_embed'] })
    const first = await (await kept(root)).run(model, request, compute)
    const [file] = shardFiles(root)
    const bytes = readFileSync(file)
    bytes[bytes.length - 1] ^= 1
    writeFileSync(file, bytes)
    const disk = await kept(root)
    for (let i = 0; i < 2; i++) expect(plain(await disk.run(model, request, compute))).toEqual(plain(first))
    expect(asked).toHaveLength(2)
  })

  it('cost a run nothing where the disk fails: it computes, and says so', async () => {
    const warn = vi.spyOn(console, 'warn').mockReturnValue(undefined)
    const { asked, compute } = recorder()
    const disk = new DiskCaptures(() => Promise.reject(new PatchbayError('disk.failed', 'no disk')))
    for (let i = 0; i < 2; i++) await disk.run(model, input({ captures: ['hook_embed'] }), compute)
    expect(asked).toHaveLength(2)
    expect(disk.statistics().failures).toBe(1)
    expect(warn.mock.calls).toEqual([['The activation store could not be used: no disk']])
    warn.mockRestore()
  })

  it('lie below those in memory, and a result says where each part came from', async () => {
    const root = scratch()
    const { asked, compute } = recorder()
    const seen: Readonly<Record<string, Source>>[] = []
    const views = async (request: RunInput, memory: CaptureMemory, disk: DiskCaptures) =>
      memory.run('m', request, (missing, options) => disk.run(model, missing, compute, options), {
        onSources: (sources) => seen.push(sources),
      })
    const memory = new CaptureMemory(2 ** 20)
    await views(input({ captures: ['hook_embed'] }), memory, await kept(root))
    await views(input({ captures: ['hook_embed', 'pattern'] }), memory, await kept(root))
    await views(
      input({ captures: ['hook_embed', 'pattern'], logits: 'last' }),
      new CaptureMemory(0),
      await kept(root),
    )
    expect(seen).toEqual([
      { hook_embed: 'computed' },
      { hook_embed: 'memory', pattern: 'computed' },
      { hook_embed: 'disk', pattern: 'disk', 'logits:last': 'computed' },
    ])
    expect(asked).toHaveLength(3)
  })
})

it('opens the store once', async () => {
  const open = vi.fn(() => ActivationStore.open(scratch(), { producer: 'test' }))
  const disk = new DiskCaptures(open)
  const { compute } = recorder()
  await Promise.all(
    [1, 2].map((token) => disk.run(model, input({ rows: [[token]], captures: ['hook_embed'] }), compute)),
  )
  expect(open).toHaveBeenCalledTimes(1)
  await disk.close()
})
