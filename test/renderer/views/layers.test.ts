import { afterEach, describe, expect, it } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import { useInspector } from '../../../renderer/stores/inspector'
import { useSelection } from '../../../renderer/stores/selection'
import { activationGrid } from '../../../renderer/views/layers/activation-grid'
import { blockFlow } from '../../../renderer/views/layers/flow'
import LayersView from '../../../renderer/views/layers/LayersView.vue'
import { actualShape, symbolicShape } from '../../../renderer/views/layers/shapes'
import { hookGroups, parameterGroups, visibleRows } from '../../../renderer/views/layers/tree'
import { treeKey } from '../../../renderer/views/layers/tree-keys'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import { syntheticEngine } from '../support/synthetic-engine'
import { syntheticModel } from '../support/synthetic-model'
import { activation } from '../support/synthetic-views'

const model = syntheticModel()
const hookNamed = (name: string) => {
  const hook = model.hookPoints.find((h) => h.name === name)
  if (hook === undefined) throw new Error(name)
  return hook
}

describe('the picture of the data flow', () => {
  const block = model.hookPoints.filter((hook) => hook.layer === 0)
  const at = (hooks: typeof block, site: string) =>
    blockFlow(hooks)[hooks.findIndex((hook) => hook.site === site)]

  it('draws the residual stream as the spine and adds attention and MLP to it', () => {
    expect(at(block, 'hook_resid_pre')).toMatchObject({ lane: 0, mark: 'stream' })
    expect(at(block, 'ln1.hook_scale')).toMatchObject({ lane: 1, leaves: true, joins: false })
    expect(at(block, 'hook_attn_out')).toMatchObject({ lane: 1, leaves: false, joins: true })
    expect(at(block, 'hook_resid_mid')).toMatchObject({ lane: 0, mark: 'sum' })
    expect(at(block, 'hook_mlp_out')).toMatchObject({ lane: 1, joins: true })
    expect(at(block, 'hook_resid_post')).toMatchObject({ lane: 0, mark: 'sum' })
  })

  it('draws both branches beside each other where they run in parallel', () => {
    const parallel = block.filter((hook) => hook.site !== 'hook_resid_mid')
    expect(at(parallel, 'attn.hook_z')).toMatchObject({ lane: 1, passing: [2] })
    expect(at(parallel, 'ln2.hook_scale')).toMatchObject({ lane: 2, leaves: true, passing: [1] })
    expect(at(parallel, 'hook_mlp_out')).toMatchObject({ lane: 2, joins: true })
  })
})

describe('the tree of the model', () => {
  it('runs from the embedding over the blocks to the unembedding', () => {
    expect(hookGroups(model).map((group) => group.title)).toEqual([
      'Embedding',
      'Block 0',
      'Block 1',
      'Block 2',
      'Block 3',
      'Final norm',
      'Unembedding',
    ])
  })

  it('filters by words in name, meaning, shape and block, and opens what it finds', () => {
    const found = visibleRows(hookGroups(model), new Set(), 'block 2 pattern')
    expect(found.map((row) => row.id)).toEqual(['block 2', 'blocks.2.attn.hook_pattern'])
    expect(visibleRows(hookGroups(model), new Set(), 'nothing like it')).toEqual([])
    expect(
      visibleRows(hookGroups(model), new Set(), 'D_MLP').filter((row) => row.kind === 'hook'),
    ).toHaveLength(12)
  })

  it('shows only open groups and shortens parameter names by what they share', () => {
    const rows = visibleRows(parameterGroups(model), new Set(['block 1']), '')
    expect(rows.filter((row) => row.kind === 'group')).toHaveLength(5)
    expect(rows.filter((row) => row.kind === 'parameter').map((row) => row.name)).toContain(
      'self_attn.q_proj.weight',
    )
  })

  it('is walked by keys as a tree', () => {
    const rows = visibleRows(hookGroups(model), new Set(['block 0']), '')
    expect(treeKey(rows, 0, 'ArrowDown')).toEqual({ do: 'move', to: 1 })
    expect(treeKey(rows, 0, 'ArrowRight')).toEqual({ do: 'open', group: 'embedding' })
    expect(treeKey(rows, 1, 'ArrowLeft')).toEqual({ do: 'close', group: 'block 0' })
    expect(treeKey(rows, 3, 'ArrowLeft')).toEqual({ do: 'move', to: 1 })
    expect(treeKey(rows, 3, 'Enter')).toEqual({ do: 'choose', at: 3 })
    expect(treeKey(rows, 3, 'z')).toBeNull()
  })

  it('says shapes in symbols with the model’s numbers, and in numbers for the prompt', () => {
    expect(symbolicShape(hookNamed('blocks.0.attn.hook_q'))).toBe('[batch, pos, head 4, d_head 32]')
    expect(actualShape(hookNamed('blocks.0.attn.hook_q'), 14)).toBe('[1, 14, 4, 32]')
    expect(actualShape(hookNamed('blocks.0.attn.hook_pattern'), 14)).toBe('[1, 4, 14, 14]')
  })
})

