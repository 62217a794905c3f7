/**
 * Parts of the programs for TransformerLens that a sweep, a path patching or a scrubbing check is copied as. They hold numbers
 * and names of ours only: token ids, indices and hook points, never text of a prompt or of a model.
 */
import { align } from '../../../preload/align'
import type { SweepMetric, SweepPair, SweepRequest } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'

/** A program, or why there is none. */
export type Program = { text: string } | { without: string }

export const list = (values: readonly number[]): string => `[${values.join(', ')}]`
const indented = (lines: readonly string[]): string[] =>
  lines.map((line) => (line === '' ? '' : `    ${line}`))
export const block = (head: string, ...lines: string[]): string[] => [head, ...indented(lines)]

/** Numbers of tensors that a program may hold. */
const mostNumbers = 20_000

/** What all programs begin with: the model. */
export const header = (what: string, fingerprint: string): string[] => [
  `"""${what}, with TransformerLens (pip install transformer-lens).`,
  '',
  'Usage: python patching.py MODEL, a name or a folder that TransformerLens loads.',
  `The model was the one whose files have the fingerprint ${fingerprint}.`,
  '"""',
  'import itertools',
  'import random',
  'import sys',
  'from functools import partial',
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
]

const alignmentOf = ({ clean, corrupt, alignment }: SweepPair) =>
  clean.length === corrupt.length || alignment === undefined
    ? null
    : alignment === 'auto'
      ? align(clean, corrupt)
      : alignment

/** Whether some position has no partner, so that it can not be patched. */
export const hasGaps = ({ pairs, source }: Pick<SweepRequest, 'pairs' | 'source'>): boolean =>
  source.kind === 'prompt' && pairs.some((pair) => alignmentOf(pair) !== null)

/** The pairs as dictionaries: tokens, where the metric is read, what it is made of. */
export function pairLines({
  pairs,
  metrics,
  direction,
}: Pick<SweepRequest, 'pairs' | 'metrics' | 'direction'>): string[] {
  const [base, other] = direction === 'noising' ? ['clean', 'corrupt'] : ['corrupt', 'clean']
  return [
    'pairs = [  # token ids',
    ...pairs.flatMap((pair) => {
      const metric = (pair.metrics ?? metrics)[0]
      const aligned = alignmentOf(pair)
      const from = direction === 'noising' ? ('left' as const) : ('right' as const)
      const to = from === 'left' ? ('right' as const) : ('left' as const)
      const partners =
        aligned === null
          ? []
          : [
              `"partners": [${pair[base === 'clean' ? 'clean' : 'corrupt']
                .map((_, i) => aligned.find((one) => one[from] === i)?.[to] ?? 'None')
                .join(', ')}],`,
            ]
      const read =
        metric.position === 'last'
          ? []
          : [
              `"read": {"clean": ${metric.position}, "corrupt": ${
                aligned?.find(({ left }) => left === metric.position)?.right ?? metric.position
              }},`,
            ]
      const noise =
        pair.noise === undefined
          ? []
          : [
              `"noise": {"positions": ${list(pair.noise.positions)}, "std": ${pair.noise.std}, "seed": ${pair.noise.seed}},`,
            ]
      return [
        '    {',
        ...[
          `"clean": ${list(pair.clean)},`,
          `"corrupt": ${list(pair.corrupt)},`,
          ...partners,
          ...read,
          ...noise,
          ...metricEntries(metric),
        ].map((line) => `        ${line}`),
        '    },',
      ]
    }),
    ']',
    `base, other = "${base}", "${other}"  # ${direction}: the ${base} prompt is run`,
  ]
}

/** What a pair's dictionary holds of its metric. */
function metricEntries(metric: SweepMetric): string[] {
  switch (metric.kind) {
    case 'logit-difference':
      return [`"positive": ${list(metric.positive)},`, `"negative": ${list(metric.negative)},`]
    case 'log-probability':
    case 'probability':
    case 'rank':
      return [`"token": ${metric.token},`]
    case 'linear':
      return [`"tokens": ${list(metric.tokens)},`, `"weights": ${list(metric.weights)},`]
    case 'kl':
      return []
  }
}

/** `metric(row, pair)`, row [d_vocab]: the logits where it is read. */
export function metricLines(metric: SweepMetric): string[] {
  const define = (...lines: string[]) => block('def metric(row, pair):', ...lines)
  switch (metric.kind) {
    case 'logit-difference':
      return define(
        metric.negative.length === 0
          ? 'return row[pair["positive"]].mean().item()'
          : 'return (row[pair["positive"]].mean() - row[pair["negative"]].mean()).item()',
      )
    case 'log-probability':
      return define('return row.log_softmax(-1)[pair["token"]].item()')
    case 'probability':
      return define('return row.softmax(-1)[pair["token"]].item()')
    case 'rank':
      return define('return (row > row[pair["token"]]).sum().item()')
    case 'kl': {
      const [from, to] = metric.direction === 'target-model' ? ['target', 'own'] : ['own', 'target']
      return define(
        'if "target" not in pair:',
        `    pair["target"] = run(pair, "${metric.target}").log_softmax(-1)`,
        'target, own = pair["target"], row.log_softmax(-1)',
        `return (${from}.exp() * (${from} - ${to})).sum().item()`,
      )
    }
    case 'linear': {
      const of = { logits: '', probabilities: '.softmax(-1)', 'log-probabilities': '.log_softmax(-1)' }[
        metric.of
      ]
      return define(`return (torch.tensor(pair["weights"]) * row${of}[pair["tokens"]]).sum().item()`)
    }
  }
}

