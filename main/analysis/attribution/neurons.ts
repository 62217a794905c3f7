/** What single neurons of one MLP write along a direction of the residual stream. */
import type { DirectAttribution } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { freezeNorm, plus, pulled, readLinear, times, type Vector } from './linear'
import type { Insides } from './subject'

interface NeuronRequest {
  layer: number
  count: number
  /** Direction of what the MLP adds, [d_model]. */
  direction: Vector
  /** The whole MLP's contribution. */
  total: number
}

/**
 * The `count` neurons with the largest contributions by magnitude; a norm behind the MLP is frozen.
 * @param here activations of the block at the position, by site
 * @throws PatchbayError `model.unsupported` for a mixture of experts
 */
export async function neuronContributions(
  insides: Insides,
  { layer, count, direction, total }: NeuronRequest,
  here: (site: string) => Float32Array,
): Promise<NonNullable<DirectAttribution['neurons']>> {
  const { mlp, mlpPostNorm, residualMultiplier } = insides.spec.blocks[layer]
  if (mlp.kind === 'mixture')
    throw new PatchbayError(
      'model.unsupported',
      `Block ${layer} is a mixture of experts, whose single neurons are no hook points.`,
      { next: 'Leave the neurons out, or choose a layer with a plain MLP.', field: 'neurons' },
    )
  const post = here('mlp.hook_post')
  const output = await readLinear(insides, mlp.output)
  const norm =
    mlpPostNorm === null
      ? null
      : await freezeNorm(insides, mlpPostNorm, plus(output.forward(post), output.bias))
  const perNeuron = output.pull(pulled(norm, times(direction, residualMultiplier)))
  const contributions = perNeuron.map((weight, neuron) => weight * post[neuron])
  const order = Array.from(contributions.keys()).sort(
    (a, b) => Math.abs(contributions[b]) - Math.abs(contributions[a]) || a - b,
  )
  const top = order.slice(0, count).map((neuron) => ({
    layer,
    neuron,
    activation: post[neuron],
    contribution: contributions[neuron],
  }))
  return { top, rest: total - top.reduce((sum, { contribution }) => sum + contribution, 0) }
}
