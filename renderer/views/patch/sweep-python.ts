/** A sweep, or path patching, as a program for TransformerLens that patches one place after another. */
import type { PatchPlace } from '../../../preload/attribution'
import type { PathRequest, SweepAxis, SweepComponent, SweepRequest } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { endsLine, headLines } from './python-head'
import { block, hasGaps, isPlain, list, sourceLines, type Program } from './python-parts'

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
const sweepAxes = ['head', 'position', 'unit'] as const

/** How many there are along an axis. */
const counts = (component: SweepComponent): Record<SweepAxis, string> => ({
  position: 'len(pairs[0][base])',
  head:
    component === 'k' || component === 'v'
      ? 'getattr(model.cfg, "n_key_value_heads", None) or model.cfg.n_heads'
      : 'model.cfg.n_heads',
  unit: 'model.cfg.d_mlp',
})

/** The places of a grid as loops, and the index of one in an activation. */
interface Loops {
  name: string
  loops: [variable: string, values: string][]
  /** Without gaps, and where only positions that have a partner are patched. */
  at: string
}

function loopsOf(target: SweepRequest['target'], gaps: boolean): Loops | null {
  if (target.kind !== 'grid') return null
  const { name, axes } = activations[target.component]
  const loops: Loops['loops'] = [
    ['layer', target.layers === undefined ? 'range(model.cfg.n_layers)' : list(target.layers)],
  ]
  const chosen = { head: target.heads, position: target.positions, unit: target.units }
  for (const axis of sweepAxes) {
    if (!target.by.includes(axis)) continue
    const of = chosen[axis]
    loops.push([axis, of === undefined ? `range(${counts(target.component)[axis]})` : list(of)])
  }
  // Two lists in one index would be paired by torch instead of crossed.
  if (sweepAxes.some((axis) => !target.by.includes(axis) && chosen[axis] !== undefined)) return null
  const index = axes.map((axis) =>
    loops.some(([variable]) => variable === axis) ? axis : axis === 'position' && gaps ? 'had' : ':',
  )
  while (index.at(-1) === ':') index.pop()
  return { name, loops, at: index.length === 0 ? '...' : index.join(', ') }
}

/** What is put in, once for each pair. */
const placeLines = ({ name, loops }: Loops): string[] => [
  ...loops.map(([variable, values]) => `${variable}s = ${values}`),
  `names = [get_act_name("${name}", layer) for layer in layers]`,
  'sources = [source_of(pair, names, i) for i, pair in enumerate(pairs)]',
]

/** Lines that fill `values`, row-major, from `value_of(i, variables…)`, i the pair's index, and print them. */
const valueLines = ({ loops }: Loops): string[] => {
  const variables = loops.map(([variable]) => variable)
  const all = variables.map((one) => `${one}s`)
  return [
    'values = [',
    `    sum(value_of(i, ${variables.join(', ')}) for i in range(len(pairs))) / len(pairs)`,
    `    for ${variables.join(', ')}${variables.length === 1 ? ',' : ''} in itertools.product(${all.join(', ')})`,
    ']',
    '',
    `values = torch.tensor(values).reshape(${all.map((one) => `len(${one})`).join(', ')})`,
    endsLine,
    'normalised = (values - ends["corrupt"]) / (ends["clean"] - ends["corrupt"])',
    'print(ends)',
    'print(values)',
    'print(normalised)',
    '',
  ]
}

/** Positions that can be patched: all, or those that have a partner; a place without one has no value. */
const gapLines = (gaps: boolean, byPosition: boolean): string[] =>
  gaps
    ? [
        'partners = pair.get("partners", list(range(len(pair[base]))))',
        'had = [i for i, partner in enumerate(partners) if partner is not None]',
        ...(byPosition ? ['if position not in had:', '    return float("nan")'] : []),
      ]
    : []

const patchHook = (at: string): string[] =>
  block(
    'def patch(activation, hook):',
    'patched = activation.clone()',
    `patched[${at}] = source[name][${at}]`,
    'return patched',
  )

const notesOf = ({ target }: SweepRequest): string[] =>
  target.kind === 'grid' && target.component === 'resid_mid'
    ? [
        '# TransformerLens 4 replaces resid_mid only where the MLP reads it, not in the residual stream: use 2.x.',
      ]
    : []

