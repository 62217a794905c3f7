/** Which tensor goes where: from what a person opened to one tensor for each hook point of a sweep. */
import { hookName, type HookPoint } from '../../../preload/hooks'
import { componentSites, type SweepComponent } from '../../../preload/sweep'
import { sizeOf, type Tensor } from '../../../preload/tensor'

/** Tensors by name; a name that is a hook point is put there only. */
export interface StoredTensors {
  /** File or preset, for the person. */
  name: string
  /** Tells two of one name apart. */
  serial: number
  tensors: Readonly<Record<string, Tensor>>
  /** The first axis is the position in another prompt, which is at least as long as what is run. */
  byPosition?: boolean
}

export interface PlacedTensors {
  /** Layers for which there is a tensor. */
  layers: number[]
  /** Tensor name by hook point, as a request wants it. */
  names: Record<string, string>
  tensors: Record<string, Tensor>
  /** In words: what is put where. */
  text: string
}

/** Axes behind the batch axis. */
const rank: Partial<Record<SweepComponent, number>> = { z: 3, q: 3, k: 3, v: 3, pattern: 3 }
const rankOf = (component: SweepComponent): number => rank[component] ?? 2

/** The first positions of tensors [pos, …]; null where one of them has fewer. */
export function firstPositions(
  tensors: Readonly<Record<string, Tensor>>,
  length: number,
): Record<string, Tensor> | null {
  const all = Object.entries(tensors)
  if (all.some(([, { shape }]) => shape[0] < length)) return null
  return Object.fromEntries(
    all.map(([name, { shape, data }]) => {
      const rest = shape.slice(1)
      return [name, { shape: [length, ...rest], data: data.slice(0, length * sizeOf(rest)) }]
    }),
  )
}

/** One layer of a tensor whose first axis is the layer. */
function layerOf({ shape, data }: Tensor, layer: number): Tensor {
  const rest = shape.slice(1)
  const size = sizeOf(rest)
  return { shape: rest, data: data.slice(layer * size, (layer + 1) * size) }
}

const dimsText = (shape: readonly number[]): string => `[${shape.join(', ')}]`

/**
 * Named after hook points they go there; else the first tensor goes to every layer, or one slice to each where its first
 * axis is the layer.
 * @returns null where none of them is for this component
 */
export function placedTensors(
  { name, serial, tensors }: StoredTensors,
  component: SweepComponent,
  layers: number,
): PlacedTensors | null {
  const every = Array.from({ length: layers }, (_, layer) => layer)
  const hookOf = (layer: number): string =>
    hookName({ layer, site: componentSites[component] } satisfies HookPoint)
  const tagged = (what: string): string => `${name.slice(0, 100)} ${what.slice(0, 60)} #${serial}`

  const named = every.filter((layer) => Object.hasOwn(tensors, hookOf(layer)))
  if (named.length > 0)
    return {
      layers: named,
      names: Object.fromEntries(named.map((layer) => [hookOf(layer), tagged(hookOf(layer))])),
      tensors: Object.fromEntries(named.map((layer) => [tagged(hookOf(layer)), tensors[hookOf(layer)]])),
      text:
        named.length === layers
          ? 'a tensor for each layer, by hook point'
          : `layer${named.length === 1 ? '' : 's'} ${named.join(', ')}, by hook point`,
    }
  // Tensors of other hook points are not meant for here.
  const [first] = Object.entries(tensors).filter(([one]) => !/^blocks\.\d+\./.test(one))
  if (first === undefined) return null
  const [title, tensor] = first
  if (tensor.shape.length > rankOf(component) && tensor.shape[0] === layers)
    return {
      layers: every,
      names: Object.fromEntries(every.map((layer) => [hookOf(layer), tagged(`layer ${layer}`)])),
      tensors: Object.fromEntries(every.map((layer) => [tagged(`layer ${layer}`), layerOf(tensor, layer)])),
      text: `${dimsText(tensor.shape)}: one for each layer`,
    }
  return {
    layers: every,
    names: Object.fromEntries(every.map((layer) => [hookOf(layer), tagged(title)])),
    tensors: { [tagged(title)]: tensor },
    text: `${dimsText(tensor.shape)}: the same in every layer`,
  }
}
