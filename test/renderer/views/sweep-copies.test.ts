import { describe, expect, it } from 'vitest'
import { sweepRequest } from '../../../preload/sweep'
import type { SweepQuestion } from '../../../renderer/views/patch/sweep'
import { sweepPython } from '../../../renderer/views/patch/sweep-python'
import { sweepCommand, sweepRequestJson } from '../../../renderer/views/patch/sweep-request'
import { syntheticModel } from '../support/synthetic-model'

const hostile = '"""\nimport os; os.system("rm")\n\'; echo x #'
const model = { ...syntheticModel(), name: hostile }
const question: SweepQuestion = {
  model: model.handle,
  pairs: [{ clean: [0, 5, 7], corrupt: [0, 7, 5] }],
  target: { kind: 'grid', component: 'resid_pre', by: ['position'] },
  metrics: [{ kind: 'logit-difference', positive: [5], negative: [7] }],
}
const python = (change: Partial<SweepQuestion>): string =>
  sweepPython({ ...question, ...change }, model) ?? ''

describe('a copied request', () => {
  it('is the sweep that was asked for, defaults written out, with the model’s fingerprint', () => {
    const copied = JSON.parse(sweepRequestJson(question, model)) as { model: string }
    expect(copied.model).toBe(model.fingerprint)
    expect(sweepRequest.parse(copied)).toEqual(sweepRequest.parse(question))
    expect(JSON.stringify(copied)).toContain('"direction":"denoising"')
  })

  it('is one word of a command line', () => {
    const command = sweepCommand(question, model)
    const [, json] =
      /^npx patchbay patch --model [0-9a-f]{16} --provider cpu --request '([^']+)'$/.exec(command) ?? []
    expect(sweepRequest.parse(JSON.parse(json))).toEqual(sweepRequest.parse(question))
  })
})

describe('a copied program', () => {
  it('patches layers × positions as the sweep does', () => {
    expect(python({})).toMatchInlineSnapshot(`
      """"Activation patching, each place alone, with TransformerLens (pip install transformer-lens).

      Usage: python patching.py MODEL, a name or a folder that TransformerLens loads.
      The model was the one whose files have the fingerprint abababababababababababababababababababababababababababababababab.
      """
      import itertools
      import sys

      import torch

      try:  # TransformerLens 4
          from transformer_lens.model_bridge import TransformerBridge
          from transformer_lens.utilities import get_act_name

          load = TransformerBridge.boot_transformers
      except ImportError:
          from transformer_lens import HookedTransformer
          from transformer_lens.utils import get_act_name

          load = HookedTransformer.from_pretrained_no_processing

      model = load(sys.argv[1], device="cpu", dtype=torch.float32)
      torch.set_grad_enabled(False)
      clean = torch.tensor([[0, 5, 7]])
      corrupt = torch.tensor([[0, 7, 5]])
      base, other = corrupt, clean  # denoising: the corrupt prompt is run


      def metric(logits):
          return (logits[0, -1][[5]].mean() - logits[0, -1][[7]].mean()).item()


      _, cache = model.run_with_cache(other)

      layers = range(model.cfg.n_layers)
      positions = range(base.shape[1])
      values = []
      for layer, position in itertools.product(layers, positions):
          name = get_act_name("resid_pre", layer)

          def patch(activation, hook):
              patched = activation.clone()
              patched[:, position] = cache[name][:, position]
              return patched

          values.append(metric(model.run_with_hooks(base, fwd_hooks=[(name, patch)])))

      values = torch.tensor(values).reshape(len(layers), len(positions))
      ends = {"clean": metric(model(clean)), "corrupt": metric(model(corrupt))}
      normalised = (values - ends["corrupt"]) / (ends["clean"] - ends["corrupt"])
      print(ends)
      print(values)
      print(normalised)
      "
    `)
  })

  it('runs the clean prompt where noising', () => {
    expect(python({ direction: 'noising' })).toContain('base, other = clean, corrupt  # noising')
  })

  it('indexes the axes that each component has', () => {
    const at = (component: 'z' | 'k' | 'pattern' | 'neurons', by: ('head' | 'position' | 'unit')[]) =>
      /patched(\[.*?\]) =/.exec(python({ target: { kind: 'grid', component, by } }))?.[1]
    expect(at('z', ['head'])).toBe('[:, :, head]')
    expect(at('z', ['head', 'position'])).toBe('[:, position, head]')
    expect(at('pattern', ['head'])).toBe('[:, head]')
    expect(at('pattern', ['position'])).toBe('[:, :, position]')
    expect(at('neurons', ['unit'])).toBe('[:, :, unit]')
    expect(at('k', [])).toBe('[...]')
    expect(python({ target: { kind: 'grid', component: 'k', by: ['head'] } })).toContain('n_key_value_heads')
  })

  it('keeps to the layers and places that were chosen', () => {
    const text = python({
      target: { kind: 'grid', component: 'z', by: ['head'], layers: [3], heads: [1, 2] },
    })
    expect(text).toContain('layers = [3]\nheads = [1, 2]\n')
    expect(text).toContain('reshape(len(layers), len(heads))')
  })

  it('measures each metric where it is read', () => {
    const metric = (one: SweepQuestion['metrics'][number]) => python({ metrics: [one] })
    expect(metric({ kind: 'probability', token: 5, position: 1 })).toContain(
      'logits[0, 1].softmax(-1)[5].item()',
    )
    expect(metric({ kind: 'log-probability', token: 5 })).toContain('logits[0, -1].log_softmax(-1)[5]')
    expect(metric({ kind: 'rank', token: 5 })).toContain('(logits[0, -1] > logits[0, -1][5]).sum()')
    expect(metric({ kind: 'logit-difference', positive: [5, 6] })).toContain(
      'return (logits[0, -1][[5, 6]].mean()).item()',
    )
    expect(metric({ kind: 'kl' })).toContain('target = model(clean)[0, -1].log_softmax(-1)')
    expect(metric({ kind: 'linear', tokens: [5, 6], weights: [1, -0.5] })).toContain(
      '(torch.tensor([1, -0.5]) * logits[0, -1][[5, 6]]).sum()',
    )
  })

  it('puts in zeros or noise without running the other prompt', () => {
    expect(python({ source: { kind: 'zero' } })).toContain('patched[:, position] = 0')
    expect(python({ source: { kind: 'noise', std: 0.5 } })).toContain(
      'patched[:, position] += 0.5 * torch.randn_like',
    )
    expect(python({ source: { kind: 'zero' } })).not.toContain('run_with_cache')
  })

  it('is not made where it would be another experiment', () => {
    const none = (change: Partial<SweepQuestion>) => sweepPython({ ...question, ...change }, model)
    expect(none({ pairs: [{ clean: [0, 5, 7], corrupt: [0, 7], alignment: 'auto' }] })).toBeNull()
    expect(none({ pairs: [question.pairs[0], question.pairs[0]] })).toBeNull()
    expect(none({ source: { kind: 'mean', rows: [[1]] } })).toBeNull()
    expect(none({ target: { kind: 'sites', sites: [{ hook: 'blocks.0.hook_resid_pre' }] } })).toBeNull()
  })

  it('holds nothing of the model’s name', () => {
    for (const text of [python({}), sweepCommand(question, model), sweepRequestJson(question, model)])
      expect(text).not.toContain('os.system')
  })
})
