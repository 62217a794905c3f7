import { describe, expect, it } from 'vitest'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { decodeNpy } from '../../../main/models/formats/npy'
import { PatchbayError } from '../../../preload/errors'
import { sweepRequest } from '../../../preload/sweep'
import { usePrompt } from '../../../renderer/stores/prompt'
import { comparable, sitesOf, type FinishedSweep } from '../../../renderer/views/patch/finished'
import { orderOf, shownValues } from '../../../renderer/views/patch/sweep-values'
import { violations } from '../support/accessible'
import { encodeByWords } from '../support/encode-by-words'
import { withLayout } from '../support/layout'
import { settle } from '../support/mount-view'
import { asked, button, choose, patchView, secondPrompt, sweeps } from '../support/patch-view'
import { syntheticEngine } from '../support/synthetic-engine'
import { patchedMetric } from '../support/synthetic-sweep'

describe('the values of a sweep', () => {
  const ends = [{ clean: 3, corrupt: -1, problem: null }]
  const raw = Float32Array.of(1, NaN, 3)
  const estimate = { shape: [1, 3], data: Float32Array.of(9, 2, 9) }

  it('are shares between corrupt and clean, estimates where nothing exact is there', () => {
    const shown = shownValues(raw, { ends }, 'denoising', estimate, 'normalised')
    expect([...shown.values]).toEqual([0.5, 0.5, 1])
    expect(shown.estimated).toEqual([false, true, false])
  })

  it('are effects against the prompt that is run', () => {
    expect([...shownValues(raw, { ends }, 'noising', null, 'effect').values]).toEqual([-2, NaN, 0])
    expect([...shownValues(raw, { ends }, 'noising', estimate, 'effect').values]).toEqual([-2, 2, 0])
  })

  it('are wanted in the order of their estimates, those without a partner never', () => {
    expect(orderOf({ shape: [2, 2], data: Float32Array.of(1, NaN, -5, 3) })).toEqual([2, 3, 0])
    expect(orderOf(null)).toBeUndefined()
  })
})

