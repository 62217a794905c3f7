/** The attribution references and the tiny models that they are of, behind the interface of analysis. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Tensor } from '../../../preload/tensor'
import { PatchbayError } from '../../../preload/errors'
import type { AttributionModel } from '../../../main/analysis/attribution/subject'
import { readCase, type Case } from '../../../main/analysis/parity/case'
import { CaptureMemory } from '../../../main/cache/memory'
import { readSpec } from '../../../main/models/architectures/registry'
import { fingerprint } from '../../../main/models/fingerprint'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { readWeight } from '../../../main/models/read-weight'
import type { BlockStack } from '../../../main/runtime'
import { loadModel } from '../../../main/runtime/load'
import { ReadoutHead } from '../../../main/runtime/readout'
import { executeRun } from '../../../main/runtime/request'
import { casesFolder } from '../../support/cases'
import { factsOf } from '../../support/facts'

export interface OpenedModel extends AttributionModel {
  readonly runnable: BlockStack
  close(): Promise<void>
}

const noWords = (): never => {
  throw new PatchbayError('internal', 'These models only have token ids.')
}

/** A checkpoint as an analysis model; its tokens have no texts but their numbers. */
export async function openForAttribution(folder: string): Promise<OpenedModel> {
  const cacheDir = mkdtempSync(path.join(tmpdir(), 'patchbay-attribution-'))
  const checkpoint = await openCheckpoint(folder)
  const spec = await readSpec(checkpoint)
  const print = await fingerprint(checkpoint)
  const loaded = await loadModel({
    checkpoint,
    spec,
    fingerprint: print,
    provider: 'cpu',
    precision: 'float32',
    cacheDir,
  })
  const head = new ReadoutHead({ spec, ...loaded })
  const memory = new CaptureMemory(64 * 2 ** 20)
  return {
    facts: factsOf(spec, { fingerprint: print, name: path.basename(folder) }),
    runnable: loaded.stack,
    insides: { spec, weight: (weight) => readWeight(checkpoint, weight) },
    run: (input, options = {}) =>
      memory.run(folder, input, (request, o) => executeRun(loaded.stack, request, o), options),
    generate: noWords,
    readout: (residuals, options) => head.read(residuals, options),
    divergence: (p, q, options) => head.divergence(p, q, options),
    tokens: (ids) => ids.map((id) => ({ id, piece: `${id}`, text: `${id}`, special: false })),
    close: async () => {
      await head.release()
      await loaded.stack.release()
      await checkpoint.close()
      rmSync(cacheDir, { recursive: true })
    },
  }
}

export const openFamily = (family: string): Promise<OpenedModel> =>
  openForAttribution(path.join(casesFolder, 'architectures', family))

export const openReference = (family: string): Promise<Case> =>
  readCase(path.join(casesFolder, 'interop/attribution', family))

/** Row `index` of the first axis. */
export function entry({ shape: [count, ...shape], data }: Tensor, index: number): Tensor {
  const size = data.length / count
  return { shape, data: data.subarray(index * size, (index + 1) * size) }
}