/** Runs with hooks, and activations. */
export const runLines = (noisy: boolean): string[] => [
  ...(noisy
    ? [
        ...block(
          'def noise_hooks(pair, side):',
          '# Gaussian, drawn by torch: other numbers of the same distribution than Patchbay draws.',
          'if side != "corrupt" or "noise" not in pair:',
          '    return []',
          'noise = pair["noise"]',
          '',
          'def add(activation, hook):',
          '    torch.manual_seed(noise["seed"])',
          '    activation = activation.clone()',
          '    part = activation[:, noise["positions"]]',
          '    activation[:, noise["positions"]] = part + noise["std"] * torch.randn_like(part)',
          '    return activation',
          '',
          'return [("hook_embed", add)]',
        ),
        '',
        '',
      ]
    : []),
  ...block(
    'def run(pair, side, hooks=()):',
    '"""The logits where the metric is read."""',
    'tokens = torch.tensor([pair[side]])',
    `logits = model.run_with_hooks(tokens, fwd_hooks=${noisy ? 'noise_hooks(pair, side) + ' : ''}list(hooks))`,
    'return logits[0, pair["read"][side] if "read" in pair else -1]',
  ),
  '',
  '',
  ...block(
    'def activations(tokens, names, hooks=()):',
    'kept = {}',
    '',
    'def keep(name, activation, hook):',
    '    kept[name] = activation.clone()',
    '',
    'keepers = [(name, partial(keep, name)) for name in names]',
    'model.run_with_hooks(torch.tensor([tokens]), fwd_hooks=list(hooks) + keepers)',
    'return kept',
  ),
]

/**
 * `source_of(pair, names, draw)`: what is put in, in the base's shapes.
 * @returns null where tensors are too many numbers for a program
 */
export function sourceLines(
  { source, pairs }: Pick<SweepRequest, 'source' | 'pairs'>,
  tensors: Readonly<Record<string, Tensor>>,
): string[] | null {
  const noisy = pairs.some(({ noise }) => noise !== undefined)
  const hooks = (side: string) => (noisy ? `, noise_hooks(pair, ${side})` : '')
  const define = (...lines: string[]) => block('def source_of(pair, names, draw):', ...lines)
  const own = `own = activations(pair[base], names${hooks('base')})`
  switch (source.kind) {
    case 'prompt':
      return hasGaps({ pairs, source })
        ? define(
            `other_run = activations(pair[other], names${hooks('other')})`,
            'if "partners" not in pair:',
            '    return other_run',
            '# Positions without a partner are never put in; they hold those of position 0 here.',
            'at = [0 if partner is None else partner for partner in pair["partners"]]',
            'return {name: x[:, at] for name, x in other_run.items()}',
          )
        : define(`return activations(pair[other], names${hooks('other')})`)
    case 'zero':
      return define(own, 'return {name: torch.zeros_like(x) for name, x in own.items()}')
    case 'noise':
      return define(
        '# Drawn by torch: other numbers of the same distribution than Patchbay draws.',
        own,
        `torch.manual_seed(${source.seed} + draw)`,
        `return {name: x + ${source.std} * torch.randn_like(x) for name, x in own.items()}`,
      )
    case 'mean':
      return [
        `rows = [${source.rows.map(list).join(', ')}]`,
        '',
        '',
        ...define(
          own,
          'runs = [activations(row, names) for row in rows]',
          'means = {name: torch.cat([run[name] for run in runs], 1).mean(1, keepdim=True) for name in names}',
          'return {name: means[name].expand_as(x).clone() for name, x in own.items()}',
        ),
      ]
    case 'resample':
      return [
        `rows = [${source.rows.map(list).join(', ')}]`,
        '',
        '',
        ...define(
          '# Drawn by Python: other rows than Patchbay draws.',
          `row = random.Random(${source.seed} + draw).choice(rows)`,
          'return activations(row[: len(pair[base])], names)',
        ),
      ]
    case 'tensor': {
      const used = Object.fromEntries(
        Object.values(source.tensors).flatMap((name) =>
          Object.hasOwn(tensors, name) ? [[name, tensors[name]]] : [],
        ),
      )
      const names = Object.keys(used)
      const numbers = Object.values(used).reduce((sum, { data }) => sum + data.length, 0)
      if (numbers > mostNumbers) return null
      return [
        'stored = [',
        ...Object.values(used).map(
          ({ shape, data }) => `    torch.tensor([${Array.from(data).join(', ')}]).reshape(${list(shape)}),`,
        ),
        ']',
        'placed = {',
        ...Object.entries(source.tensors).map(([hook, name]) => `    "${hook}": ${names.indexOf(name)},`),
        '}',
        '',
        '',
        ...define(
          own,
          'return {name: stored[placed[name]].expand(x.shape[1:])[None].clone() for name, x in own.items()}',
        ),
      ]
    }
  }
}

/** Hook names inside a program: ours are letters, digits, dots and underscores only. */
export const isPlain = (hook: string): boolean => /^[A-Za-z0-9_.]+$/.test(hook)