describe('an activation as a grid', () => {
  const tokens = ['<s>', '·a', '·b']
  const ids = [0, 8, 9]

  it('of the residual stream has a row a position', () => {
    const grid = activationGrid(activation(model, ids, 'blocks.1.hook_resid_pre', 2048), tokens, null)
    expect([grid.rows, grid.columns.length]).toEqual([['0 <s>', '1 ·a', '2 ·b'], 128])
    expect(grid.domain.kind).toBe('diverging')
    expect(grid.place(2, 7)).toEqual({ position: 2, head: null, index: [2, 7] })
  })

  it('of queries shows one head’s columns, or all', () => {
    const view = activation(model, ids, 'blocks.1.attn.hook_q', 2048)
    const one = activationGrid(view, tokens, 2)
    expect(one.columns).toHaveLength(32)
    expect(one.values[33]).toBe(view.heatmap.data[128 + 64 + 1])
    expect(one.place(1, 5)).toEqual({ position: 1, head: 2, index: [1, 2, 5] })
    expect(activationGrid(view, tokens, null).columns[33]).toBe('1:1')
  })

  it('of attention has a row a query, on the scale of probabilities', () => {
    const view = activation(model, ids, 'blocks.1.attn.hook_pattern', 2048)
    const grid = activationGrid(view, tokens, 3)
    expect(grid.rows).toEqual(['0 <s>', '1 ·a', '2 ·b'])
    expect(grid.domain).toEqual({ kind: 'sequential', min: 0, max: 1 })
    expect(grid.place(1, 2)).toEqual({ position: 1, head: 3, index: [3, 1, 2] })
    expect(activationGrid(view, tokens, null).place(4, 0)).toEqual({ position: 1, head: 1, index: [1, 1, 0] })
  })

  it('leaves masked attention scores without a colour', () => {
    const grid = activationGrid(activation(model, ids, 'blocks.1.attn.hook_attn_scores', 2048), tokens, 0)
    expect(grid.values[1]).toBeNaN()
    expect(Number.isFinite(grid.values[3])).toBe(true)
    expect(Number.isFinite(grid.domain.max)).toBe(true)
  })
})

