/**
 * A sweep as a program for TransformerLens, which patches one place after another. It holds numbers and names of ours only:
 * token ids, indices and hook points, never text of a prompt or of a model.
 */
import type { ModelDescription } from '../../../preload/model'
import {
  sweepRequest,
  type SweepAxis,
  type SweepComponent,
  type SweepMetric,
  type SweepRequest,
} from '../../../preload/sweep'
import type { SweepQuestion } from './sweep'

type Axes = readonly (SweepAxis | 'batch' | 'rest')[]
const residual: Axes = ['batch', 'position', 'rest']
const headed: Axes = ['batch', 'position', 'head', 'rest']

/** Each component as TransformerLens' get_act_name has it, with the axes of its activation. */
const activations: Record<SweepComponent, { name: string; axes: Axes }> = {
  resid_pre: { name: 'resid_pre', axes: residual },
  resid_mid: { name: 'resid_mid', axes: residual },
  resid_post: { name: 'resid_post', axes: residual },
  attn_out: { name: 'attn_out', axes: residual },
  mlp_out: { name: 'mlp_out', axes: residual },
  z: { name: 'z', axes: headed },
  q: { name: 'q', axes: headed },
  k: { name: 'k', axes: headed },
  v: { name: 'v', axes: headed },
  pattern: { name: 'pattern', axes: ['batch', 'head', 'position', 'rest'] },
  neurons: { name: 'post', axes: ['batch', 'position', 'unit'] },
}

/** How many there are along an axis. */
const counts = (component: SweepComponent): Record<SweepAxis, string> => ({
  position: 'base.shape[1]',
  head:
    component === 'k' || component === 'v'
      ? 'getattr(model.cfg, "n_key_value_heads", None) or model.cfg.n_heads'
      : 'model.cfg.n_heads',
  unit: 'model.cfg.d_mlp',
})

const list = (values: readonly number[]): string => `[${values.join(', ')}]`

/**
 * Null where the program would be another one: several pairs, prompts of different length, lists of sites, sources of many
 * rows or of tensors. Gaussian noise is drawn by torch, so its numbers differ from draw to draw.
 */
export function sweepPython(question: SweepQuestion, { fingerprint }: ModelDescription): string | null {
  const request = sweepRequest.parse(question)
  const { target, direction, metrics } = request
  const [{ clean, corrupt, noise, metrics: own }] = request.pairs
  const source = sourceLines(request.source)
  if (request.pairs.length > 1 || metrics.length > 1 || own !== undefined || noise !== undefined) return null
  if (clean.length !== corrupt.length || target.kind !== 'grid' || source === null) return null

  const { name, axes } = activations[target.component]
  const loops: [variable: string, values: string][] = [
    ['layer', target.layers === undefined ? 'range(model.cfg.n_layers)' : list(target.layers)],
  ]
  const chosen = { head: target.heads, position: target.positions, unit: target.units }
  for (const axis of ['head', 'position', 'unit'] as const) {
    if (!target.by.includes(axis)) continue
    const of = chosen[axis]
    loops.push([axis, of === undefined ? `range(${counts(target.component)[axis]})` : list(of)])
  }
  // Two lists in one index would be paired by torch instead of crossed.
  const wholes = (['head', 'position', 'unit'] as const).filter(
    (axis) => !target.by.includes(axis) && chosen[axis] !== undefined,
  )
  if (wholes.length > 0) return null
  const index = axes.map((axis) => (loops.some(([variable]) => variable === axis) ? axis : ':'))
  while (index.at(-1) === ':') index.pop()
  const at = index.length === 0 ? '...' : index.join(', ')
  const variables = loops.map(([variable]) => variable)
  const [base, other] = direction === 'noising' ? ['clean', 'corrupt'] : ['corrupt', 'clean']

  return [
    '"""Activation patching, each place alone, with TransformerLens (pip install transformer-lens).',
    '',
    'Usage: python patching.py MODEL, a name or a folder that TransformerLens loads.',
    `The model was the one whose files have the fingerprint ${fingerprint}.`,
    '"""',
    'import itertools',
    'import sys',
    '',
    'import torch',
    '',
    'try:  # TransformerLens 4',
    '    from transformer_lens.model_bridge import TransformerBridge',
    '    from transformer_lens.utilities import get_act_name',
    '',
    '    load = TransformerBridge.boot_transformers',
    'except ImportError:',
    '    from transformer_lens import HookedTransformer',
    '    from transformer_lens.utils import get_act_name',
    '',
    '    load = HookedTransformer.from_pretrained_no_processing',
    '',
    'model = load(sys.argv[1], device="cpu", dtype=torch.float32)',
    'torch.set_grad_enabled(False)',
    `clean = torch.tensor([${list(clean)}])`,
    `corrupt = torch.tensor([${list(corrupt)}])`,
    `base, other = ${base}, ${other}  # ${direction}: the ${base} prompt is run`,
    '',
    '',
    ...metricLines(metrics[0]),
    '',
    '',
    ...(source.cached ? ['_, cache = model.run_with_cache(other)', ''] : []),
    ...loops.map(([variable, values]) => `${variable}s = ${values}`),
    'values = []',
    `for ${variables.join(', ')}${variables.length === 1 ? ',' : ''} in itertools.product(${variables.map((one) => `${one}s`).join(', ')}):`,
    `    name = get_act_name("${name}", layer)`,
    '',
    '    def patch(activation, hook):',
    '        patched = activation.clone()',
    ...source.lines(at).map((line) => `        ${line}`),
    '        return patched',
    '',
    '    values.append(metric(model.run_with_hooks(base, fwd_hooks=[(name, patch)])))',
    '',
    `values = torch.tensor(values).reshape(${variables.map((one) => `len(${one}s)`).join(', ')})`,
    'ends = {"clean": metric(model(clean)), "corrupt": metric(model(corrupt))}',
    'normalised = (values - ends["corrupt"]) / (ends["clean"] - ends["corrupt"])',
    'print(ends)',
    'print(values)',
    'print(normalised)',
    '',
  ].join('\n')
}

