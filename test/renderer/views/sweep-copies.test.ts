import { describe, expect, it } from 'vitest'
import { pathRequest, scrubRequest, sweepRequest } from '../../../preload/sweep'
import { safetensorsOf } from '../../../renderer/files/safetensors'
import { tensorsOfFile } from '../../../renderer/files/tensor-file'
import type { SweepQuestion } from '../../../renderer/views/patch/sweep'
import { questionPython } from '../../../renderer/views/patch/question-python'
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
type Change = Partial<SweepQuestion>
const program = (change: Change) => questionPython({ ...question, ...change }, model)
const python = (change: Change): string => {
  const made = program(change)
  return 'text' in made ? made.text : `none: ${made.without}`
}

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

describe('a copied request with more than places', () => {
  it('brings receivers, and sets that are kept', () => {
    const paths = { ...question, receivers: [{ hook: 'blocks.3.attn.hook_q', head: 1 }] }
    expect(pathRequest.parse(JSON.parse(sweepRequestJson(paths, model))).receivers).toEqual(paths.receivers)
    const { model: handle, pairs, metrics } = question
    const scrub = { model: handle, pairs, metrics, source: { kind: 'zero' as const }, keep: [[]] }
    expect(scrubRequest.parse(JSON.parse(sweepRequestJson(scrub, model))).keep).toEqual([[]])
  })

  it('brings tensors as numbers, a command line in a file beside it', () => {
    const tensors = { v: { shape: [2], data: Float32Array.of(1, 2) } }
    const stored: SweepQuestion = {
      ...question,
      source: { kind: 'tensor', tensors: { 'blocks.0.hook_resid_pre': 'v' } },
      tensors,
    }
    const copied = JSON.parse(sweepRequestJson(stored, model)) as { tensors: unknown }
    expect(copied.tensors).toEqual({ v: { shape: [2], data: [1, 2] } })
    expect(sweepCommand(stored, model)).toMatch(/' --tensors patching-tensors\.safetensors$/)
    expect(tensorsOfFile('x.safetensors', safetensorsOf(tensors))).toEqual(tensors)
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
      import random
      import sys
      from functools import partial

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

      pairs = [  # token ids
          {
              "clean": [0, 5, 7],
              "corrupt": [0, 7, 5],
              "positive": [5],
              "negative": [7],
          },
      ]
      base, other = "corrupt", "clean"  # denoising: the corrupt prompt is run


      def run(pair, side, hooks=()):
          """The logits where the metric is read."""
          tokens = torch.tensor([pair[side]])
          logits = model.run_with_hooks(tokens, fwd_hooks=list(hooks))
          return logits[0, pair["read"][side] if "read" in pair else -1]


      def activations(tokens, names, hooks=()):
          kept = {}

          def keep(name, activation, hook):
              kept[name] = activation.clone()

          keepers = [(name, partial(keep, name)) for name in names]
          model.run_with_hooks(torch.tensor([tokens]), fwd_hooks=list(hooks) + keepers)
          return kept


      def metric(row, pair):
          return (row[pair["positive"]].mean() - row[pair["negative"]].mean()).item()


      def source_of(pair, names, draw):
          return activations(pair[other], names)


      layers = range(model.cfg.n_layers)
      positions = range(len(pairs[0][base]))
      names = [get_act_name("resid_pre", layer) for layer in layers]
      sources = [source_of(pair, names, i) for i, pair in enumerate(pairs)]


      def value_of(i, layer, position):
          pair, source = pairs[i], sources[i]
          name = get_act_name("resid_pre", layer)

          def patch(activation, hook):
              patched = activation.clone()
              patched[:, position] = source[name][:, position]
              return patched

          return metric(run(pair, base, [(name, patch)]), pair)


      values = [
          sum(value_of(i, layer, position) for i in range(len(pairs))) / len(pairs)
          for layer, position in itertools.product(layers, positions)
      ]

      values = torch.tensor(values).reshape(len(layers), len(positions))
      ends = {side: sum(metric(run(pair, side), pair) for pair in pairs) / len(pairs) for side in ("clean", "corrupt")}
      normalised = (values - ends["corrupt"]) / (ends["clean"] - ends["corrupt"])
      print(ends)
      print(values)
      print(normalised)
      "
    `)
  })

  it('runs the clean prompt where noising', () => {
    expect(python({ direction: 'noising' })).toContain('base, other = "clean", "corrupt"  # noising')
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
    const probability = metric({ kind: 'probability', token: 5, position: 1 })
    expect(probability).toContain('"read": {"clean": 1, "corrupt": 1},')
    expect(probability).toContain('row.softmax(-1)[pair["token"]].item()')
    expect(metric({ kind: 'log-probability', token: 5 })).toContain('row.log_softmax(-1)[pair["token"]]')
    expect(metric({ kind: 'rank', token: 5 })).toContain('(row > row[pair["token"]]).sum()')
    expect(metric({ kind: 'logit-difference', positive: [5, 6] })).toContain(
      'return row[pair["positive"]].mean().item()',
    )
    expect(metric({ kind: 'kl' })).toContain('pair["target"] = run(pair, "clean").log_softmax(-1)')
    const linear = metric({ kind: 'linear', tokens: [5, 6], weights: [1, -0.5] })
    expect(linear).toContain('"weights": [1, -0.5],')
    expect(linear).toContain('(torch.tensor(pair["weights"]) * row[pair["tokens"]]).sum()')
  })

  it('puts in zeros, noise, means, drawn rows or tensors without running the other prompt', () => {
    const of = (source: SweepQuestion['source'], more: Change = {}) => {
      const text = python({ source, ...more })
      expect(text).not.toContain('activations(pair[other]')
      return text
    }
    expect(of({ kind: 'zero' })).toContain('torch.zeros_like(x)')
    expect(of({ kind: 'noise', std: 0.5 })).toContain('x + 0.5 * torch.randn_like(x)')
    expect(of({ kind: 'mean', rows: [[1, 2], [3]] })).toContain('rows = [[1, 2], [3]]')
    expect(of({ kind: 'resample', rows: [[1, 2, 3]], seed: 7 })).toContain('random.Random(7 + draw)')
    const tensors = { v: { shape: [2], data: Float32Array.of(1, -2) } }
    const placed = { 'blocks.0.hook_resid_pre': 'v' }
    const text = of({ kind: 'tensor', tensors: placed }, { tensors })
    expect(text).toContain('torch.tensor([1, -2]).reshape([2])')
    expect(text).toContain('"blocks.0.hook_resid_pre": 0,')
  })

  it('averages over pairs, each with its own tokens', () => {
    const own = (positive: number, negative: number) => ({
      metrics: [{ kind: 'logit-difference' as const, positive: [positive], negative: [negative] }],
    })
    const [{ clean, corrupt }] = question.pairs
    const text = python({
      pairs: [
        { clean, corrupt, ...own(5, 7) },
        { clean: corrupt, corrupt: clean, ...own(7, 5) },
      ],
    })
    expect(text.match(/"positive": \[\d\],/g)).toEqual(['"positive": [5],', '"positive": [7],'])
    expect(text).toContain('for i in range(len(pairs))) / len(pairs)')
  })

  it('leaves positions without a partner out, as the alignment pairs them', () => {
    const text = python({ pairs: [{ clean: [0, 5, 7], corrupt: [0, 5, 9, 7], alignment: 'auto' }] })
    expect(text).toContain('"partners": [0, 1, None, 2],')
    expect(text).toContain('if position not in had:')
    const whole = python({
      pairs: [{ clean: [0, 5, 7], corrupt: [0, 5, 9, 7], alignment: 'auto' }],
      target: { kind: 'grid', component: 'z', by: ['head'] },
    })
    expect(whole).toContain('patched[:, had, head] = source[name][:, had, head]')
  })

  it('puts noise on embeddings of the corrupt run', () => {
    const [pair] = question.pairs
    const text = python({ pairs: [{ ...pair, noise: { positions: [1], std: 0.5, seed: 3 } }] })
    expect(text).toContain('"noise": {"positions": [1], "std": 0.5, "seed": 3},')
    expect(text).toContain('return [("hook_embed", add)]')
  })

  it('patches paths: what lies between stays, and the receivers hear', () => {
    const text = python({
      target: { kind: 'grid', component: 'z', by: ['head'] },
      receivers: [{ hook: 'blocks.3.attn.hook_q', head: 1 }, { hook: 'blocks.3.hook_resid_post' }],
      frozen: 'heads',
    })
    expect(text).toContain('("blocks.3.attn.hook_q", (slice(None), slice(None), 1)),')
    expect(text).toContain('("blocks.3.hook_resid_post", ...),')
    expect(text).toContain('for site in ("attn.hook_z",)]')
    expect(text).toContain('first = [(one, partial(freeze, one)) for one in frozen] + [(name, patch)]')
  })

  it('keeps sets and replaces all else', () => {
    const { model: handle, pairs, metrics } = question
    const made = questionPython(
      {
        model: handle,
        pairs,
        metrics,
        source: { kind: 'zero' },
        keep: [
          [
            { hook: 'blocks.0.attn.hook_z', head: 2 },
            { hook: 'blocks.0.attn.hook_z', head: 3 },
            { hook: 'blocks.1.hook_mlp_out' },
          ],
          [],
        ],
      },
      model,
    )
    const text = 'text' in made ? made.text : ''
    expect(text).toContain('{"blocks.0.attn.hook_z": [2, 3], "blocks.1.hook_mlp_out": None},')
    expect(text).toContain('base, other = "clean", "corrupt"  # noising')
  })

  it('is not made where it would be another experiment, and says why', () => {
    const sites = { kind: 'sites' as const, sites: [{ hook: 'blocks.0.hook_resid_pre' }] }
    expect(program({ target: sites })).toEqual({ without: 'only of grids' })
    const features = { kind: 'features' as const, dictionary: '/a' }
    expect(program({ target: features })).toEqual({ without: 'it has no dictionaries (SAELens does)' })
    const large = { v: { shape: [30_000], data: new Float32Array(30_000) } }
    const placed = { 'blocks.0.hook_resid_pre': 'v' }
    expect(python({ source: { kind: 'tensor', tensors: placed }, tensors: large })).toContain(
      'too many numbers',
    )
    const patterns = python({
      pairs: [{ clean: [0, 5, 7], corrupt: [0, 7], alignment: 'auto' }],
      target: { kind: 'grid', component: 'pattern', by: ['head'] },
    })
    expect(patterns).toContain('not carried over between lengths')
  })

  it('holds nothing of the model’s name', () => {
    for (const text of [python({}), sweepCommand(question, model), sweepRequestJson(question, model)])
      expect(text).not.toContain('os.system')
  })
})