const needed = (
  request: SweepRequest,
  tensors: Readonly<Record<string, Tensor>>,
): { loops: Loops; gaps: boolean; source: string[] } | { without: string } => {
  const gaps = hasGaps(request)
  if (request.target.kind === 'features') return { without: 'it has no dictionaries (SAELens does)' }
  if (gaps && request.target.kind === 'grid' && request.target.component === 'pattern')
    return { without: 'patterns are not carried over between lengths' }
  const loops = loopsOf(request.target, gaps)
  if (loops === null) return { without: 'only of grids' }
  if (request.metrics.length > 1) return { without: 'only of one metric' }
  const source = sourceLines(request, tensors)
  if (source === null) return { without: 'the tensor has too many numbers for a program' }
  return { loops, gaps, source }
}

export function sweepPython(
  request: SweepRequest,
  fingerprint: string,
  tensors: Readonly<Record<string, Tensor>> = {},
): Program {
  const parts = needed(request, tensors)
  if ('without' in parts) return parts
  const { loops, gaps, source } = parts
  const variables = loops.loops.map(([variable]) => variable)
  return {
    text: [
      ...headLines('Activation patching, each place alone', fingerprint, request, source, notesOf(request)),
      ...placeLines(loops),
      '',
      '',
      ...block(
        `def value_of(i, ${variables.join(', ')}):`,
        'pair, source = pairs[i], sources[i]',
        ...gapLines(gaps, variables.includes('position')),
        `name = get_act_name("${loops.name}", layer)`,
        '',
        ...patchHook(loops.at),
        '',
        'return metric(run(pair, base, [(name, patch)]), pair)',
      ),
      '',
      '',
      ...valueLines(loops),
    ].join('\n'),
  }
}

/** A receiver's hook point and the part of it that is heard. */
const receiverLine = ({ hook, head }: PatchPlace): string =>
  `    ("${hook}", ${head === undefined ? '...' : `(slice(None), slice(None), ${head})`}),`

export function pathPython(
  request: PathRequest,
  fingerprint: string,
  tensors: Readonly<Record<string, Tensor>> = {},
): Program {
  const parts = needed(request, tensors)
  if ('without' in parts) return parts
  if (
    request.receivers.some(
      ({ hook, positions, units }) => positions ?? units ?? (isPlain(hook) ? null : hook),
    )
  )
    return { without: 'only of receivers at all positions' }
  const { loops, gaps, source } = parts
  const variables = loops.loops.map(([variable]) => variable)
  const noisy = request.pairs.some(({ noise }) => noise !== undefined)
  const noise = noisy ? 'noise_hooks(pair, base) + ' : ''
  const sites = request.frozen === 'heads' ? ['attn.hook_z'] : ['attn.hook_z', 'hook_mlp_out']
  return {
    text: [
      ...headLines('Path patching, each sender alone', fingerprint, request, source, notesOf(request)),
      'receivers = [',
      ...request.receivers.map(receiverLine),
      ']',
      `frozen = [f"blocks.{layer}.{site}" for layer in range(model.cfg.n_layers) for site in (${sites.map((site) => `"${site}"`).join(', ')},)]`,
      'heard = sorted({name for name, _ in receivers})',
      ...placeLines(loops),
      `owns = [activations(pair[base], frozen${noisy ? ', noise_hooks(pair, base)' : ''}) for pair in pairs]`,
      '',
      '',
      ...block(
        `def value_of(i, ${variables.join(', ')}):`,
        'pair, source, own = pairs[i], sources[i], owns[i]',
        ...gapLines(gaps, variables.includes('position')),
        `name = get_act_name("${loops.name}", layer)`,
        '',
        'def freeze(one, activation, hook):',
        '    return own[one]',
        '',
        ...patchHook(loops.at),
        '',
        '# What the receivers compute while the sender holds the source’s value and all between stays.',
        `first = ${noise}[(one, partial(freeze, one)) for one in frozen] + [(name, patch)]`,
        'through = activations(pair[base], heard, first)',
        '',
        'def receive(one, activation, hook):',
        '    received = activation.clone()',
        '    for place, at in receivers:',
        '        if place == one:',
        '            received[at] = through[place][at]',
        '    return received',
        '',
        'return metric(run(pair, base, [(one, partial(receive, one)) for one in heard]), pair)',
      ),
      '',
      '',
      ...valueLines(loops),
    ].join('\n'),
  }
}
