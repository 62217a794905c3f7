/** Opens a checkpoint, on the CPU unless asked otherwise, and computes what a reference case holds, without the engine around it. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { VerifySubject } from '../../main/analysis/parity/check'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint } from '../../main/models/formats/checkpoint'
import type { Checkpoint } from '../../main/models/formats/checkpoint'
import type { TransformerSpec } from '../../main/models/spec'
import { generate } from '../../main/runtime/generate'
import { loadModel } from '../../main/runtime/load'
import { executeRun } from '../../main/runtime/request'
import type { ProviderChoice } from '../../preload/run'
import type { BlockStack } from '../../main/runtime/stack'

export interface ReferenceModel extends VerifySubject {
  readonly spec: TransformerSpec
  readonly stack: BlockStack
  /** Names of the checkpoint's tensors. */
  readonly parameters: readonly string[]
  close(): Promise<void>
}

/** @param location a model folder or file */
export async function openReferenceModel(
  location: string,
  specOf: (checkpoint: Checkpoint) => Promise<TransformerSpec> = readSpec,
  provider: ProviderChoice = 'cpu',
): Promise<ReferenceModel> {
  const cacheDir = mkdtempSync(path.join(tmpdir(), 'patchbay-reference-'))
  const fingerprint = createHash('sha256').update(location).digest('hex')
  const checkpoint = await openCheckpoint(location)
  try {
    const spec = await specOf(checkpoint)
    const { stack } = await loadModel({
      checkpoint,
      spec,
      fingerprint,
      provider,
      precision: 'float32',
      cacheDir,
    })
    return {
      spec,
      stack,
      parameters: [...checkpoint.tensors.keys()],
      fingerprint,
      run: (input) => executeRun(stack, input),
      generate: (input) => generate(stack, input),
      close: async () => {
        await stack.release()
        await closed(checkpoint, cacheDir)
      },
    }
  } catch (error) {
    await closed(checkpoint, cacheDir)
    throw error
  }
}

async function closed(checkpoint: Checkpoint, cacheDir: string): Promise<void> {
  await checkpoint.close()
  rmSync(cacheDir, { recursive: true, force: true })
}
