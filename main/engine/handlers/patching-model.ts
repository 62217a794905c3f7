/** An open model as sweeps see it, with what is known of waves on this machine. */
import type { PatchingModel } from '../../analysis/patching/subject'
import type { Engine } from '../engine'

export async function patchingModel(
  { models, waveSizes }: Pick<Engine, 'models' | 'waveSizes'>,
  handle: string,
): Promise<PatchingModel> {
  const { facts, certificate, runnable } = await models.get(handle)
  return { facts, certificate, runnable, waveSize: waveSizes.of(handle) }
}
