import { afterEach, describe, expect, it, vi } from 'vitest'
import { nextTick } from 'vue'
import type { CallArguments, CallName } from '../../../preload/api'
import { PatchbayError } from '../../../preload/errors'
import { useInspector } from '../../../renderer/stores/inspector'
import { usePrompt } from '../../../renderer/stores/prompt'
import { useSelection } from '../../../renderer/stores/selection'
import AttributionView from '../../../renderer/views/attribution/AttributionView.vue'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'
import { syntheticToken } from '../support/synthetic-model'

describe('the attribution view', () => {
  withLayout()
  let mounted: MountedView | null = null
  afterEach(() => {
    mounted?.view.unmount()
    mounted = null
  })

  const second = 'When Mary and John went to the store , Mary gave a drink to'
  async function open(answers: Answers = {}, corrupt = second): Promise<MountedView> {
    mounted = await mountView(AttributionView, syntheticEngine(answers))
    useInspector().follow('attribution')
    usePrompt().drafts.B.text = corrupt
    if (corrupt === '') usePrompt().slots.B.tokens = null
    else await usePrompt().encode('B')
    await settle()
    return mounted
  }
  const tab = async ({ view }: MountedView, text: string) => {
    await view
      .findAll('[role=tab]')
      .filter((candidate) => candidate.text() === text)[0]
      .trigger('mousedown')
    await settle()
  }
  const button = ({ view }: MountedView, text: string) => {
    const found = view.findAll('button').find((candidate) => candidate.text().startsWith(text))
    if (found === undefined) throw new Error(`no button ${text}`)
    return found
  }
  const asked = <N extends CallName>({ engine }: MountedView, name: N): CallArguments<N>[] =>
    engine.made.filter((call) => call.name === name).map(({ input }) => input as CallArguments<N>)
  const inspected = () => useInspector().subject

  it('chooses the metric by itself: the likeliest token against another one, at the last position', async () => {
    const opened = await open()
    expect(asked(opened, 'attribution.direct')[0]).toMatchObject({
      positive: 4,
      negative: 5,
      position: 'last',
    })
    expect(opened.view.text()).toContain('parts add up to 7, remainder 0.001')
  })

  it('attributes towards a clicked token and against another', async () => {
    const opened = await open()
    await opened.view.findAll('.name')[3].trigger('click')
    await opened.view.findAll('.minus')[2].trigger('click')
    await settle()
    expect(asked(opened, 'attribution.direct').at(-1)).toMatchObject({ positive: 7, negative: 6 })
    await button(opened, 'Swap').trigger('click')
    await settle()
    expect(asked(opened, 'attribution.direct').at(-1)).toMatchObject({ positive: 6, negative: 7 })
    await button(opened, 'Choose for me').trigger('click')
    await settle()
    expect(opened.view.findAll('.name')[0].attributes('aria-pressed')).toBe('true')
  })

  it('takes a typed token, and offers the parts of a text of several', async () => {
    const opened = await open()
    const field = opened.view.get('input[aria-label="Another token"]')
    await field.setValue('Zed')
    await opened.view.get('form').trigger('submit')
    await settle()
    expect(asked(opened, 'attribution.direct').at(-1)?.positive).toBe(40)
    await field.setValue('two parts')
    await opened.view.get('form').trigger('submit')
    await settle()
    expect(opened.view.text()).toContain('That is 2 tokens')
    await opened.view.findAll('.several button')[1].trigger('click')
    await settle()
    expect(asked(opened, 'attribution.direct').at(-1)?.positive).toBe(31)
  })

  it('explains the selected head, and lists the neurons of its layer', async () => {
    const opened = await open()
    useSelection().select({ layer: 2, head: 1 })
    await settle()
    expect(inspected()).toMatchObject({ title: 'Direct logit attribution · head 2.1' })
    expect(inspected()?.rows).toContainEqual({ label: 'Writes', value: '+9', mono: true })
    await vi.waitFor(() =>
      expect(asked(opened, 'attribution.direct').some(({ neurons }) => neurons?.layer === 2)).toBe(true),
    )
  })

  it('colours tokens and says how much integrated gradients leave unexplained', async () => {
    const opened = await open()
    await tab(opened, 'Tokens')
    const tokens = usePrompt().slots.A.tokens ?? []
    expect(opened.view.findAll('.chip')).toHaveLength(tokens.length)
    expect(opened.view.text()).toContain('the metric changes by +2')
    expect(opened.view.text()).toContain('leave −0.5 of it unexplained (25 %)')
    await opened.view.findAll('.chip')[3].trigger('click')
    expect(useSelection().current.position).toBe(3)
    await opened.view
      .findAll('[role=radio]')
      .filter((radio) => radio.text().startsWith('Gradient'))[0]
      .trigger('click')
    await settle()
    expect(asked(opened, 'attribution.tokens').at(-1)?.method).toBe('gradient-input')
    expect(opened.view.text()).not.toContain('unexplained')
  })

  it('estimates patching, patches clicked places for real, and shows both', async () => {
    const opened = await open()
    await tab(opened, 'Patching')
    expect(opened.view.text()).toContain('clean 3, corrupt −1 logits')
    const titles = opened.view.findAll('h2').map((heading) => heading.text())
    expect(titles).toEqual(
      expect.arrayContaining([
        'Residual stream into a block',
        'Heads, all positions',
        'MLP output',
        'Neurons',
      ]),
    )
    useSelection().select({ layer: 1, head: 2 })
    await settle()
    const map = opened.view.get('[aria-label^="Heads, all positions"]')
    await map.trigger('focus')
    await map.trigger('keydown', { key: 'Enter' })
    await settle()
    expect(asked(opened, 'attribution.patch')).toMatchObject([
      { direction: 'denoising', places: [{ hook: 'blocks.1.attn.hook_z', head: 2 }] },
    ])
    expect(inspected()?.title).toBe('Patching · head 1.2')
    expect(inspected()?.rows).toContainEqual({ label: 'Exact', value: '+0.5', mono: true })
    await button(opened, 'Patch the 20 largest').trigger('click')
    await settle()
    expect(asked(opened, 'attribution.patch')[1].places.length).toBeGreaterThan(10)
    expect(opened.view.text()).toMatch(/\d\d patched; mean error/)
  })

  it('forgets what was patched when the question changes', async () => {
    const opened = await open()
    await tab(opened, 'Patching')
    await button(opened, 'Patch the 20 largest').trigger('click')
    await settle()
    expect(opened.view.text()).toContain('20 patched')
    await button(opened, 'Corrupt into clean').trigger('click')
    await settle()
    expect(opened.view.text()).toContain('Nothing patched for real yet')
  })

  it('says why nothing is normalised', async () => {
    const problem = 'Clean and corrupt have the same metric.'
    const { answers } = syntheticEngine()
    const opened = await open({
      'attribution.patching': async (input, context) => {
        const result = await answers['attribution.patching']?.(input, context)
        if (result === undefined) throw new Error('no answer')
        return { ...result, ends: { ...result.ends, problem } }
      },
    })
    await tab(opened, 'Patching')
    expect(opened.view.text()).toContain(problem)
  })

  it('draws the circuit, lights a part’s edges, and selects a head by keyboard', async () => {
    const opened = await open()
    await tab(opened, 'Circuit')
    expect(opened.view.text()).toContain('of 479 edges, 75 % of all that is attributed')
    const nodes = opened.view.findAll('svg .node')
    expect(nodes.map((node) => node.text()).sort()).toEqual(['0.0', '1.1', '1.2', 'M0', 'embed', 'logits'])
    const head = nodes.filter((node) => node.text() === '1.2')[0]
    await head.trigger('focus')
    const strong = opened.view.findAll('.edge').filter((edge) => edge.attributes('stroke-opacity') === '0.95')
    expect(strong).toHaveLength(2)
    await head.trigger('keydown', { key: 'Enter' })
    expect(useSelection().current).toMatchObject({ layer: 1, head: 2 })
    await settle()
    expect(inspected()?.title).toBe('Circuit · head 1.2')
  })

  it('measures faithfulness only when asked', async () => {
    const opened = await open()
    await tab(opened, 'Circuit')
    expect(asked(opened, 'attribution.faithfulness')).toEqual([])
    await button(opened, 'Measure').trigger('click')
    await settle()
    const circuits = asked(opened, 'attribution.faithfulness')[0].circuits
    expect(circuits).toContainEqual({ top: 0 })
    expect(circuits).toContainEqual({ top: 479 })
    expect(opened.view.text()).toContain('40 edges keep 8.35 % of the difference')
  })

  it('asks for a second prompt where there is none, and for one of the same length for a circuit', async () => {
    const opened = await open({}, '')
    await tab(opened, 'Patching')
    expect(opened.view.text()).toContain('Patching needs two prompts')
    usePrompt().drafts.B.text = 'short'
    await usePrompt().encode('B')
    await tab(opened, 'Circuit')
    expect(opened.view.text()).toContain('The two prompts differ in length')
  })

  it('shows an error of the engine with its next step, and tries again', async () => {
    let failures = 1
    const { answers } = syntheticEngine()
    const opened = await open({
      'attribution.direct': (input, context) => {
        if (failures-- > 0)
          throw new PatchbayError('model.unsupported', 'Norms after the sublayers.', {
            next: 'Use another model.',
          })
        const answer = answers['attribution.direct']?.(input, context)
        if (answer === undefined) throw new Error('no answer')
        return answer
      },
    })
    expect(opened.view.text()).toContain('Norms after the sublayers.')
    expect(opened.view.text()).toContain('Use another model.')
    await button(opened, 'Try again').trigger('click')
    await settle()
    expect(opened.view.text()).toContain('parts add up to')
  })

  it('shows hostile tokens as text', async () => {
    const hostile = {
      ...syntheticToken(4),
      text: '<img src=x onerror=alert(1)>',
      piece: '<img src=x onerror=alert(1)>',
    }
    const { answers } = syntheticEngine()
    const opened = await open({
      'logits.next': async (input, context) => {
        const result = await answers['logits.next']?.(input, context)
        if (result === undefined) throw new Error('no answer')
        return {
          ...result,
          top: result.top.map((candidate, i) => (i === 0 ? { ...candidate, ...hostile } : candidate)),
        }
      },
    })
    expect(opened.view.text()).toContain('<img·src=x·onerror=alert(1)>')
    expect(opened.view.find('img').exists()).toBe(false)
  })

  it.each(['Parts', 'Tokens', 'Patching', 'Circuit'])('is accessible: %s', async (name) => {
    const opened = await open()
    await tab(opened, name)
    await nextTick()
    expect(await violations(opened.view.element as Element)).toEqual([])
  })
})
