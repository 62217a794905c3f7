import { afterEach, describe, expect, it } from 'vitest'
import type { CallArguments, CallName } from '../../../preload/api'
import { PatchbayError } from '../../../preload/errors'
import { useInspector } from '../../../renderer/stores/inspector'
import { usePrompt } from '../../../renderer/stores/prompt'
import { useSelection } from '../../../renderer/stores/selection'
import PatchView from '../../../renderer/views/patch/PatchView.vue'
import { comparable, sitesOf, type FinishedSweep } from '../../../renderer/views/patch/finished'
import { likeliest, probabilities } from '../../../renderer/views/patch/site-distribution'
import { orderOf, shownValues } from '../../../renderer/views/patch/sweep-values'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'

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

describe('a patched distribution', () => {
  it('is the softmax of its logits, also of large ones', () => {
    const p = probabilities(Float32Array.of(1000, 1000 + Math.log(3)))
    expect(p[0]).toBeCloseTo(0.25, 4)
    expect(likeliest(p, 1)).toEqual([1])
  })
})

describe('the patch view', () => {
  withLayout()
  let mounted: MountedView | null = null
  afterEach(() => {
    mounted?.view.unmount()
    mounted = null
  })

  const second = 'When Mary and John went to the store , Mary gave a drink to'
  async function open(answers: Answers = {}, corrupt = second): Promise<MountedView> {
    mounted = await mountView(PatchView, syntheticEngine(answers))
    useInspector().follow('patch')
    usePrompt().drafts.B.text = corrupt
    if (corrupt === '') usePrompt().slots.B.tokens = null
    else await usePrompt().encode('B')
    await settle(16)
    return mounted
  }
  const button = ({ view }: MountedView, text: string) => {
    const found = view.findAll('button').find((candidate) => candidate.text().startsWith(text))
    if (found === undefined) throw new Error(`no button ${text}`)
    return found
  }
  const asked = <N extends CallName>({ engine }: MountedView, name: N): CallArguments<N>[] =>
    engine.made.filter((call) => call.name === name).map(({ input }) => input as CallArguments<N>)

  it('sweeps the residual stream at once, what was estimated largest first', async () => {
    const opened = await open()
    const [request] = asked(opened, 'sweep.run')
    expect(asked(opened, 'sweep.run')).toHaveLength(1)
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

  it('patches the clicked place and shows its distribution against both prompts', async () => {
    const opened = await open()
    useSelection().select({ layer: 1, position: 2 })
    await settle()
    const map = opened.view.get('[aria-label^="Patching: Residual stream"]')
    await map.trigger('focus')
    await map.trigger('keydown', { key: 'Enter' })
    await settle(16)
    const positions = usePrompt().slots.B.tokens?.length ?? 0
    expect(asked(opened, 'sweep.site')[0].site).toBe(positions + 2)
    expect(asked(opened, 'run.execute')[0].request.logits).toBe('last')
    expect(opened.view.find('[aria-label^="Next-token probabilities: patched"]').exists()).toBe(true)
    expect(useInspector().subject?.rows).toContainEqual(
      expect.objectContaining({
        label: 'Place',
        value: expect.stringMatching(/^layer 1, position 2/) as string,
      }),
    )
  })

  it('lists places by size above a threshold, and selects from the list', async () => {
    const opened = await open()
    const rows = opened.view.findAll('tbody tr')
    expect(rows).toHaveLength(Math.min(100, 4 * (usePrompt().slots.B.tokens?.length ?? 0)))
    expect(rows[0].text()).toContain('1')
    await rows[0].get('button').trigger('click')
    await settle(16)
    expect(asked(opened, 'sweep.site')).toHaveLength(1)
  })

  it('keeps a sweep and draws the difference to the next', async () => {
    const opened = await open()
    await button(opened, 'Keep to compare').trigger('click')
    await button(opened, 'Corrupt into clean').trigger('click')
    await settle(16)
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
        if (input.known !== undefined) return run(input, context)
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
    const [, again] = asked(opened, 'sweep.run')
    expect(again.known?.sites.length).toBe(Math.ceil((4 * (usePrompt().slots.B.tokens?.length ?? 0)) / 2))
    expect(opened.view.text()).toContain('places in 0.25 s')
  })

  it('draws seven kinds in one picture', async () => {
    const opened = await open()
    await button(opened, 'Seven').trigger('click')
    await settle(24)
    const swept = asked(opened, 'sweep.run').map(({ target }) =>
      target.kind === 'grid' ? target.component : '',
    )
    expect([...new Set(swept)].sort()).toEqual(['attn_out', 'k', 'mlp_out', 'q', 'resid_pre', 'v', 'z'])
  })

  it('pairs positions where the prompts differ in length, and says so', async () => {
    const opened = await open({}, 'When Mary and John went to the old park , Mary gave a drink to')
    expect(asked(opened, 'sweep.run').at(-1)?.pairs[0].alignment).toBe('auto')
    expect(opened.view.text()).toContain('positions are paired by edit distance')
  })

  it('says why nothing is normalised, and shows effects', async () => {
    const problem = 'Clean and corrupt have the same metric.'
    const { answers } = syntheticEngine()
    const opened = await open({
      'sweep.run': async (input, context) => {
        const output = await answers['sweep.run']?.(input, context)
        if (output === undefined) throw new Error('no answer')
        return { ...output, plan: { ...output.plan, ends: [{ clean: 3, corrupt: 3, problem }] } }
      },
    })
    expect(opened.view.text()).toContain(problem)
    expect(opened.view.find('table').text()).toContain('effect')
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

describe('finished sweeps', () => {
  const sweep = {
    title: 'x',
    frame: { rows: [0, 1], columns: [0, 1], rowTitle: 'layer', columnTitle: 'head' },
    rows: ['0', '1'],
    columns: ['0', '1'],
    values: Float32Array.of(0.1, -0.9, 0.5, 0),
    scale: 'normalised',
    result: { raw: { shape: [1, 2, 2], data: Float32Array.of(1, 2, 3, 4) } },
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
  })
})
