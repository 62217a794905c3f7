/** Which way a model's sites are run. */
import { BlockStack } from '../../runtime'
import { RowRunner } from './rows'
import type { SiteRunner } from './runner'
import type { PatchingModel } from './subject'
import { WaveRunner } from './waves'

export function runnerOf(model: PatchingModel): SiteRunner {
  const { runnable } = model
  return runnable instanceof BlockStack && runnable.unlimited
    ? new WaveRunner(runnable, model)
    : new RowRunner(runnable)
}
