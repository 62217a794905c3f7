/**
 * What an extraction makes: each hook point with what is kept of it, checked against the model, the directions and the
 * dictionaries before anything runs.
 */
import { PatchbayError } from '../../preload/errors'
import type { ExtractOutput, Reduction, StoredType } from '../../preload/extraction'
import { outputName } from '../collections/names'
import type { NewOutput } from '../collections/writer'
import type { Hook } from '../runtime'
import { HalfCast } from '../runtime/half-cast'
import { Projector, readDirections, type PresetVectors } from './directions'
import { FeatureReader } from './features'
import { layerOf, resolveHooks } from './hooks'
import { asTheyAre, largest, norms, overPositions, type Axes, type Reducer } from './reductions'
import { positionAxis } from './select'
import type { ExtractionModel } from './subject'

/** One output of a reduction. */
export interface PlannedOutput extends NewOutput {
  /** In the collection. */
  readonly name: string
  /** What it is stored as: indices stay whole numbers. */
  readonly stored: StoredType
}

/** One reduction at a hook point, with what it gives. */
export interface PlannedGroup {
  readonly positions: ExtractOutput['positions']
  readonly reducer: Reducer
  /** One for each part. */
  readonly outputs: readonly PlannedOutput[]
}

export interface PlannedHook {
  readonly name: string
  /** Axes, batch first. */
  readonly dims: readonly string[]
  /** Numbers that a position has there; of what has one for each pair of positions null. */
  readonly width: number | null
  /** The block that computes it; −1 for what is before the first, the number of blocks for what is behind the last. */
  readonly layer: number
  readonly groups: readonly PlannedGroup[]
}

export class ExtractionPlan {
  private constructor(
    readonly hooks: readonly PlannedHook[],
    /** Null where nothing is stored as float16, or nothing rounds better than a loop. */
    readonly cast: HalfCast | null,
    private readonly tools: readonly { release(): Promise<void> }[],
  ) {}

  /**
   * @throws PatchbayError `hook.unknown`, `hook.unavailable`; `input.invalid` for a reduction that is not possible at a hook
   *   point, for an output that is asked for twice; what directions and dictionaries throw
   */
  static async create(
    model: ExtractionModel,
    outputs: readonly ExtractOutput[],
    presetVectors: PresetVectors,
  ): Promise<ExtractionPlan> {
    const tools: { release(): Promise<void> }[] = []
    try {
      const hooks = new Map<string, { hook: Hook; groups: PlannedGroup[] }>()
      const seen = new Set<string>()
      for (const asked of outputs) {
        const make = await reducers(asked.reduction, presetVectors, tools)
        for (const hook of resolveHooks(model, asked.hooks)) {
          const planned = hooks.get(hook.name) ?? { hook, groups: [] }
          hooks.set(hook.name, planned)
          const group = groupAt(hook, asked, make)
          for (const { name } of group.outputs) {
            if (seen.has(name))
              throw new PatchbayError('input.invalid', `The output ${name} is asked for twice.`, {
                field: 'outputs',
                next: 'Ask for it once, in one dtype.',
              })
            seen.add(name)
          }
          planned.groups.push(group)
        }
      }
      const { layers } = model.facts
      const planned = [...hooks.values()].map(({ hook, groups }): PlannedHook => {
        const { name, dims, sizes } = hook
        const rest = sizes.slice(positionAxis(dims) === 1 ? 2 : 1)
        const width = rest.reduce<number>((product, size) => product * (size ?? NaN), 1)
        return {
          name,
          dims,
          width: Number.isFinite(width) ? width : null,
          layer: layerOf(name, layers),
          groups,
        }
      })
      const cast = outputs.some(({ dtype }) => dtype === 'float16') ? await HalfCast.create() : null
      if (cast !== null) tools.push(cast)
      return new ExtractionPlan(
        planned.sort((a, b) => a.layer - b.layer),
        cast,
        tools,
      )
    } catch (error) {
      for (const tool of tools) await tool.release()
      throw error
    }
  }

  get outputs(): PlannedOutput[] {
    return this.hooks.flatMap(({ groups }) => groups.flatMap(({ outputs }) => outputs))
  }

  /** The last block that has to be run; see `PlannedHook.layer`. */
  get lastLayer(): number {
    return this.hooks.reduce((last, { layer }) => Math.max(last, layer), -1)
  }

  /** Bytes that the captures of a position take; attention patterns with positions × `length` of them. */
  captureBytes(length: number): number {
    return this.hooks.reduce((sum, { width, dims }) => sum + 4 * (width ?? length * 32 * dims.length), 0)
  }

  /** Gives back the sessions of directions and dictionaries. */
  async release(): Promise<void> {
    for (const tool of this.tools) await tool.release()
  }
}

type MakeReducer = (axes: Axes, hook: Hook) => Reducer

/** A reduction, with what it is done with opened. */
async function reducers(
  reduction: Reduction,
  presetVectors: PresetVectors,
  tools: { release(): Promise<void> }[],
): Promise<MakeReducer> {
  switch (reduction.kind) {
    case 'none':
      return asTheyAre
    case 'mean':
    case 'max':
      return (axes, { name, dims }) => {
        const axis = positionAxis(dims)
        if (axis === -1) throw withoutPositions(name)
        return overPositions(reduction.kind, axes, axis - 1)
      }
    case 'norm':
      return norms
    case 'top':
      return (axes) => largest(reduction.k, axes)
    case 'projection': {
      const projector = await Projector.create(await readDirections(reduction.directions, presetVectors))
      tools.push(projector)
      return (axes) => projector.at(axes)
    }
    case 'features': {
      const reader = await FeatureReader.open(reduction.folder)
      tools.push(reader)
      return (axes) => reader.at(reduction.k, axes)
    }
  }
}

function groupAt(
  hook: Hook,
  { positions, reduction, dtype }: ExtractOutput,
  make: MakeReducer,
): PlannedGroup {
  if (positionAxis(hook.dims) === -1 && positions.kind !== 'all') throw withoutPositions(hook.name)
  const reducer = make({ dims: hook.dims.slice(1), sizes: hook.sizes.slice(1) }, hook)
  const outputs = reducer.parts.map(({ dims, sizes, extra }): PlannedOutput => {
    const name = outputName(hook.name, positions, reduction, extra)
    const axes = dims.length === 0 ? { dims: ['value'], sizes: [1] } : { dims: [...dims], sizes: [...sizes] }
    const stored = extra.part === 'indices' ? 'float32' : dtype
    return { hook: hook.name, positions, reduction, dtype, ...axes, ...extra, name, stored }
  })
  return { positions, reducer, outputs }
}

const withoutPositions = (name: string): PatchbayError =>
  new PatchbayError('input.invalid', `${name} has no axis of positions.`, {
    field: 'positions',
    next: 'Take all of it, without a reduction over positions.',
  })
