import { describe, expect, it } from 'vitest'
import { CaptureMemory, type Compute, type RunOptions } from '../../main/cache/memory'
import { PatchbayError } from '../../preload/errors'
import { noGradients, runRequest, type RunInput, type RunRequestInput } from '../../preload/run'

const input = (request: Partial<RunRequestInput>): RunInput => ({
  request: runRequest.parse({ model: 'f'.repeat(64), rows: [[1, 2, 3]], logits: 'none', ...request }),
  tensors: {},
})

const MB = 2 ** 20

/** Computes small arrays, one a capture, and remembers what it was asked for; may wait for `gate`. */
function recorder(gate: Promise<void> = Promise.resolve()) {
  const asked: { captures: string[]; logits: string; gradients?: string[] }[] = []
  const signals: (AbortSignal | undefined)[] = []
  const compute: Compute = async ({ request }, { signal, onProgress }) => {
    const { backward } = request
    const gradients = backward === undefined ? {} : { gradients: [...backward.hooks] }
    asked.push({ captures: [...request.captures], logits: request.logits, ...gradients })
    signals.push(signal)
    await Promise.race([
      gate,
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
    ])
    onProgress?.(1, 2)
    const array = (value: number) => ({ shape: [1, 2], data: Float32Array.of(value, value) })
    return {
      lengths: request.rows.map((row) => row.length),
      captures: Object.fromEntries(request.captures.map((hook) => [hook, array(hook.length)])),
      logits: request.logits === 'none' ? null : array(request.logits === 'all' ? 100 : 1),
      residual: request.stopLayer === undefined ? null : array(7),
      ...(backward === undefined
        ? noGradients()
        : {
            metric: array(3),
            gradients: Object.fromEntries(backward.hooks.map((hook) => [hook, array(-hook.length)])),
            weightGradients: Object.fromEntries(backward.weights.map((name) => [name, array(50)])),
          }),
    }
  }
  return { asked, signals, compute }
}

function gate() {
  let open = (): void => undefined
  const promise = new Promise<void>((resolve) => (open = resolve))
  return { promise, open: () => open() }
}

