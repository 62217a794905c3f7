/** A model's weights as what is trained: drawn afresh, or read from a checkpoint. */
import type { Checkpoint } from '../../models/formats/checkpoint'
import { weightsOf, type TransformerSpec } from '../../models/spec'
import { readWeight } from '../../models/read-weight'
import { sizeOf } from '../../../preload/tensor'
import type { Parameter } from '../optimiser/parameter'
import type { SeededRandom } from '../random'

/**
 * Matrices and tables are drawn from a normal distribution, norms' weights are 1 and biases 0, as Hugging Face initialises
 * its decoders.
 * @param deviation `initializer_range` of the configuration
 */
export function freshParameters(spec: TransformerSpec, random: SeededRandom, deviation = 0.02): Parameter[] {
  const norms = normWeights(spec)
  return weightsOf(spec).map(({ name, shape }) => {
    const data = new Float32Array(sizeOf(shape))
    if (norms.has(name)) data.fill(1)
    else if (shape.length > 1) for (let i = 0; i < data.length; i++) data[i] = deviation * random.normal()
    return { name, shape, data }
  })
}

export async function parametersOf(spec: TransformerSpec, checkpoint: Checkpoint): Promise<Parameter[]> {
  return Promise.all(
    weightsOf(spec).map(async (weight) => ({
      name: weight.name,
      shape: weight.shape,
      data: await readWeight(checkpoint, weight),
    })),
  )
}

/** Names of the weights that norms multiply with. */
function normWeights(spec: TransformerSpec): Set<string> {
  const found = new Set<string>()
  const visit = (value: unknown): void => {
    if (value === null || typeof value !== 'object') return
    if ('kind' in value && 'eps' in value && 'weight' in value) {
      const { weight } = value as { weight: { name: string } | null }
      if (weight !== null) found.add(weight.name)
    }
    Object.values(value).forEach(visit)
  }
  visit(spec)
  return found
}