interface SourceLines {
  /** Whether the other prompt is run. */
  cached: boolean
  lines: (at: string) => string[]
}

function sourceLines(source: SweepRequest['source']): SourceLines | null {
  switch (source.kind) {
    case 'prompt':
      return { cached: true, lines: (at) => [`patched[${at}] = cache[name][${at}]`] }
    case 'zero':
      return { cached: false, lines: (at) => [`patched[${at}] = 0`] }
    case 'noise':
      return {
        cached: false,
        lines: (at) => [
          `torch.manual_seed(${source.seed})`,
          `patched[${at}] += ${source.std} * torch.randn_like(patched[${at}])`,
        ],
      }
    default:
      return null
  }
}

/** `metric(logits)`, logits [1, pos, d_vocab]. */
function metricLines(metric: SweepMetric): string[] {
  const at = metric.position === 'last' ? '-1' : String(metric.position)
  const logits = `logits[0, ${at}]`
  const define = (...lines: string[]) => ['def metric(logits):', ...lines.map((line) => `    ${line}`)]
  switch (metric.kind) {
    case 'logit-difference': {
      const positive = `${logits}[${list(metric.positive)}].mean()`
      const negative = metric.negative.length === 0 ? '' : ` - ${logits}[${list(metric.negative)}].mean()`
      return define(`return (${positive}${negative}).item()`)
    }
    case 'log-probability':
      return define(`return ${logits}.log_softmax(-1)[${metric.token}].item()`)
    case 'probability':
      return define(`return ${logits}.softmax(-1)[${metric.token}].item()`)
    case 'rank':
      return define(`return (${logits} > ${logits}[${metric.token}]).sum().item()`)
    case 'kl': {
      const [from, to] = metric.direction === 'target-model' ? ['target', 'run'] : ['run', 'target']
      return [
        `target = model(${metric.target})[0, ${at}].log_softmax(-1)`,
        '',
        '',
        ...define(
          `run = ${logits}.log_softmax(-1)`,
          `return (${from}.exp() * (${from} - ${to})).sum().item()`,
        ),
      ]
    }
    case 'linear': {
      const of = { logits: '', probabilities: '.softmax(-1)', 'log-probabilities': '.log_softmax(-1)' }[
        metric.of
      ]
      return define(
        `return (torch.tensor(${list(metric.weights)}) * ${logits}${of}[${list(metric.tokens)}]).sum().item()`,
      )
    }
  }
}