describe('CaptureMemory', () => {
  it('answers a repeated request with the same arrays and no run', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    const request = input({ captures: ['blocks.0.hook_resid_pre'], logits: 'last' })
    const first = await memory.run('m', request, compute)
    const second = await memory.run('m', request, compute)
    expect(asked).toHaveLength(1)
    expect(second).toEqual(first)
    expect(second.captures['blocks.0.hook_resid_pre'].data).toBe(
      first.captures['blocks.0.hook_resid_pre'].data,
    )
    expect(memory.statistics()).toEqual({ hits: 1, shared: 0, misses: 1, bytes: 16, entries: 2 })
  })

  it('computes only what is missing', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    await memory.run('m', input({ captures: ['hook_embed'] }), compute)
    const { captures } = await memory.run('m', input({ captures: ['hook_embed', 'hook_pos_embed'] }), compute)
    expect(asked[1]).toEqual({ captures: ['hook_pos_embed'], logits: 'none' })
    expect(Object.keys(captures)).toEqual(['hook_embed', 'hook_pos_embed'])
  })

  it('keeps gradients by their metric, and captures whatever is differentiated', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    const differentiated = (token: number, hooks: string[], weights: string[] = []) =>
      input({
        captures: ['hook_embed'],
        backward: { metric: { kind: 'log-probability', token }, hooks, weights },
      })
    const ask = (request: RunInput) => memory.run('m', request, compute)
    await ask(input({ captures: ['hook_embed'] }))
    const first = await ask(differentiated(1, ['blocks.1.hook_in']))
    expect(Object.keys(first.gradients)).toEqual(['blocks.1.hook_in'])
    const again = await ask(differentiated(1, ['blocks.1.hook_resid_pre']))
    expect(again.gradients['blocks.1.hook_resid_pre'].data).toBe(first.gradients['blocks.1.hook_in'].data)
    expect(again.metric?.data[0]).toBe(3)
    const more = await ask(differentiated(1, ['blocks.1.hook_resid_pre', 'hook_embed'], ['w']))
    expect(more.weightGradients.w.data[0]).toBe(50)
    await ask(differentiated(2, ['blocks.1.hook_resid_pre']))
    expect(asked).toEqual([
      { captures: ['hook_embed'], logits: 'none' },
      { captures: [], logits: 'none', gradients: ['blocks.1.hook_resid_pre'] },
      { captures: [], logits: 'none', gradients: ['hook_embed'] },
      { captures: [], logits: 'none', gradients: ['blocks.1.hook_resid_pre'] },
    ])
  })

  it('returns a hook point under the name that it was asked for, and finds it under the other', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    const alias = await memory.run('m', input({ captures: ['blocks.1.hook_in'] }), compute)
    const name = await memory.run('m', input({ captures: ['blocks.1.hook_resid_pre'] }), compute)
    expect(asked).toEqual([{ captures: ['blocks.1.hook_resid_pre'], logits: 'none' }])
    expect(alias.captures['blocks.1.hook_in'].data).toBe(name.captures['blocks.1.hook_resid_pre'].data)
  })

  it('runs once for views that open together', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    const [lens, attention] = await Promise.all([
      memory.run('m', input({ captures: ['hook_embed'] }), compute),
      memory.run('m', input({ captures: ['hook_pos_embed'], logits: 'last' }), compute),
    ])
    expect(asked).toEqual([{ captures: ['hook_embed', 'hook_pos_embed'], logits: 'last' }])
    expect(Object.keys(lens.captures)).toEqual(['hook_embed'])
    expect(lens.logits).toBeNull()
    expect(attention.logits?.data[0]).toBe(1)
    expect(memory.statistics()).toMatchObject({ misses: 1, shared: 1 })
  })

  it('joins a run under way that already computes what is wanted, and starts another for the rest', async () => {
    const memory = new CaptureMemory(0)
    const { promise, open } = gate()
    const { asked, compute } = recorder(promise)
    const first = memory.run('m', input({ captures: ['hook_embed'] }), compute)
    while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const same = memory.run('m', input({ captures: ['hook_embed'] }), compute)
    const other = memory.run('m', input({ captures: ['hook_pos_embed'] }), compute)
    open()
    await Promise.all([first, same, other])
    expect(asked.map(({ captures }) => captures)).toEqual([['hook_embed'], ['hook_pos_embed']])
    expect(memory.statistics()).toMatchObject({ misses: 2, shared: 1, entries: 0 })
  })

  it('does not keep what is wanted once, unless somebody else wants it too', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    await memory.run('m', input({ captures: ['hook_embed'] }), compute, { transient: true })
    expect(memory.statistics().entries).toBe(0)
    await Promise.all([
      memory.run('m', input({ captures: ['hook_embed', 'hook_pos_embed'] }), compute, { transient: true }),
      memory.run('m', input({ captures: ['hook_embed'] }), compute),
    ])
    await memory.run('m', input({ captures: ['hook_embed'] }), compute)
    expect(asked).toHaveLength(2)
    expect(memory.statistics().entries).toBe(1)
  })

  it('keeps the logits of all positions and of the last apart', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    const [last, all] = await Promise.all([
      memory.run('m', input({ logits: 'last' }), compute),
      memory.run('m', input({ logits: 'all' }), compute),
    ])
    expect(asked).toHaveLength(2)
    expect([last.logits?.data[0], all.logits?.data[0]]).toEqual([1, 100])
  })

  it('returns the residual stream where a run stopped, and no logits', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    const request = input({ stopLayer: 1, logits: 'last' })
    await memory.run('m', request, compute)
    const { residual, logits } = await memory.run('m', request, compute)
    expect(asked).toHaveLength(1)
    expect(residual?.data[0]).toBe(7)
    expect(logits).toBeNull()
  })

  it('does not mix models or providers', async () => {
    const memory = new CaptureMemory(MB)
    const { asked, compute } = recorder()
    await memory.run('model on cpu', input({ captures: ['hook_embed'] }), compute)
    await memory.run('model on webgpu', input({ captures: ['hook_embed'] }), compute)
    expect(asked).toHaveLength(2)
    memory.forget('model on cpu')
    await memory.run('model on webgpu', input({ captures: ['hook_embed'] }), compute)
    await memory.run('model on cpu', input({ captures: ['hook_embed'] }), compute)
    expect(asked).toHaveLength(3)
  })

  it('gives a failure to everyone who waited, and tries again afterwards', async () => {
    const memory = new CaptureMemory(MB)
    const failing: Compute = () => Promise.reject(new PatchbayError('run.failed', 'no'))
    const request = input({ captures: ['hook_embed'] })
    const results = await Promise.allSettled([
      memory.run('m', request, failing),
      memory.run('m', request, failing),
    ])
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'run.failed' } })
    const { asked, compute } = recorder()
    await memory.run('m', request, compute)
    expect(asked).toHaveLength(1)
  })

  it('refuses a result that lacks what was asked for', async () => {
    const empty: Compute = () =>
      Promise.resolve({ lengths: [3], captures: {}, logits: null, residual: null, ...noGradients() })
    await expect(
      new CaptureMemory(MB).run('m', input({ captures: ['hook_embed'] }), empty),
    ).rejects.toMatchObject({
      code: 'internal',
    })
  })
})

