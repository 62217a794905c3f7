/** `patchbay reference-script MODEL`: the Python program that makes a reference with the person's own transformers. */
import path from 'node:path'
import type { Command } from 'commander'
import { noScriptFor, referenceScript, type ReferenceScript } from '../../analysis/parity/reference-script'
import { loadTokenizer } from '../../engine/load-tokenizer'
import { placeOf } from '../../engine/opening'
import { readSpec } from '../../models/architectures/registry'
import { writeWhole } from '../../files/durable-file'
import { fingerprint } from '../../models/fingerprint'
import { openCheckpoint } from '../../models/formats/checkpoint'
import { findOnnx } from '../../models/formats/onnx/find'
import { directories } from '../directories'
import { forTerminal } from '../output'
import { locate, withEngine } from '../session'

export function addReferenceScript(program: Command): void {
  program
    .command('reference-script')
    .argument('<model>', 'a file, a folder, "storyworld", or a model in the library')
    .description('Print a Python program that writes a reference for the model with your own transformers.')
    .option('--out <file>', 'write it to a file')
    .action(async (model: string, { out }: { out?: string }) => {
      const { text } = await withEngine(async (engine, signal) =>
        scriptOf(placeOf(await locate(engine, model), directories().assetsDir), signal),
      )
      if (out === undefined) {
        process.stdout.write(text)
        return
      }
      const bytes = new TextEncoder().encode(text)
      await writeWhole(out, bytes)
      console.log(`written to ${forTerminal(out)}; run it with python`)
    })
}

/** Reads what the program needs to know of a model; nothing is compiled for it. */
async function scriptOf(place: string, signal: AbortSignal): Promise<ReferenceScript> {
  if ((await findOnnx(place)) !== null) throw noScriptFor(path.basename(place))
  const checkpoint = await openCheckpoint(place)
  try {
    const { vocab, contextLength } = await readSpec(checkpoint)
    const print = await fingerprint(checkpoint, {
      cacheFile: path.join(directories().cacheDir, 'digests.json'),
      onCacheFailure: (error) => console.error(`Digests could not be kept: ${forTerminal(error.message)}`),
      signal,
    })
    const name = path.basename(place).replace(/\.(safetensors|gguf)$/, '')
    const tokenizer = await loadTokenizer(checkpoint, place, vocab)
    try {
      return await referenceScript({ name, fingerprint: print, vocab, contextLength, place, tokenizer })
    } finally {
      await tokenizer.close()
    }
  } finally {
    await checkpoint.close()
  }
}
