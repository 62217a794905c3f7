/** A child process that opens the model its own way, uses it, and says what that took: nothing else is in its memory. */
import { z } from 'zod'
import { generateRequest, runRequest } from '../../../preload/run'
import { withModel, type ModelOptions } from '../session'
import { sampleTokens } from './tasks'

const LENGTH = 128
const PROMPT_LENGTH = 14
export const NEW_TOKENS = 64

/** What the child prints, as JSON on a line of its own behind `MEASURED`. */
export const MEASURED = 'measured '
export const measurement = z.object({
  /** Seconds of one forward pass of 128 tokens, logits of the last; best of three. */
  forward_s: z.number(),
  /** Seconds of 64 greedy tokens after 14; best of two. */
  decode_s: z.number(),
  /** Resident memory of the process in MiB: after opening, after decoding and forward passes, and at its highest. */
  opened_mb: z.number(),
  rss_mb: z.number(),
  peak_mb: z.number(),
  /** A number that the logits of the last position make, to see that all computed the same. */
  logits_norm: z.number(),
})
export type Measurement = z.infer<typeof measurement>

export async function measureOurs(options: ModelOptions): Promise<void> {
  await withModel(options, async (engine, { handle, fingerprint }) => {
    const model = await engine.models.get(handle)
    const mebibytes = (): number => process.memoryUsage.rss() / 2 ** 20
    const opened_mb = mebibytes()
    const run = {
      request: runRequest.parse({ model: fingerprint, rows: [sampleTokens(model, LENGTH)] }),
      tensors: {},
    }
    const generation = {
      request: generateRequest.parse({
        model: fingerprint,
        rows: [{ tokens: sampleTokens(model, PROMPT_LENGTH) }],
        maxTokens: NEW_TOKENS,
        stopAtEos: false,
      }),
      tensors: {},
    }
    const decode_s = await best(2, () => model.generate(generation))
    let norm = 0
    const forward_s = await best(3, async () => {
      norm = Math.hypot(...((await model.compute(run)).logits?.data ?? []))
    })
    const rss_mb = mebibytes()
    // in kilobytes, whatever the system
    const peak_mb = process.resourceUsage().maxRSS / 1024
    const result: Measurement = { forward_s, decode_s, opened_mb, rss_mb, peak_mb, logits_norm: norm }
    console.log(MEASURED + JSON.stringify(result))
  })
}

async function best(times: number, work: () => Promise<unknown>): Promise<number> {
  let least = Infinity
  for (let i = 0; i < times; i++) {
    const start = performance.now()
    await work()
    least = Math.min(least, (performance.now() - start) / 1000)
  }
  return least
}
