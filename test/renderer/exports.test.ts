import { mount } from '@vue/test-utils'
import { TooltipProvider } from 'reka-ui'
import { h } from 'vue'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { readTheme } from '../../renderer/charts/theme'
import { builtinCommands } from '../../renderer/commands/builtin'
import { useCommands } from '../../renderer/commands/registry'
import Panel from '../../renderer/components/Panel.vue'
import { drawingSvg } from '../../renderer/exports/drawing'
import { useInspector } from '../../renderer/stores/inspector'
import { attentionDrawing } from '../../renderer/views/prompt/attention-lines'
import { setUp } from './support/setup'

const theme = readTheme(document.documentElement)

describe('the key for exporting', () => {
  afterEach(() => {
    document.body.innerHTML = ''
  })

  it('means the panel that has the focus, else what the inspector explains', () => {
    setUp()
    useCommands().register(builtinCommands(() => undefined))
    const [ofPanel, ofInspector] = [vi.fn(), vi.fn()]
    const app = mount(
      () =>
        h(TooltipProvider, null, {
          default: () =>
            h(
              Panel,
              { title: 'Heads', exports: [{ id: 'png', label: 'PNG picture', run: ofPanel }] },
              { default: () => h('button', { class: 'inside' }, 'a cell') },
            ),
        }),
      { attachTo: document.body },
    )
    useInspector().inspect('prompt', {
      title: 'x',
      rows: [],
      explanation: '',
      exports: [{ id: 'csv', label: 'CSV table', run: ofInspector }],
    })
    useCommands().run('export.save')
    expect([ofPanel, ofInspector].map((run) => run.mock.calls.length)).toEqual([0, 1])
    app.get<HTMLElement>('.inside').element.focus()
    useCommands().run('export.save')
    expect([ofPanel, ofInspector].map((run) => run.mock.calls.length)).toEqual([1, 1])
    app.unmount()
    useCommands().run('export.save')
    expect(ofInspector).toHaveBeenCalledTimes(2)
  })
})

describe('the lines of a head as a drawing', () => {
  const pattern = new Float32Array([1, 0, 0.25, 0.75])

  it('have every token on both sides and a line for each weight, wide by its strength', () => {
    const svg = drawingSvg(attentionDrawing(pattern, ['·a 0', '·b 1'], 'Layer 1 · head 2', 'accent'), theme)
    const parsed = new DOMParser().parseFromString(svg, 'image/svg+xml')
    expect([...parsed.querySelectorAll('text')].map((text) => text.textContent)).toEqual([
      'Layer 1 · head 2',
      ...['·a 0', '·a 0', '·b 1', '·b 1'],
    ])
    expect([...parsed.querySelectorAll('path')].map((path) => path.getAttribute('stroke-width'))).toEqual([
      '1.125',
      '2.375',
      '3',
    ])
  })

  it('show hostile tokens as text', () => {
    const svg = drawingSvg(attentionDrawing(pattern, ['<script>', '"><img src=x>'], '</svg>', 'pin'), theme)
    expect(svg).not.toContain('<script')
    expect(svg).not.toContain('<img')
    expect(svg.match(/<\/svg>/g)).toHaveLength(1)
  })
})