describe('the patch view', () => {
  withLayout()
  const { open } = patchView()
  it('sweeps the residual stream at once, what was estimated largest first', async () => {
    const opened = await open()
    const [request] = sweeps(opened)
    expect(sweeps(opened)).toHaveLength(1)
    expect(request).toMatchObject({
      direction: 'denoising',
      source: { kind: 'prompt' },
      target: { kind: 'grid', component: 'resid_pre', by: ['position'] },
      metrics: [{ kind: 'logit-difference', positive: [4], negative: [5], position: 'last' }],
    })
    const places = 4 * (usePrompt().slots.B.tokens?.length ?? 0)
    expect(new Set(request.order).size).toBe(places)
    expect(opened.view.text()).toContain(`${places} of ${places} places in 0.25 s`)
    expect(opened.view.text()).toContain('clean 3, corrupt −1 logits')
  })

  it('copies the sweep as request, as a command and as a program, by the keyboard', async () => {
    const opened = await open()
    for (const at of [0, 1, 2]) {
      await button(opened, 'Copy as').trigger('keydown', { key: 'Enter' })
      await settle()
      const items = Array.from(document.querySelectorAll<HTMLElement>('[role="menuitem"]'))
      expect(items.map(({ textContent }) => textContent?.trim())).toEqual([
        'Request (JSON)',
        'Command line',
        'Python (TransformerLens)',
      ])
      if (at === 0) expect(await violations(items[0].closest('[role="menu"]') ?? undefined)).toEqual([])
      items[at].dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
      await settle()
    }
    const [json, command, python] = opened.shell.clipboard
    expect(sweepRequest.parse(JSON.parse(json)).pairs[0].clean).toEqual(usePrompt().slots.A.tokens)
    expect(command).toContain('npx patchbay patch --model abababababababab --provider cpu --request')
    expect(python).toContain('get_act_name("resid_pre", layer)')
  })

  it('saves its values as an array in the shape of the plan, with what they were computed on', async () => {
    const opened = await open()
    await opened.view.get('[aria-label="Export Places"]').trigger('keydown', { key: 'Enter' })
    await settle()
    const items = Array.from(document.querySelectorAll<HTMLElement>('[role="menuitem"]'))
    const item = items.find(({ textContent }) => textContent?.includes('of the metric'))
    item?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
    await settle()
    const [file] = opened.shell.saved
    const array = decodeNpy(file.bytes, 'the file')
    const positions = usePrompt().slots.B.tokens?.length ?? 0
    expect(array.shape).toEqual([4, positions])
    expect(Array.from(array.data as Float32Array)).toEqual(
      Array.from({ length: 4 * positions }, (_, site) => patchedMetric(site)),
    )
    expect(new TextDecoder().decode(file.beside)).toContain('"fingerprint": "abab')
  })

  it('exports a Parquet table of its places, with what it was computed on', async () => {
    const opened = await open()
    await opened.view.get('[aria-label="Export Places"]').trigger('keydown', { key: 'Enter' })
    await settle()
    Array.from(document.querySelectorAll<HTMLElement>('[role="menuitem"]'))
      .find(({ textContent }) => textContent?.includes('Parquet'))
      ?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
    await settle()
    const bytes = new Uint8Array(opened.shell.saved[0].bytes).buffer
    const rows = (await parquetReadObjects({ file: bytes })) as { layer: string; metric: number }[]
    expect(rows).toHaveLength(4 * (usePrompt().slots.B.tokens?.length ?? 0))
    expect(Math.max(...rows.map(({ metric }) => metric))).toBe(3)
    const { key_value_metadata: about } = parquetMetadata(bytes)
    expect(about?.[0].value).toContain('"fingerprint":"abab')
  })

  it('offers a corrupt prompt where there is none', async () => {
    const opened = await open({ 'prompt.encode': encodeByWords }, '')
    await usePrompt().encode('A')
    await settle()
    expect(await violations(opened.view.element as Element)).toEqual([])
    await button(opened, 'Suggest a corrupt prompt').trigger('click')
    await settle(16)
    expect(usePrompt().drafts.B.text).toBe(secondPrompt)
    expect(opened.view.text()).not.toContain('Patching needs two prompts')
    expect(sweeps(opened).length).toBeGreaterThan(0)
  })

  it('lists places by size above a threshold, and selects from the list', async () => {
    const opened = await open()
    const rows = opened.view.get('[aria-label="Places by effect"]').findAll('tbody tr')
    expect(rows).toHaveLength(Math.min(100, 4 * (usePrompt().slots.B.tokens?.length ?? 0)))
    expect(rows[0].text()).toContain('1')
    await rows[0].get('button').trigger('click')
    await settle(16)
    expect(asked(opened, 'sweep.site')).toHaveLength(1)
  })

  it('keeps a sweep and draws the difference to the next', async () => {
    const opened = await open()
    await button(opened, 'Keep to compare').trigger('click')
    await choose(opened, 'Direction', 'corrupt into clean')
    expect(opened.view.text()).toContain('Residual stream, before now − Residual stream, before kept')
    await button(opened, 'Drop what was kept').trigger('click')
    expect(opened.view.text()).not.toContain('Drop what was kept')
  })

  it('keeps what it has when stopped, and goes on with the rest only', async () => {
    let hold: Promise<void> | null = null
    let release = (): void => undefined
    const { answers } = syntheticEngine()
    const opened = await open({
      'sweep.run': async (input, context) => {
        const run = answers['sweep.run']
        if (run === undefined) throw new Error('no answer')
        if (input.known !== undefined || input.target.kind !== 'grid') return run(input, context)
        let batches = 0
        hold = new Promise((resolve) => (release = resolve))
        // The first half arrives, then it takes its time.
        const output = run(input, {
          ...context,
          progress: (value) => {
            if (value.kind === 'plan' || batches++ === 0) context.progress(value)
          },
        })
        await hold
        return output
      },
    })
    await button(opened, 'Stop').trigger('click')
    await settle()
    release()
    expect(opened.view.text()).toMatch(/stopped at \d+ of \d+ places/)
    await button(opened, 'Go on').trigger('click')
    await settle(16)
    const [, again] = sweeps(opened)
    expect(again.known?.sites.length).toBe(Math.ceil((4 * (usePrompt().slots.B.tokens?.length ?? 0)) / 2))
    expect(opened.view.text()).toContain('places in 0.25 s')
  })

  it('draws seven kinds in one picture', async () => {
    const opened = await open()
    await button(opened, 'Seven').trigger('click')
    await settle(24)
    const swept = sweeps(opened).map(({ target }) => (target.kind === 'grid' ? target.component : ''))
    expect([...new Set(swept)].sort()).toEqual(['attn_out', 'k', 'mlp_out', 'q', 'resid_pre', 'v', 'z'])
  })

  it('pairs positions where the prompts differ in length, and says so', async () => {
    const opened = await open({}, 'When Mary and John went to the old park , Mary gave a drink to')
    expect(sweeps(opened).at(-1)?.pairs[0].alignment).toBe('auto')
    expect(opened.view.text()).toContain('positions are paired by edit distance')
  })

  it('says why nothing is normalised, and shows effects', async () => {
    const problem = 'Clean and corrupt have the same metric.'
    const { answers } = syntheticEngine()
    const opened = await open({
      'sweep.run': async (input, context) => {
        const output = await answers['sweep.run']?.(input, context)
        if (output === undefined) throw new Error('no answer')
        const ends = output.plan.ends.map(() => ({ clean: 3, corrupt: 3, problem }))
        return { ...output, plan: { ...output.plan, ends } }
      },
    })
    expect(opened.view.text()).toContain(problem)
    expect(opened.view.get('[aria-label="Places by effect"]').text()).toContain('effect')
  })

  it('asks for a second prompt, and shows an error with its next step', async () => {
    const opened = await open({}, '')
    expect(opened.view.text()).toContain('Patching needs two prompts')
    opened.view.unmount()
    const failing = await open({
      'sweep.run': () => {
        throw new PatchbayError('hook.unavailable', 'There is no such place.', { next: 'Choose another.' })
      },
    })
    expect(failing.view.text()).toContain('There is no such place.')
    expect(failing.view.text()).toContain('Choose another.')
  })

  it('is accessible', async () => {
    const opened = await open()
    expect(await violations(opened.view.element as Element)).toEqual([])
  })
})

