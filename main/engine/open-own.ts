/** Opening a checkpoint, for which Patchbay builds the graphs itself. */
import { secondOpinions } from '../analysis/parity/second-opinions'
import { readSpec } from '../models/architectures/registry'
import { openCheckpoint } from '../models/formats/checkpoint'
import { readWeight } from '../models/read-weight'
import { loadModel, ReadoutHead, type LoadedModel } from '../runtime'
import { describeModel } from './describe-model'
import { loadTokenizer } from './load-tokenizer'
import type { Prepared } from './prepared'

/** What readouts may hold of logits under a memory budget. */
const READOUT_BYTES_WHERE_SCARCE = 32 * 2 ** 20

/** @throws PatchbayError what is wrong with the files, or an architecture that is not known */
export async function prepareOwn(place: string): Promise<Prepared> {
  const checkpoint = await openCheckpoint(place)
  try {
    const spec = await readSpec(checkpoint)
    return {
      checkpoint,
      load: async ({ source, fingerprint, cacheDir, undo, signal, report }) => {
        report('tokenizer', 0)
        const tokenizer = await loadTokenizer(checkpoint, place, spec.vocab)
        undo.push(() => tokenizer.close())
        const { provider, precision, memoryBudget } = source
        const loaded = await loadModel({
          checkpoint,
          spec,
          fingerprint,
          provider,
          precision,
          memoryBudget,
          cacheDir,
          signal,
          onProgress: ({ stage, fraction }) => report(stage, fraction),
        })
        undo.push(() => loaded.stack.release())
        return {
          description: describeModel({ source, place, checkpoint, spec, tokenizer, loaded, fingerprint }),
          tokenizer,
          stack: loaded.stack,
          head: headOf(loaded),
          opinions: secondOpinions(loaded),
          whole: null,
          own: loaded,
          insides: { spec, weight: (weight) => readWeight(checkpoint, weight) },
        }
      },
    }
  } catch (error) {
    await checkpoint.close()
    throw error
  }
}

function headOf({ weights, lowering, provider, stack, memoryBudget }: LoadedModel): ReadoutHead {
  const scarce = memoryBudget === null ? {} : { transient: true, budget: READOUT_BYTES_WHERE_SCARCE }
  return new ReadoutHead({ spec: stack.spec, weights, lowering, provider, ...scarce })
}
