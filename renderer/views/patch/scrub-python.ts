/** A scrubbing check as a program for TransformerLens. */
import type { PatchPlace } from '../../../preload/attribution'
import { componentSites, type ScrubRequest } from '../../../preload/sweep'
import { endsLine, headLines } from './python-head'
import { block, hasGaps, isPlain, list, sourceLines, type Program } from './python-parts'

/** Kept heads by hook point; None is the whole activation. */
function keptLine(places: readonly PatchPlace[]): string {
  const byHook = new Map<string, number[] | null>()
  for (const { hook, head } of places)
    byHook.set(hook, head === undefined ? null : [...(byHook.get(hook) ?? []), head])
  const entries = [...byHook].map(([hook, heads]) => `"${hook}": ${heads === null ? 'None' : list(heads)}`)
  return `    {${entries.join(', ')}},`
}

export function scrubPython(request: ScrubRequest, fingerprint: string): Program {
  const { keep, components, draws, metrics } = request
  if (metrics.length > 1) return { without: 'only of one metric' }
  if (keep.flat().some(({ hook, positions, units }) => positions ?? units ?? (isPlain(hook) ? null : hook)))
    return { without: 'only of components at all positions' }
  const source = sourceLines(request, {})
  if (source === null || request.source.kind === 'tensor') return { without: 'not with tensors' }
  const gaps = hasGaps(request)
  return {
    text: [
      ...headLines('Keeps a set of components and replaces all others at once', fingerprint, request, source),
      `names = [f"blocks.{layer}.{site}" for layer in range(model.cfg.n_layers) for site in (${components.map((one) => `"${componentSites[one]}"`).join(', ')},)]`,
      'keep = [  # sets of kept components: heads of a hook point, or None for all of it',
      ...keep.map(keptLine),
      ']',
      `draws = ${draws}`,
      '',
      '',
      ...block(
        'def value_of(pair, kept, draw):',
        'source = source_of(pair, names, draw)',
        '',
        'def replace(name, activation, hook):',
        '    if name in kept and kept[name] is None:',
        '        return activation',
        '    replaced = source[name].clone()',
        '    heads = kept.get(name, [])',
        '    if heads:',
        '        replaced[:, :, heads] = activation[:, :, heads]',
        ...(gaps
          ? [
              '    for i, partner in enumerate(pair.get("partners", [])):',
              '        if partner is None:',
              '            replaced[:, i] = activation[:, i]',
            ]
          : []),
        '    return replaced',
        '',
        'return metric(run(pair, base, [(name, partial(replace, name)) for name in names]), pair)',
      ),
      '',
      '',
      endsLine,
      'print(ends)',
      ...block(
        'for kept in keep:',
        'values = [',
        '    sum(value_of(pair, kept, draw * len(pairs) + i) for i, pair in enumerate(pairs)) / len(pairs)',
        '    for draw in range(draws)',
        ']',
        'mean = sum(values) / len(values)',
        'print(values, mean, (mean - ends["corrupt"]) / (ends["clean"] - ends["corrupt"]))',
      ),
      '',
    ].join('\n'),
  }
}