describe('the metrics of the patch view', () => {
  withLayout()
  const { open } = patchView()

  it('shows every metric for clean and corrupt, and chooses one by a click', async () => {
    const opened = await open()
    // They come after the map.
    await new Promise((resolve) => setTimeout(resolve, 450))
    await settle()
    const table = opened.view.get('table.ends')
    expect(table.findAll('tbody tr').map((row) => row.get('button').text())).toEqual([
      'Logit difference',
      'Logit',
      'Log-probability',
      'Probability',
      'Rank',
      'KL from clean',
    ])
    expect(table.get('tbody tr').text()).toContain('3−1')
    await table.findAll('button')[3].trigger('click')
    await settle(16)
    expect(sweeps(opened).at(-1)?.metrics).toEqual([{ kind: 'probability', token: 4, position: 'last' }])
  })

  it('measures a weighted sum over the tokens that are clicked', async () => {
    const opened = await open()
    await choose(opened, 'Metric', 'Weighted sum')
    expect(opened.view.text()).toContain('Choose tokens: click one to count it')
    const before = sweeps(opened).length
    const [first] = opened.view.findAll('.tokens .name')
    await first.trigger('click')
    await opened.view.findAll('.tokens .minus')[1].trigger('click')
    const weight = opened.view.findAll<HTMLInputElement>('[aria-label^="Weight of"]')[1]
    weight.element.value = '-0.5'
    await weight.trigger('change')
    await settle(16)
    expect(sweeps(opened).length).toBeGreaterThan(before)
    expect(sweeps(opened).at(-1)?.metrics).toEqual([
      { kind: 'linear', of: 'logits', tokens: [4, 5], weights: [1, -0.5], position: 'last' },
    ])
    weight.element.value = 'nothing'
    await weight.trigger('change')
    expect(weight.element.value).toBe('-0.5')
    expect(await violations(opened.view.element as Element)).toEqual([])
  })
})

describe('finished sweeps', () => {
  const sweep = {
    title: 'x',
    frame: { rows: [0, 1], columns: [0, 1], rowTitle: 'layer', columnTitle: 'head' },
    rows: ['0', '1'],
    columns: ['0', '1'],
    values: Float32Array.of(0.1, -0.9, 0.5, 0),
    scale: 'normalised',
    result: { raw: { shape: [1, 2, 2], data: Float32Array.of(1, 2, 3, 4) } },
    sites: null,
  } as unknown as FinishedSweep

  it('are listed by magnitude down to a threshold', () => {
    expect(sitesOf(sweep, 0.4).map(({ index, row, column, raw }) => [index, row, column, raw])).toEqual([
      [1, '0', '1', 2],
      [2, '1', '0', 3],
    ])
  })

  it('are compared only where their maps mean the same', () => {
    expect(comparable(sweep, sweep)).toBe(true)
    expect(comparable(sweep, { ...sweep, scale: 'effect' })).toBe(false)
    expect(comparable(sweep, { ...sweep, columns: ['0'] })).toBe(false)
    const neurons = { ...sweep, frame: { ...sweep.frame, rowTitle: 'neuron' } }
    expect(comparable(neurons, { ...neurons, rows: ['0', '2'] })).toBe(false)
  })
})