describe('cancelling', () => {
  const request = input({ captures: ['hook_embed'] })
  const started = async (asked: unknown[]) => {
    while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
  }

  it('goes on for those who still wait when one of them cancels', async () => {
    const memory = new CaptureMemory(MB)
    const { promise, open } = gate()
    const { asked, signals, compute } = recorder(promise)
    const controller = new AbortController()
    const impatient = memory.run('m', request, compute, { signal: controller.signal })
    const patient = memory.run('m', request, compute)
    await started(asked)
    controller.abort()
    await expect(impatient).rejects.toMatchObject({ code: 'run.cancelled' })
    expect(signals[0]?.aborted).toBe(false)
    open()
    await expect(patient).resolves.toMatchObject({ lengths: [3] })
  })

  it('stops the run when nobody waits any more, and lets the next caller start afresh', async () => {
    const memory = new CaptureMemory(MB)
    const { promise } = gate()
    const { asked, signals, compute } = recorder(promise)
    const controller = new AbortController()
    const only = memory.run('m', request, compute, { signal: controller.signal })
    await started(asked)
    controller.abort()
    await expect(only).rejects.toMatchObject({ code: 'run.cancelled' })
    expect(signals[0]?.aborted).toBe(true)
    const again = recorder()
    await memory.run('m', request, again.compute)
    expect(again.asked).toHaveLength(1)
  })

  it('runs nothing for a caller who cancelled before', async () => {
    const { asked, compute } = recorder()
    const signal = AbortSignal.abort(new PatchbayError('engine.stopped', 'gone'))
    await expect(new CaptureMemory(MB).run('m', request, compute, { signal })).rejects.toMatchObject({
      code: 'engine.stopped',
    })
    expect(asked).toEqual([])
  })

  it('runs nothing where everyone cancelled before it started', async () => {
    const { asked, compute } = recorder()
    const controller = new AbortController()
    const call = new CaptureMemory(MB).run('m', request, compute, { signal: controller.signal })
    controller.abort()
    await expect(call).rejects.toMatchObject({ code: 'run.cancelled' })
    await new Promise((resolve) => setImmediate(resolve))
    expect(asked).toEqual([])
  })

  it('reports progress to everyone who waits', async () => {
    const seen: string[] = []
    const options = (who: string): RunOptions => ({
      onProgress: (done, total) => seen.push(`${who} ${done}/${total}`),
    })
    const memory = new CaptureMemory(MB)
    const { compute } = recorder()
    await Promise.all([
      memory.run('m', request, compute, options('a')),
      memory.run('m', request, compute, options('b')),
    ])
    expect(seen).toEqual(['a 1/2', 'b 1/2'])
  })
})