describe('the layers view', () => {
  withLayout()
  let mounted: MountedView | null = null
  afterEach(() => {
    mounted?.view.unmount()
    mounted = null
  })
  const open = async (...args: Parameters<typeof mountView>) => {
    mounted = await mountView(...args)
    await settle()
    return mounted
  }
  const row = ({ view }: MountedView, text: string) => {
    const found = view.findAll('[role=treeitem]').find((item) => item.text().startsWith(text))
    if (found === undefined) throw new Error(`no row ${text}`)
    return found
  }
  const hooksAsked = ({ engine }: MountedView) =>
    engine.made.flatMap(({ name, input }) =>
      name === 'activation.view' && typeof input === 'object' && input !== null && 'hook' in input
        ? [input.hook]
        : [],
    )

  it('shows the output of the selected block at once', async () => {
    const opened = await open(LayersView)
    expect(hooksAsked(opened)).toEqual(['blocks.3.hook_resid_post'])
    expect(
      opened.view.get('[role=application][aria-roledescription=heatmap]').attributes('aria-label'),
    ).toContain('15 rows, 128 columns')
  })

  it('asks for a hook point that is clicked, and makes its block the shared selection', async () => {
    const opened = await open(LayersView)
    await row(opened, 'Block 1').trigger('click')
    await settle()
    await opened.view
      .findAll('[role=treeitem]')
      .filter((item) => item.text().startsWith('attn.hook_z'))[0]
      .trigger('click')
    await settle()
    expect(hooksAsked(opened).at(-1)).toBe('blocks.1.attn.hook_z')
    expect(useSelection().current.layer).toBe(1)
    expect(useInspector().subject).toBeNull()
    useInspector().follow('layers')
    expect(useInspector().subject).toMatchObject({
      hook: 'blocks.1.attn.hook_z',
      shape: '[batch, pos, head 4, d_head 32] = [1, 15, 4, 32]',
    })
  })

  it('follows the shared selection to another layer', async () => {
    const opened = await open(LayersView)
    useSelection().select({ layer: 2 })
    await settle()
    expect(hooksAsked(opened).at(-1)).toBe('blocks.2.hook_resid_post')
  })

  it('selects the position of a cell everywhere', async () => {
    const opened = await open(LayersView)
    const heatmap = opened.view.get('[aria-roledescription=heatmap]')
    await heatmap.trigger('focus')
    await heatmap.trigger('keydown', { key: 'ArrowUp' })
    await heatmap.trigger('keydown', { key: 'Enter' })
    expect(useSelection().current.position).toBe(13)
  })

  it('lists parameters with shape, storage and size, and shows statistics of one', async () => {
    const opened = await open(LayersView)
    await opened.view.findAll('[role=tab]')[1].trigger('mousedown')
    await settle()
    const q = row(opened, 'self_attn.q_proj.weight')
    expect(q.text()).toContain('[128, 128] F32 64.0 KiB')
    await q.trigger('click')
    await settle()
    expect(opened.engine.made.at(-1)).toMatchObject({
      name: 'model.weights',
      input: { parameter: 'model.layers.3.self_attn.q_proj.weight' },
    })
    expect(opened.view.text()).toContain('Frobenius norm2.72')
  })

  it('says what went wrong and tries again', async () => {
    let failures = 1
    const answer = syntheticEngine().answers['activation.view']
    const engine = syntheticEngine({
      'activation.view': (input, context) => {
        if (failures-- > 0)
          throw new PatchbayError('memory.exhausted', 'The activation does not fit.', {
            next: 'Use a shorter prompt.',
          })
        if (answer === undefined) throw new Error('no answer')
        return answer(input, context)
      },
    })
    const { view } = await open(LayersView, engine)
    expect(view.get('[role=alert]').text()).toContain('The activation does not fit.')
    expect(view.get('[role=alert]').text()).toContain('Use a shorter prompt.')
    await view
      .findAll('button')
      .filter((button) => button.text() === 'Try again')[0]
      .trigger('click')
    await settle()
    expect(view.find('[aria-roledescription=heatmap]').exists()).toBe(true)
  })

  it('keeps only rows in sight in the document, however many layers there are', async () => {
    const opened = await open(LayersView, syntheticEngine({}, syntheticModel(60)))
    await opened.view
      .findAll('button')
      .filter((button) => button.text() === 'Open all')[0]
      .trigger('click')
    await settle()
    const shown = opened.view.findAll('[role=treeitem]').length
    expect(shown).toBeGreaterThan(10)
    expect(shown).toBeLessThan(120)
  })

  it('is accessible', async () => {
    await open(LayersView)
    expect(await violations()).toEqual([])
  })
})
