/** The two kinds of child that `startup` times: Patchbay opening a model, and bare onnxruntime-node opening it as one graph. */
import { readFile } from 'node:fs/promises'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { z } from 'zod'
import { runRequest } from '../../../preload/run'
import { withModel, type ModelOptions } from '../session'

/** What a child prints when its forward pass is done. */
export const DONE = 'forward done'

/** Inputs of a graph as a file: typed arrays as base64 of their bytes (JSON has no −∞, which masks hold). */
const feedFile = z.record(
  z.string(),
  z.object({ type: z.enum(['float32', 'int64']), dims: z.array(z.number()), data: z.string() }),
)
export type FeedFile = z.infer<typeof feedFile>

/** Opens the model and runs it once, as any command does. */
export async function startOurs(options: ModelOptions, tokens: number[]): Promise<void> {
  await withModel(options, async (engine, model) => {
    await engine.call('run.execute', {
      model: model.handle,
      request: runRequest.parse({ model: model.fingerprint, rows: [tokens] }),
    })
    console.log(DONE)
  })
}

/** Opens the graph and runs it once, with nothing of Patchbay. */
export async function startFloor(graph: string, weights: string, feeds: string): Promise<void> {
  const session = await InferenceSession.create(new Uint8Array(await readFile(graph)), {
    logSeverityLevel: 3,
    extra: {
      session: { intra_op: { allow_spinning: '0' }, model_external_initializers_file_folder_path: weights },
    },
  })
  const content = feedFile.parse(JSON.parse(await readFile(feeds, 'utf8')))
  const inputs = Object.entries(content).map(([name, { type, dims, data }]) => {
    const { buffer } = Uint8Array.from(Buffer.from(data, 'base64'))
    const tensor =
      type === 'int64'
        ? new Tensor('int64', new BigInt64Array(buffer), dims)
        : new Tensor('float32', new Float32Array(buffer), dims)
    return [name, tensor] as const
  })
  await session.run(Object.fromEntries(inputs), ['logits'])
  console.log(DONE)
}
