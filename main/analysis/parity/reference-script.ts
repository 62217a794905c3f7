/** The program that a person runs with their own transformers installation to get a reference for one model. */
import { PatchbayError } from '../../../preload/errors'
import type { Tokenizer } from '../../models/tokenizer'
import type { ModelFacts } from '../subject'
import { referenceProgram } from './reference-program'
import { drawnTokens } from './self-checks'

export interface ScriptSubject extends Pick<ModelFacts, 'name' | 'fingerprint' | 'vocab' | 'contextLength'> {
  /** The file or folder that Patchbay opens. */
  readonly place: string
  readonly tokenizer: Pick<Tokenizer, 'encodePrompt'>
}

export interface ReferenceScript {
  /** A plain file name, to be offered to the person. */
  readonly name: string
  readonly text: string
}

/** Text such as models are made for: tokens drawn at random amplify the rounding of float32 tenfold. */
const TEXTS = [
  'When Mary and John went to the store, John gave a drink to Mary, and then they walked back home together.',
  'def fibonacci(n):\n    if n <= 1:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)\n',
]
const LENGTH = 16
/** Tokens that the program generates behind the prompts. */
const GENERATED = 8

/** transformers reads no exported graphs. */
export const noScriptFor = (name: string): PatchbayError =>
  new PatchbayError(
    'model.unsupported',
    `${name} is an exported graph, which transformers can not load, so there is no program for it.`,
    {
      next: 'Make a reference with the checkpoint that it was exported from, and check the export against that.',
      field: 'model',
    },
  )

/** The program for a model: its prompts are token ids, so no tokenizer of theirs matters. */
export async function referenceScript(model: ScriptSubject): Promise<ReferenceScript> {
  const { name, fingerprint, place } = model
  const prompts = await promptsOf(model)
  const stem = fileStem(name)
  // transformers takes a folder, or a GGUF file; a single safetensors file stands for its folder.
  const source = place.endsWith('.safetensors') ? place.replace(/[^\\/]+$/, '.') : place
  const text = `#!/usr/bin/env python3
"""
Writes a parity reference for Patchbay: what this model computes in your own transformers, with plain hooks.

    python ${stem}-reference.py [MODEL] [--out FOLDER] [--dtype float64|float32]

It needs torch, transformers and safetensors, for a GGUF file also gguf and accelerate. Where transformers can not compute
a family in float64 (an error about a number format), give --dtype float32. Afterwards, either of:

    patchbay certify MODEL --reference FOLDER
    "Check against a reference…" in the model menu
"""
NAME = ${JSON.stringify(name)}
MODEL = ${JSON.stringify(source)}
OUT = ${JSON.stringify(`${stem}-reference`)}
# The model that the reference is for, as Patchbay's library shows it.
MADE_FOR = ${JSON.stringify(fingerprint)}
PROMPTS = [
${prompts.map((row) => `    [${row.join(', ')}],`).join('\n')}
]

${referenceProgram}`
  return { name: `${stem}-reference.py`, text }
}

/** Rows of equal length; drawn at random for a model that has no tokenizer. */
async function promptsOf({ vocab, contextLength, tokenizer }: ScriptSubject): Promise<number[][]> {
  const length = Math.max(1, Math.min(LENGTH, contextLength - GENERATED))
  const drawn = drawnTokens(
    { vocab, contextLength },
    TEXTS.map(() => length),
  )
  try {
    const encoded = await Promise.all(
      TEXTS.map((text) => tokenizer.encodePrompt({ kind: 'text', text, bos: 'model' })),
    )
    const rows = encoded.map(({ tokens }) => tokens.slice(0, length).map(({ id }) => id))
    return rows.every((row) => row.length === length) ? rows : drawn
  } catch (error) {
    if (error instanceof PatchbayError && error.code === 'input.invalid') return drawn
    throw error
  }
}

/** Of letters, digits, dots and dashes, whatever the model is called; never a path. */
const fileStem = (name: string): string =>
  (name.replace(/[^A-Za-z0-9.-]+/g, '-').replace(/^[.-]+|[.-]+$/g, '') || 'model').slice(0, 80)
